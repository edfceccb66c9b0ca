"""Scales of held-out scores against planted ones, grids and gradients worked out by differences."""

import numpy as np
import pytest

from tatl_keras.training.calibration import Held, fit_scales, judge, log_losses


def cross_entropy(logits, labels, weights):
    """Of the smoothed targets, row by row, with nothing of the library."""
    total = 0.0
    doubt = 1 / (len(labels) + 1)
    for row, label, weight in zip(logits, labels, weights, strict=True):
        log_sum = np.logaddexp.reduce(row)
        target = np.full(len(row), doubt / len(row))
        target[label] += 1 - doubt
        total += weight * (log_sum * target.sum() - row @ target)
    return total / np.sum(weights)


def planted(rng, rows, classes, scale):
    """Scores of which `scale` times themselves are the logits that drew the labels."""
    logits = 2 * rng.normal(size=(rows, classes))
    draws = logits + rng.gumbel(size=logits.shape)
    return logits / scale, draws.argmax(axis=1)


def test_the_temperature_that_made_the_labels_is_found(rng):
    scores, labels = planted(rng, 20000, 5, 7.0)
    (scale,) = fit_scales(scores[None], labels, np.ones(20000))
    assert scale == pytest.approx(7.0, rel=0.03)
    logits = scale * scores
    shares = np.exp(logits - np.logaddexp.reduce(logits, axis=1)[:, None])
    sure = shares.max(axis=1)
    for low in (0.3, 0.5, 0.7, 0.9):
        rows = (sure > low) & (sure < low + 0.1)
        assert (shares[rows].argmax(1) == labels[rows]).mean() == pytest.approx(
            sure[rows].mean(), abs=0.04
        )


@pytest.mark.parametrize("kinds", [1, 2])
def test_the_gradient_is_zero_there(rng, kinds):
    scores, labels = planted(rng, 60, 4, 0.5)
    scores = np.stack([scores, scores + rng.normal(size=scores.shape)])[:kinds]
    weights = rng.uniform(0.1, 2, 60)
    scales = fit_scales(scores, labels, weights)
    assert (scales > 0).any()
    for step in 1e-4 * np.eye(kinds)[scales > 0]:
        up, down = (
            cross_entropy(np.tensordot(scales + sign * step, scores, 1), labels, weights)
            for sign in (1, -1)
        )
        assert (up - down) / 2e-4 == pytest.approx(0, abs=1e-6)
        assert up + down > 2 * cross_entropy(np.tensordot(scales, scores, 1), labels, weights)


def test_scores_of_the_wrong_sign_are_left_out(rng):
    scores, labels = planted(rng, 300, 3, 1.0)
    both = np.stack([scores, -scores + 0.1 * rng.normal(size=scores.shape)])
    scales = fit_scales(both, labels, np.ones(300))
    assert scales[1] == 0
    assert scales[0] == pytest.approx(fit_scales(scores[None], labels, np.ones(300))[0])


def test_two_kinds_are_the_minimum_of_a_grid(rng):
    scores, labels = planted(rng, 80, 3, 1.0)
    both = np.stack([scores + rng.normal(size=scores.shape) for _ in range(2)])
    scales = fit_scales(both, labels, np.ones(80))
    found = cross_entropy(np.tensordot(scales, both, 1), labels, np.ones(80))
    grid = [
        cross_entropy(a * both[0] + b * both[1], labels, np.ones(80))
        for a in np.linspace(0, 2, 21)
        for b in np.linspace(0, 2, 21)
    ]
    assert found <= min(grid)
    assert found == pytest.approx(min(grid), abs=2e-3)


def test_weights_are_repetitions(rng):
    scores, labels = planted(rng, 50, 3, 2.0)
    times = 1 + np.arange(50) % 3
    held = judge(scores[None], labels, times.astype(float))
    logits = held.scales[0] * scores
    repeated = log_losses(np.repeat(logits, times, 0), np.repeat(labels, times))
    assert held.log_loss == pytest.approx(repeated.mean())
    right = np.repeat(scores.argmax(1) == labels, times)
    assert held.accuracy == pytest.approx(right.mean())


def test_perfect_scores_give_a_finite_scale():
    held = judge(np.eye(3)[None], np.arange(3), np.ones(3))
    # All rows alike: the smoothed target, 1 - 1/4 + 1/12 = 5/6, is met exactly.
    shares = np.exp(held.scales[0]) / (np.exp(held.scales[0]) + 2)
    assert shares == pytest.approx(5 / 6)
    assert held.log_loss == pytest.approx(np.log(6 / 5))


def test_scores_that_mislead_still_rank():
    scores = np.array([[[0.0, 1.0], [1.0, 0.0], [0.0, 3.0]]])
    held = judge(scores, np.array([0, 1, 0]), np.ones(3))
    assert held.scales > 0
    assert held.accuracy == 0
    assert held.log_loss == pytest.approx(np.log(2), abs=0.02)


def test_log_losses_by_hand():
    losses = log_losses(np.log([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]]), np.array([0, 2]))
    np.testing.assert_allclose(losses, [np.log(2), np.log(10)])
    assert log_losses(np.array([[1e30, -1e30]]), np.array([0]))[0] == 0


def test_gain_is_in_standard_errors():
    mine, other = (Held(np.ones(1), np.array(losses)) for losses in ([1.0, 2.0], [2.0, 5.0]))
    # Gains 1 and 3: mean 2; with shares 1/2, √(1/4 + 1/4) is the standard error.
    assert mine.gain(other, np.ones(2)) == pytest.approx(2 / np.sqrt(0.5))
    assert other.gain(mine, np.ones(2)) == pytest.approx(-2 / np.sqrt(0.5))
    assert mine.gain(mine, np.ones(2)) == 0
