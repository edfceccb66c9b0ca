"""Grades of maps, by numbers worked out by hand."""

import numpy as np
import pytest
from scipy import stats

from tatl_keras.models.explanation.estimate import Sample
from tatl_keras.models.explanation.grades import (
    area,
    believed,
    curve_areas,
    random_area,
    rank_correlation,
)


class Additive:
    """A game whose value is a sum: two regions of 0.1, 0.4 and two words of 0.3, 0.0."""

    counts = {"image": 2, "text": 2}

    def values(self, regions, words):
        found = regions @ np.array([0.1, 0.4]) + words @ np.array([0.3, 0.0])
        return np.stack([1 - found, found], axis=1)


def test_deletion_and_insertion_by_hand():
    scores = {"image": np.array([0.1, 0.4]), "text": np.array([0.3, 0.0])}
    ((deletion, insertion),) = curve_areas(Additive(), [scores], 1)
    assert deletion == pytest.approx((0.8 / 2 + 0.4 + 0.1 + 0.0 + 0.0 / 2) / 4)
    assert insertion == pytest.approx((0.0 / 2 + 0.4 + 0.7 + 0.8 + 0.8 / 2) / 4)


def test_one_modality_leaves_the_other_alone():
    scores = {"image": None, "text": np.array([1.0, 2.0])}  # the wrong order
    other = {"image": np.array([0.1, 0.4]), "text": np.array([0.3, 0.0])}
    _, (deletion, insertion) = curve_areas(Additive(), [other, scores], 1)
    assert deletion == pytest.approx((0.8 / 2 + 0.8 + 0.5 / 2) / 2)
    assert insertion == pytest.approx((0.5 / 2 + 0.5 + 0.8 / 2) / 2)


@pytest.mark.parametrize("image", [np.zeros(2), None])
def test_random_orders_are_the_mean_of_all_orders(image):
    sample = Sample(2, 2, 20, 20, 100, seed=0)
    rows, columns = sample.pairs.T
    members = sample.images.members[rows], sample.texts.members[columns]
    values = Additive().values(*members)[:, 1]
    scores = {"image": image, "text": np.zeros(2)}
    found = random_area(Additive(), sample, values, scores, 1)
    ends = (0.8, 0.0) if image is not None else (0.8, 0.5)
    assert found == pytest.approx(np.mean(ends))  # a sum grows evenly in the mean of all orders


def test_area_of_one_point():
    assert area([0.7]) == 0.7


def test_rank_correlation_is_that_of_scipy(rng):
    for _ in range(5):
        a, b = rng.integers(0, 5, size=(2, 9)).astype(float)
        c, d = rng.normal(size=(2, 6))
        expected = (8 * stats.spearmanr(a, b)[0] + 5 * stats.spearmanr(c, d)[0]) / 13
        found = rank_correlation({"image": a, "text": c}, {"image": b, "text": d})
        assert found == pytest.approx(expected, abs=1e-9)
    assert rank_correlation({"image": np.ones(4)}, {"image": np.arange(4)}) is None


def test_a_map_that_ignores_the_weights_is_refused():
    scores = {"image": np.arange(9.0), "text": np.arange(12.0)}
    found = believed(scores, [1.0, 0.9, 0.8])
    assert found["refused"] and "0.90" in found["reason"]
    assert found["random_weights_correlation"] == pytest.approx(0.9)
    assert not believed(scores, [0.3, -0.1, 0.1])["refused"]


def test_few_players_are_not_refused_for_what_chance_gives():
    assert not believed({"text": np.arange(3.0)}, [0.6, 0.9, 0.8])["refused"]  # 2.33 / sqrt(2 · 3)


def test_a_correlation_that_cannot_be_had_says_why():
    alone = believed({"image": np.ones(1), "text": np.ones(1)}, [None, None])
    assert alone["reason"] == "There are no two regions and no two words to rank."
    without = believed({"image": np.arange(4.0), "text": None}, [None, None])
    assert without["reason"] == "No model with random weights has such a map that ranks anything."
    for found in (alone, without):
        assert found["random_weights_correlation"] is None and found["refused"] is False


def test_a_constant_map_is_refused():
    found = believed({"image": np.full(9, 0.25), "text": None}, [])
    assert found["refused"] and found["random_weights_correlation"] is None
    assert "the same" in found["reason"]
