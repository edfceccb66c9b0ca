"""Metrics against scikit-learn and against numbers made by hand."""

import json

import numpy as np
import pytest
from sklearn import metrics as reference

from tatl_keras.training import classification_metrics

NAMES = ["a", "b", "c", "d", "e"]


def test_they_are_those_of_scikit_learn(rng):
    labels = rng.integers(0, 5, 97)
    logits = rng.normal(0, 30, (97, 5))
    found = classification_metrics(labels, logits, NAMES)
    predicted = logits.argmax(1)
    assert found["num_examples"] == 97
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(labels, predicted))
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    probabilities = shifted / shifted.sum(1, keepdims=True)
    exact = -np.log(probabilities[np.arange(97), labels]).mean()
    assert found["loss"] == pytest.approx(exact, rel=1e-9)
    assert found["confusion"] == reference.confusion_matrix(labels, predicted).tolist()
    recalls = reference.recall_score(labels, predicted, average=None)
    assert [row["accuracy"] for row in found["per_class"].values()] == pytest.approx(recalls)
    counts = np.bincount(labels)
    assert found["majority"] == {
        "class": NAMES[counts.argmax()],
        "accuracy": pytest.approx(counts.max() / 97),
    }


def test_by_hand():
    logits = np.log([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]])
    found = classification_metrics([0, 2], logits, ["a", "b", "c"], majority_class=1)
    assert found["accuracy"] == 0.5
    assert found["loss"] == pytest.approx((np.log(2) + np.log(10)) / 2)
    assert found["confusion"] == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]
    assert found["per_class"]["b"] == {"count": 0, "correct": 0, "accuracy": None}
    assert found["majority"] == {"class": "b", "accuracy": 0.0}


def test_huge_logits_stay_finite_and_json_takes_all():
    found = classification_metrics([0, 1], [[1e30, -1e30], [0.0, 1e5]], ["a", "b"])
    assert found["loss"] == 0.0
    assert json.loads(json.dumps(found, allow_nan=False)) == found


@pytest.mark.parametrize(
    ("labels", "logits", "message"),
    [
        ([], np.zeros((0, 2)), r"Received: labels \(0,\), logits \(0, 2\)"),
        ([0, 1], np.zeros((2, 3)), r"2 classes.*Received: labels \(2,\), logits \(2, 3\)"),
        ([0, 1, 0], np.zeros((2, 2)), r"Received: labels \(3,\), logits \(2, 2\)"),
        ([[0], [1]], np.zeros((2, 2)), r"Received: labels \(2, 1\)"),
        ([0, 2], np.zeros((2, 2)), "from 0 to 1. Received: labels from 0 to 2"),
        ([-1, 0], np.zeros((2, 2)), "Received: labels from -1 to 0"),
    ],
)
def test_errors(labels, logits, message):
    with pytest.raises(ValueError, match=message):
        classification_metrics(labels, logits, ["a", "b"])
