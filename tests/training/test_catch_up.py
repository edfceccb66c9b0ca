"""`catch_up` on curves whose answer is known."""

import math

import numpy as np
import pytest

from tatl_keras import training

STEPS = [8, 16, 32, 64, 128, 256, 512]


def differing_by(difference, seeds=1):
    """Curves of both arms whose difference is a function of the step."""
    behind = [[0.5 + difference(step) for step in STEPS]] * seeds
    return {"random": behind, "pretrained": [[0.5] * len(STEPS)] * seeds}


@pytest.mark.parametrize("at", [11.0, 64.0, 100.0, 500.0])
@pytest.mark.parametrize("margin", [0.0, 0.03])
def test_a_known_crossing_is_found_between_evaluations(at, margin):
    curves = differing_by(lambda t: 0.05 * math.log(t / at) - margin, seeds=3)
    found = training.catch_up(STEPS, **curves, margin=margin)
    assert found.step == pytest.approx(at) and found.probability == 1.0
    assert found.low == pytest.approx(at) and found.high == pytest.approx(at)
    assert found.gap == pytest.approx(margin - 0.05 * math.log(512 / at))
    assert (found.num_seeds, found.last_step, found.margin) == (3, 512, margin)


def test_what_stays_behind_does_not_catch_up():
    found = training.catch_up(STEPS, **differing_by(lambda t: -0.2, seeds=2), margin=0.1)
    assert (found.step, found.low, found.high, found.probability) == (None, None, None, 0.0)
    assert found.gap == pytest.approx(0.2)


def test_what_is_never_behind_has_caught_up_at_the_first_evaluation():
    found = training.catch_up(STEPS, **differing_by(lambda t: -0.01), margin=0.01)
    assert found.step == 8.0


def test_what_falls_behind_again_counts_from_the_last_time():
    behind = {16: -0.2, 128: -0.3}  # equal before, between and after
    found = training.catch_up(STEPS, **differing_by(lambda t: behind.get(t, 0.0)), margin=0.15)
    assert found.step == pytest.approx(128 * 2**0.5)  # -0.15 is half way from -0.3 to 0
    at_end = training.catch_up(STEPS, **differing_by(lambda t: -0.2 * (t == 512)), margin=0.1)
    assert at_end.step is None


def brute_force(steps, difference, margin):
    """The answer by looking at 20,000 places of the line, from the end."""
    fine = np.exp(np.linspace(np.log(steps[0]), np.log(steps[-1]), 20_001))
    values = np.interp(np.log(fine), np.log(steps), difference)
    low = np.flatnonzero(values < -margin)
    if not low.size:
        return fine[0]
    return None if low[-1] == len(fine) - 1 else fine[low[-1] + 1]


def test_agrees_with_brute_force_on_random_curves(rng):
    outcomes = set()
    for _ in range(200):
        random, pretrained = rng.uniform(0.3, 0.7, (2, 3, len(STEPS)))
        found = training.catch_up(
            STEPS, random=random, pretrained=pretrained, margin=0.1, resamples=1
        )
        expected = brute_force(STEPS, (random - pretrained).mean(0), 0.1)
        outcomes.add(expected is None)
        if expected is None:
            assert found.step is None
        else:
            assert found.step == pytest.approx(expected, rel=1e-3)
    assert outcomes == {True, False}


@pytest.mark.parametrize("seeds", [2, 3, 8])
def test_the_interval_covers_a_planted_step_at_its_nominal_rate(seeds, rng):
    at, slope, noise, trials = 60.0, 0.08, 0.05, 400
    steps = np.array(STEPS)
    covered = 0
    for _ in range(trials):
        shift = rng.normal(0, noise, (seeds, 1))  # each seed is better or worse throughout
        random = 0.6 + slope * np.log(steps / at) + shift
        found = training.catch_up(
            steps, random=random, pretrained=np.full_like(random, 0.6),
            margin=0.0, confidence=0.8, resamples=400,
        )  # fmt: skip
        high = math.inf if found.high is None else found.high
        low = math.inf if found.low is None else found.low
        covered += low <= at <= high
    # Four standard deviations of a share of 400, and what 400 resamples blur.
    assert covered / trials == pytest.approx(0.8, abs=0.09)


def test_the_gap_has_students_t_interval():
    gaps = np.array([0.10, 0.16, 0.13])
    random = 0.9 - np.stack([gaps, gaps], 1)
    found = training.catch_up(
        [1, 2], random=random, pretrained=np.full((3, 2), 0.9), resamples=100_000
    )
    half = 4.30265 * 0.03 / math.sqrt(3)  # the table's t for two degrees of freedom
    assert found.gap == pytest.approx(0.13)
    assert found.gap_low == pytest.approx(0.13 - half, abs=0.004)
    assert found.gap_high == pytest.approx(0.13 + half, abs=0.004)


def test_what_seeds_have_in_common_cancels():
    common = np.array([[0.0], [0.2], [0.4]])
    random = 0.1 + common + [[0.0, 0.1, 0.2]]
    pretrained = common + [[0.2, 0.2, 0.2]]
    found = training.catch_up([1, 10, 100], random=random, pretrained=pretrained, margin=0.05)
    assert found.low == pytest.approx(found.high) == pytest.approx(math.sqrt(10))
    shuffled = training.catch_up(
        [1, 10, 100], random=random[::-1], pretrained=pretrained, margin=0.05
    )
    assert shuffled.step == pytest.approx(found.step) and shuffled.high is None


def test_one_seed_has_no_interval():
    found = training.catch_up(STEPS, **differing_by(lambda t: -1 / t), margin=0.01)
    assert found.step is not None
    nothing = (found.low, found.high, found.probability, found.gap_low, found.gap_high)
    assert nothing == (None,) * 5


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"steps": [1, 1]}, r"steps=\[1.0, 1.0\]"),
        ({"steps": [0, 1]}, r"steps=\[0.0, 1.0\]"),
        ({"random": [[0.1, 0.2, 0.3]]}, r"random of shape \(1, 3\)"),
        ({"pretrained": [0.1, 0.2]}, r"pretrained of shape \(2,\)"),
        ({"random": [[0.1, math.nan]]}, "random=.*nan"),
        ({"random": [[0.1, 0.2]] * 2}, "1 rows for 2"),
        ({"margin": -0.1}, "margin=-0.1"),
        ({"confidence": 1.0}, "confidence=1.0"),
        ({"resamples": 0}, "resamples=0"),
    ],
)
def test_errors_name_what_was_received(changed, said):
    given = {"steps": [1, 2], "random": [[0.1, 0.2]], "pretrained": [[0.1, 0.2]]} | changed
    with pytest.raises(ValueError, match=said):
        training.catch_up(given.pop("steps"), **given)
