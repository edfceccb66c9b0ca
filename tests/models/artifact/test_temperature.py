"""The temperature is the minimum of the loss, whatever the logits are."""

import numpy as np
import pytest

from tatl_keras import serving
from tatl_keras.training.calibration import fit_scales


def rows(count=300, classes=4, sharpness=3.0, seed=0):
    """Logits whose softmax, at temperature `sharpness`, tells how likely each label is."""
    rng = np.random.default_rng(seed)
    honest = rng.normal(0, 1.5, (count, classes))
    shares = np.exp(honest) / np.exp(honest).sum(axis=1, keepdims=True)
    labels = np.array([rng.choice(classes, p=share) for share in shares])
    return sharpness * honest, labels


def loss(logits, labels, temperature, weights=None):
    """Cross-entropy with the doubt of one example, term by term."""
    doubt, total, mass = 1 / (len(labels) + 1), 0.0, 0.0
    for i, label in enumerate(labels):
        scaled = [float(value) / temperature for value in logits[i]]
        normaliser = np.logaddexp.reduce(scaled)
        uniform = sum(normaliser - value for value in scaled) / len(scaled)
        weight = 1.0 if weights is None else weights[i]
        total += weight * ((1 - doubt) * (normaliser - scaled[label]) + doubt * uniform)
        mass += weight
    return total / mass


def test_it_finds_what_the_logits_were_multiplied_by():
    logits, labels = rows(count=20_000, sharpness=3.0)
    assert serving.fit_temperature(logits, labels) == pytest.approx(3.0, rel=0.03)


@pytest.mark.parametrize("sharpness", [0.2, 1.0, 7.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_no_temperature_near_it_is_better_and_newton_finds_the_same(sharpness, weighted):
    logits, labels = rows(sharpness=sharpness)
    weights = np.random.default_rng(1).uniform(0.1, 5, len(labels)) if weighted else None
    found = serving.fit_temperature(logits, labels, sample_weight=weights)
    least = loss(logits, labels, found, weights)
    for other in np.geomspace(0.01, 100, 25):
        assert least <= loss(logits, labels, other, weights)
    scales = fit_scales(logits[None], labels, np.ones(300) if weights is None else weights)
    assert found == pytest.approx(1 / scales[0], rel=1e-6)


def test_a_row_of_weight_two_counts_as_two_and_of_zero_as_none():
    logits, labels = rows(count=2000)
    twice = serving.fit_temperature(np.repeat(logits, 2, axis=0), np.repeat(labels, 2))
    assert serving.fit_temperature(logits, labels) == pytest.approx(twice, rel=0.01)
    weights = np.arange(2000) % 2
    half = serving.fit_temperature(logits[1::2], labels[1::2])
    assert serving.fit_temperature(logits, labels, sample_weight=weights) == half


def test_rows_that_are_all_right_leave_a_doubt():
    """N right rows of margin m: softmax gives the wrong class e / 2 = 1 / (2 (N + 1))."""
    temperature = serving.fit_temperature([[5.0, 0.0]] * 9, [0] * 9)
    assert 1 / (1 + np.exp(5.0 / temperature)) == pytest.approx(1 / 20)
    assert serving.fit_temperature([[1e-6, 0.0]] * 9, [0] * 9) == 0.01


def test_logits_that_mislead_are_made_even():
    assert serving.fit_temperature([[3.0, 0.0]] * 5, [1] * 5) == 100.0


@pytest.mark.parametrize(
    "logits", [[[2.0], [7.0]], [[4.0, 4.0], [-1.0, -1.0]]], ids=["one class", "ties"]
)
def test_without_a_choice_nothing_changes(logits):
    assert serving.fit_temperature(logits, [0, 0]) == 1.0


def test_large_logits_do_not_overflow():
    logits, labels = rows()
    found = serving.fit_temperature(logits, labels)
    assert serving.fit_temperature(logits + 1e6, labels) == pytest.approx(found, rel=1e-6)
    with np.errstate(all="raise", under="ignore"):
        assert serving.fit_temperature(1e200 * logits, labels) == 100.0


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        (([[0.0, np.nan]], [0]), r"logits\[0\]=\[0.0, nan\]"),
        (([[0.0, 1.0], [np.inf, 0.0]], [0, 1]), r"logits\[1\]=\[inf, 0.0\]"),
        (([0.0, 1.0], [0]), r"logits of shape \(2,\)"),
        ((np.zeros((0, 3)), np.zeros(0, int)), r"logits of shape \(0, 3\)"),
        (([[0.0, 1.0]], [0, 1]), r"labels of shape \(2,\)"),
        (([[0.0, 1.0]], [0.5]), "dtype float64"),
        (([[0.0, 1.0]], [2]), "labels from 2 to 2"),
        (([[0.0, 1.0]], [-1]), "labels from -1 to -1"),
        (([[0.0, 1.0]], [0], [1.0, 1.0]), r"sample_weight of shape \(2,\)"),
        (([[0.0, 1.0]], [0], [0.0]), "sample_weight from 0.0 to 0.0"),
        (([[0.0, 1.0]], [0], [-1.0]), "sample_weight from -1.0 to -1.0"),
        (([[0.0, 1.0]], [0], [np.nan]), "sample_weight from nan to nan"),
    ],
)
def test_what_is_refused(arguments, received):
    with pytest.raises(ValueError, match=received):
        serving.fit_temperature(*arguments)
