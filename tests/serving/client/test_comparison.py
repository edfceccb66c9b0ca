"""`compare` and `drift`: against sums over all tables and SciPy."""

import collections
import itertools
import math

import numpy as np
import pytest

from tatl_keras.serving import client as clients
from tatl_keras.serving.client import comparison


def test_answers_are_compared():
    probabilities = np.float32([[[0.75, 0.25], [0.5, 0.5]], [[0.5, 0.5], [0.5, 0.5]]])
    labels = np.array([[b"a", b"b"], [b"b", b"b"]], object)
    found = comparison.compare_answers(labels, probabilities, [b"a", b"a"])
    assert (found["examples"], found["same_label"]) == (2, 0.5)
    assert (found["mean_difference"], found["largest_difference"]) == (0.125, 0.25)
    assert found["accuracy"] == [0.5, 0.0] and found["difference"] == -0.5
    with pytest.raises(ValueError, match=r"Received: probabilities \(2, 2\) and \(2, 1\)"):
        comparison.compare_answers(labels, [probabilities[0], probabilities[1][:, :1]])


class Side:
    """A client whose answers are all `label`, and which notes when it was asked."""

    def __init__(self, name, label, order, max_rows=4):
        self.name, self.label, self.order, self.max_rows = name, label, order, max_rows

    def predict(self, images, texts):
        self.order.append((self.name, len(texts)))
        label = np.array([self.label] * len(texts), object)
        return {"label": label, "probabilities": np.ones((len(texts), 1), np.float32)}


def test_the_two_take_turns():
    order = []
    sides = Side("a", b"x", order), Side("b", b"y", order, max_rows=9)
    found = clients.compare(*sides, [b""] * 10, [""] * 10, labels=["x"] * 9 + ["y"])
    assert order == [("a", 4), ("b", 4), ("b", 4), ("a", 4), ("a", 2), ("b", 2)]
    assert found["same_label"] == 0 and found["accuracy"] == [0.9, 0.1]
    assert all(seconds >= 0 for seconds in found["seconds"])
    assert clients.compare(*sides, [b""], [""])["seconds"] == [None, None]


def rows(**counts):
    made = [{"label": name, "probability": 0.5} for name, n in counts.items() for _ in range(n)]
    return made + [{"id": "x", "error": "lost"}, {"label": "a", "probability": 0.0, "valid": False}]


def test_drift_by_hand():
    found = clients.drift(rows(cat=1, dog=3), rows(cat=4, dog=2, cow=2))
    assert found["examples"] == [10, 6]
    shares = {"cat": [0.5, 0.25], "dog": [0.25, 0.75], "cow": [0.25, 0]}
    assert found["shares"] == shares and next(iter(found["shares"])) == "dog"
    assert found["total_variation"] == pytest.approx(0.5)
    then, now = np.array([4.5, 2.5, 2.5]) / 9.5, np.array([1.5, 3.5, 0.5]) / 5.5
    assert found["psi"] == pytest.approx(((now - then) * np.log(now / then)).sum())
    assert found["confidence"] == [0.5, 0.5]
    assert found["answered"] == [8 / 10, 4 / 6]


def test_the_p_value_is_that_of_all_deals():
    then, now = dict(a=4, b=2), dict(a=1, b=2, c=2)
    pooled = [label for side in (then, now) for label, n in side.items() for _ in range(n)]

    def variation(left, right):
        left, right = collections.Counter(left), collections.Counter(right)
        return sum(abs(left[x] / left.total() - right[x] / right.total()) for x in "abc") / 2

    actual, at_least, total = variation(pooled[:6], pooled[6:]), 0, 0
    for chosen in itertools.combinations(range(len(pooled)), 5):
        rest = [pooled[place] for place in range(len(pooled)) if place not in chosen]
        at_least += variation(rest, [pooled[place] for place in chosen]) >= actual - 1e-12
        total += 1
    found = clients.drift(rows(**now), rows(**then))
    exact = at_least / total
    assert total == math.comb(11, 5) and 0.05 < exact < 0.95
    assert found["p_value"] == pytest.approx(exact, abs=5 * math.sqrt(exact * (1 - exact) / 9999))


def test_nothing_changed():
    same = rows(cat=20, dog=30)
    found = clients.drift(same, same)
    assert (found["total_variation"], found["psi"], found["p_value"]) == (0, 0, 1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([], "`rows` must hold answers.*Received: 0 rows without"),
        ([{"error": "x"}], "Received: 1 rows without an answer"),
        ([{"label": "a"}], "Received: {'label': 'a'}"),
        ([{"probability": 1.0}], "Received: {'probability': 1.0}"),
    ],
)
def test_drift_needs_answers(wrong, message):
    with pytest.raises(ValueError, match=message):
        clients.drift(wrong, rows(a=1))
    with pytest.raises(ValueError, match="`reference` must hold"):
        clients.drift(rows(a=1), wrong)
