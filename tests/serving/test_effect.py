"""What an export's options change, worked out by hand and row by row."""

import dataclasses
import json
import math

import numpy as np
import pytest

from tatl_keras import serving


def test_numbers_worked_out_by_hand():
    logits = np.log([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]])
    export = [[0.5, 0.3, 0.2], [0.6, 0.4, 0.0], [0.3, 0.3, 0.4]]
    effect = serving.measure_effect(logits, export, [0, 1, 1])
    assert (effect.num_examples, effect.num_unanswered) == (3, 0)
    assert effect.reference_accuracy == pytest.approx(2 / 3)
    assert effect.accuracy == pytest.approx(1 / 3)
    assert effect.reference_log_loss == pytest.approx(-math.log(0.7 * 0.8 * 0.3) / 3)
    assert effect.log_loss == pytest.approx(-math.log(0.5 * 0.4 * 0.3) / 3)
    assert effect.reference_calibration_error == pytest.approx((0.3 + 0.2 + 0.4) / 3)
    assert effect.calibration_error == pytest.approx((0.5 + 0.6 + 0.4) / 3)
    assert effect.same_label == pytest.approx(2 / 3)
    assert effect.largest_difference == pytest.approx(0.5)
    assert effect.mean_difference == pytest.approx((0.2 + 0.1 + 0.1 + 0.5 + 0.4 + 0.1) / 9)


def test_equal_answers_differ_in_nothing():
    logits = np.random.default_rng(0).normal(size=(50, 4))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    effect = serving.measure_effect(logits, shares, logits.argmax(axis=1))
    assert effect.accuracy == effect.reference_accuracy == effect.same_label == 1
    assert effect.largest_difference < 1e-15
    assert effect.log_loss == pytest.approx(effect.reference_log_loss)


def test_rows_without_an_answer_are_left_out_and_counted():
    logits, answers = [[1.0, 0.0], [0.0, 9.0], [0.0, 2.0]], [[0.8, 0.2], [0.0, 0.0], [0.3, 0.7]]
    effect = serving.measure_effect(logits, answers, [0, 0, 1])
    alone = serving.measure_effect(logits[::2], answers[::2], [0, 1])
    assert effect.num_unanswered == 1
    assert dataclasses.replace(effect, num_unanswered=0) == alone
    assert "2 labelled examples, 1 left out" in str(effect)


def test_a_probability_of_zero_for_the_label_is_finite():
    effect = serving.measure_effect([[800.0, 0.0]], [[1.0, 0.0]], [1])
    assert effect.log_loss == effect.reference_log_loss == pytest.approx(87.34, abs=0.01)


def test_it_can_be_written_and_read():
    effect = serving.measure_effect([[1.0, 0.0]], [[0.6, 0.4]], [0])
    assert serving.Effect(**json.loads(json.dumps(effect.to_dict()))) == effect
    assert "log-loss           0.3133 → 0.5108" in str(effect)


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        (([[0.0, 1.0]], [[1.0, 0.0, 0.0]], [0]), r"probabilities of shape \(1, 3\)"),
        (([[0.0, 1.0]], [[2.0, -3.0]], [0]), r"probabilities\[0\]=\[2.0, -3.0\]"),
        (([[0.0, 1.0]], [[1.5, -0.5]], [0]), r"probabilities\[0\]=\[1.5, -0.5\]"),
        (([[0.0, 1.0]], [[np.nan, 1.0]], [0]), r"probabilities\[0\]=\[nan, 1.0\]"),
        (([[0.0, 1.0]], [[0.0, 0.0]], [0]), "1 rows of zeros"),
        (([[0.0, np.inf]], [[1.0, 0.0]], [0]), r"logits\[0\]=\[0.0, inf\]"),
        (([[0.0, 1.0]], [[1.0, 0.0]], [2]), "labels from 2 to 2"),
    ],
)
def test_what_is_refused(arguments, received):
    with pytest.raises(ValueError, match=received):
        serving.measure_effect(*arguments)
