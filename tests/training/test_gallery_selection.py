"""Which examples are chosen for a gallery: by hand, and against loops over Python floats."""

import math

import numpy as np
import pytest

from tatl_keras.training.gallery_selection import select_examples

# Probabilities of three classes; rows 0-2 are right, 3 and 4 wrong.
P = np.array(
    [
        [0.70, 0.20, 0.10],
        [0.05, 0.90, 0.05],
        [0.02, 0.48, 0.50],
        [0.60, 0.30, 0.10],
        [0.80, 0.15, 0.05],
    ]
)
Q = np.array(
    [
        [0.65, 0.25, 0.10],
        [0.80, 0.10, 0.10],
        [0.50, 0.48, 0.02],
        [0.60, 0.10, 0.30],
        [0.10, 0.10, 0.80],
    ]
)
LABELS = np.array([0, 1, 2, 1, 2])
SHIFT = np.array([[3.0], [-2.0], [0.0], [700.0], [-700.0]])  # logits are known up to a constant


def test_by_hand():
    chosen = select_examples(np.log(P) + SHIFT, np.log(Q), LABELS, count=2)
    # entropies: 0.80, 0.39, 0.78, 0.90, 0.61; changes of the answer: 0.05, 0.80, 0.48, 0, 0.70
    assert chosen == {"best": [1, 0], "worst": [4, 3], "changed": [1, 4], "uncertain": [3, 0]}


def test_rows_without_a_text_are_not_changed_by_it():
    has_text = [True, False, True, True, False]
    chosen = select_examples(np.log(P), np.log(Q), LABELS, has_text=has_text, count=9)
    assert chosen["changed"] == [2, 0, 3]
    assert select_examples(np.log(P), np.log(Q), has_text=[False] * 5)["changed"] == []


def test_what_is_not_known_is_left_out():
    chosen = select_examples(np.log(P), count=1)
    assert chosen == {"best": None, "worst": None, "changed": None, "uncertain": [3]}


def test_nothing_wrong_and_equals_in_their_order():
    logits = np.zeros((4, 2)) + [1.0, 0.0]
    chosen = select_examples(logits, logits, np.zeros(4, int), count=3)
    assert chosen == {"best": [0, 1, 2], "worst": [], "changed": [0, 1, 2], "uncertain": [0, 1, 2]}


def test_probabilities_that_round_to_one_are_told_apart():
    logits = np.array([[40.0, 0.0], [90.0, 0.0], [60.0, 0.0]])
    assert select_examples(logits, labels=np.zeros(3, int))["best"] == [1, 2, 0]


def test_against_loops(rng):
    logits, without = rng.normal(0, 2, (40, 4)), rng.normal(0, 2, (40, 4))
    labels, has_text = rng.integers(0, 4, 40), rng.random(40) < 0.7
    chosen = select_examples(logits, without, labels, has_text=has_text, count=40)

    def softmax(row):
        total = math.fsum(math.exp(value) for value in row)
        return [math.exp(value) / total for value in row]

    best, worst, changed, entropies = [], [], [], []
    for i in range(40):
        p, q = softmax(logits[i]), softmax(without[i])
        answer = p.index(max(p))
        (best if answer == labels[i] else worst).append((p[labels[i]], i))
        changed += [(abs(p[answer] - q[answer]), i)] if has_text[i] else []
        entropies.append((-math.fsum(value * math.log(value) for value in p), i))
    order = {name: [i for _, i in sorted(pairs, reverse=True)] for name, pairs in (
        ("best", best), ("changed", changed), ("uncertain", entropies)
    )}  # fmt: skip
    assert chosen == order | {"worst": [i for _, i in sorted(worst)]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"count": 0}, "`count` must be at least 1. Received: count=0"),
        ({"logits": [1.0, 2.0]}, r"`logits` must have shape .* of shape \(2,\)"),
        ({"without_text": P[:2]}, r"`without_text` must have the shape .*, \(5, 3\).*\(2, 3\)"),
        ({"labels": [0, 1, 2, 3, 0]}, "`labels` must be from 0 to 2. Received: labels from 0 to 3"),
    ],
)
def test_what_is_refused(changes, message):
    given = {"logits": P} | changes
    with pytest.raises(ValueError, match=message):
        select_examples(given.pop("logits"), **given)
