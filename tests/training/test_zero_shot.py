"""Zero-shot logits and Tip-Adapter's cache against loops over rows."""

import math

import numpy as np
import pytest

from tatl_keras import training


def cosine(a, b):
    return sum(p * q for p, q in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)


def test_a_class_is_the_mean_direction_of_its_texts(rng):
    texts, labels = rng.normal(size=(7, 5)), np.array([1, 0, 2, 1, 1, 0, 2])
    found = training.class_embeddings(texts, labels)
    for label in range(3):
        mean = sum(t / math.hypot(*t) for t, one in zip(texts, labels, strict=True) if one == label)
        np.testing.assert_allclose(found[label], mean / math.hypot(*mean), atol=1e-12)
    longer = texts * rng.uniform(0.1, 9.0, size=(7, 1))
    np.testing.assert_allclose(training.class_embeddings(longer, labels), found, atol=1e-12)


def test_zero_shot_logits_are_cosines_over_the_temperature(rng):
    pictures, classes = rng.normal(size=(4, 5)), rng.normal(size=(3, 5))
    found = training.zero_shot_logits(pictures, classes, temperature=0.2)
    expected = [[cosine(x, e) / 0.2 for e in classes] for x in pictures]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def votes(row, keys, labels, sharpness):
    found = np.zeros(3)
    for key, label in zip(keys, labels, strict=True):
        found[label] += math.exp(-sharpness * (1 - cosine(row, key)))
    return found


def test_the_cache_is_a_sum_over_keys(rng, monkeypatch):
    monkeypatch.setattr("tatl_keras.training.tip_adapter._MOST_ELEMENTS", 22)  # two rows a block
    pictures, keys, labels = rng.normal(size=(5, 4)), rng.normal(size=(11, 4)), np.arange(11) % 3
    found = training.tip_adapter_logits(pictures, keys, labels, 3, sharpness=2.5)
    expected = [votes(row, keys, labels, 2.5) for row in pictures]
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("folds", [np.arange(11), np.arange(11) // 3])
def test_leaving_out_is_a_cache_without_the_fold(rng, monkeypatch, folds):
    monkeypatch.setattr("tatl_keras.training.tip_adapter._MOST_ELEMENTS", 22)
    keys, labels = rng.normal(size=(11, 4)), np.arange(11) % 3
    keys[4] = keys[3]  # a twin in another fold still votes
    found = training.tip_adapter_logits(keys, keys, labels, 3, 5.5, folds)
    for row in range(11):
        stay = folds != folds[row]
        expected = votes(keys[row], keys[stay], labels[stay], 5.5)
        np.testing.assert_allclose(found[row], expected, atol=1e-12)


def test_an_empty_cache_says_nothing(rng):
    found = training.tip_adapter_logits(rng.normal(size=(2, 4)), np.zeros((0, 4)), [], 3)
    np.testing.assert_array_equal(found, np.zeros((2, 3)))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((np.ones(3), [0, 1, 2]), r"text_features.shape=\(3,\)"),
        (([[1.0, 0.0], [0.0, 0.0]], [0, 1]), r"text_features\[1\] of length 0.0"),
        (([[1.0, np.nan]], [0]), r"text_features\[0\] of length nan"),
        (([[1.0, 0.0], [-1.0, 0.0]], [0, 0]), r"averaged over each class,\[0\] of length 0.0"),
        ((np.eye(2), [0]), r"one integer for each of 2 rows.*labels.shape=\(1,\)"),
        ((np.eye(2), [0.0, 1.0]), "labels.dtype=float64"),
        ((np.eye(2), [0, 2]), r"labels without \[1\]"),
        ((np.eye(2), [0, -1]), "labels from -1 to 0"),
        ((np.eye(2), [0, 1], 4), r"labels without \[2, 3\]"),
        ((np.eye(2), [0, 3], 2), "from 0 to 1. Received: labels from 0 to 3"),
    ],
)
def test_bad_class_texts_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        training.class_embeddings(*values)


def test_bad_numbers_are_refused():
    one = np.eye(2)
    with pytest.raises(ValueError, match="`temperature`.*temperature=0"):
        training.zero_shot_logits(one, one, temperature=0)
    with pytest.raises(ValueError, match=r"class_embeddings.shape=\(3, 3\).*shape=\(2, 2\)"):
        training.zero_shot_logits(one, np.eye(3))
    with pytest.raises(ValueError, match="`sharpness`.*sharpness=-1"):
        training.tip_adapter_logits(one, one, [0, 1], 2, sharpness=-1)
    with pytest.raises(ValueError, match=r"folds.shape=\(2,\) for 2 rows and 1 keys"):
        training.tip_adapter_logits(one, one[:1], [0], 2, folds=[0, 1])
