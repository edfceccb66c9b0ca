"""Intervals, Shapley values, calibration and curves, by numbers worked out another way."""

import math

import numpy as np
import pytest
from scipy import stats

from tatl_keras._paired import interval, t_quantile, t_within
from tatl_keras._reliability import reliability
from tatl_keras._shapley import shapley
from tatl_keras._units import units_of
from tatl_keras.training.paired_splits import draw_splits
from tatl_keras.training.robustness import robustness_curve


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 9, 10, 29])
def test_student_is_that_of_scipy(freedom):
    for t in (0.0, 0.3, 1.0, 2.776, 15.0):
        expected = 1 - 2 * stats.t.sf(t, freedom)
        assert t_within(t, freedom) == pytest.approx(expected, abs=1e-12)
    assert t_quantile(0.95, freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-9)


def test_an_interval_by_hand():
    found = interval([0.08, 0.10, 0.12, 0.09, 0.11])
    half = 2.7764451 * math.sqrt(0.00025) / math.sqrt(5)
    assert found["mean"] == pytest.approx(0.1)
    assert found["half_width"] == pytest.approx(half, rel=1e-6)
    assert (found["low"], found["high"]) == pytest.approx((0.1 - half, 0.1 + half))
    p_value = stats.ttest_1samp(found["values"], 0).pvalue
    assert found["p_value"] == pytest.approx(p_value, rel=1e-6)


def test_overlap_widens_an_interval():
    values = [0.08, 0.10, 0.12, 0.09, 0.11]
    wider = interval(values, 0.25)["half_width"] / interval(values)["half_width"]
    assert wider == pytest.approx(math.sqrt((1 / 5 + 0.25) / (1 / 5)))


def test_equal_values():
    assert interval([0.0, 0.0, 0.0])["p_value"] == 1
    assert interval([0.5, 0.5])["p_value"] == 0
    with pytest.raises(ValueError, match=r"two numbers or more. Received: values=\[1.\]"):
        interval([1.0])


def test_intervals_hold_what_they_promise():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(2000):
        found = interval(0.3 + rng.normal(size=5))
        held += found["low"] <= 0.3 <= found["high"]
    assert 0.935 < held / 2000 < 0.965


def test_shapley_values_are_the_mean_over_both_orders():
    neither, image, text, both = 0.1, 0.5, 0.7, 0.9
    first_image, first_text = image - neither, text - neither
    image_value, text_value = shapley(neither, image, text, both)
    assert image_value == pytest.approx((first_image + (both - text)) / 2) == pytest.approx(0.3)
    assert text_value == pytest.approx((first_text + (both - image)) / 2) == pytest.approx(0.5)
    assert image_value + text_value == pytest.approx(both - neither)


def test_calibration_error_by_hand():
    probabilities = [[0.95, 0.05], [0.95, 0.05], [0.97, 0.03], [0.62, 0.38], [0.36, 0.64]]
    found = reliability(probabilities, [0, 0, 1, 0, 1])
    # Two bins: (0.6, 0.667] with 0.62 and 0.64, both right; (0.933, 1] with two right of three.
    expected = 2 / 5 * abs(1 - 0.63) + 3 / 5 * abs(2 / 3 - (0.95 + 0.95 + 0.97) / 3)
    assert found["ece"] == pytest.approx(expected)
    assert len(found["bins"]) == 15 and found["bins"][9]["count"] == 2
    assert found["bins"][14]["accuracy"] == pytest.approx(2 / 3)
    assert found["bins"][0] == {
        "low": 0, "high": 1 / 15, "count": 0, "accuracy": None, "confidence": None,
    }  # fmt: skip


def test_a_bin_holds_its_upper_end():
    counts = [bin["count"] for bin in reliability([[0.6, 0.4], [1, 0]], [0, 0])["bins"]]
    assert counts[8] == 1 and counts[14] == 1 and sum(counts) == 2


def test_a_curve_by_hand():
    curve = robustness_curve([1, 1, 1, 0], [0, 1, 0, 0], [2, 0, 1, 3])
    # Rows change in the order 2, 0, 1, 3; after n of four changes the accuracy is:
    after = {0: 0.75, 1: 0.5, 2: 0.25, 3: 0.25, 4: 0.25}
    expected = [after[round(share * 4)] for share in curve["share"]]
    assert curve["accuracy"] == expected
    assert curve["area"] == pytest.approx(np.trapezoid(expected, curve["share"]))


def test_splits_keep_units_and_frequencies():
    labels = np.repeat([0, 1, 2], [40, 25, 10])
    groups = [f"g{row // 2}" if row < 20 else "" for row in range(75)]
    pictures = [None if row % 3 else f"p{row // 15}" for row in range(75)]
    units = units_of(75, groups, pictures)
    for seed in range(5):
        drawn = draw_splits(labels, units, (1, 2), 0.2, seed)
        assert set(drawn) == {"k1", "k2", "80/20"}
        for name, (train, test) in drawn.items():
            assert not set(train) & set(test) and not set(units[train]) & set(units[test])
            if name != "80/20":
                assert np.bincount(labels[train]).tolist() == [int(name[1])] * 3
                assert set(test) == set(np.flatnonzero(~np.isin(units, units[train])))
        train, test = drawn["80/20"]
        assert len(train) + len(test) == 75
        most = np.bincount(units).max() / 2  # whole units: half of one too many or too few
        assert np.bincount(labels[test]).tolist() == pytest.approx([8, 5, 2], abs=most)
        assert set(drawn["k1"][0]) <= set(drawn["k2"][0])


def test_units_join_through_others():
    assert units_of(4, ["a", "a", "b", ""], [None, "p", "p", None]).tolist() == [0, 0, 0, 3]


def test_classes_with_too_few_units_have_no_few_shot_set():
    labels = np.array([0] * 10 + [1] * 3)
    assert set(draw_splits(labels, np.arange(13), (2, 3), 0.2, 0)) == {"k2", "80/20"}
    assert draw_splits(labels, np.minimum(np.arange(13), 10), (1,), 0.2, 0) == {}


def test_large_units_are_asked_no_more_often_than_others():
    labels, units = np.zeros(60, int), np.r_[np.zeros(5, int), np.arange(5, 60)]
    asked = np.zeros(60)
    for seed in range(300):
        asked[draw_splits(labels, units, (), 0.2, seed)["80/20"][1]] += 1
    # A binomial share of 0.2 of 300 draws, seven standard deviations of about 0.023 wide.
    assert asked[0] / 300 == pytest.approx(0.2, abs=0.08)
    assert asked[5:].mean() / 300 == pytest.approx(0.2, abs=0.02)
