"""The quickstart's comparison, worked out by hand; `.ci/run` runs the whole of it."""

import math

import numpy as np

from tatl_keras.bin import quickstart

LABELS = [0, 1, 0, 1, 0, 1, 0, 1]


def _logits(right):
    """Logits of two classes that are right where `right` says so."""
    answers = [label if hit else 1 - label for label, hit in zip(LABELS, right, strict=True)]
    return np.eye(2)[answers]


def test_compare_gives_paired_differences():
    answers = {
        "image only": _logits([1, 1, 0, 0, 0, 0, 1, 1]),
        "text only": _logits([1, 1, 1, 1, 1, 1, 1, 1]),
        "image and text": _logits([1, 1, 1, 1, 1, 1, 1, 0]),
    }
    text = quickstart.compare(answers, LABELS)
    assert "Accuracy on 8 held-out pictures" in text
    assert "image only      50.0%" in text and "image and text  87.5%" in text
    gains = [0, 0, 1, 1, 1, 1, 0, -1]
    mean = sum(gains) / 8
    spread = math.sqrt(sum((g - mean) ** 2 for g in gains) / 7)
    assert f"Text adds +37.5 ± {196 * spread / math.sqrt(8):.1f} points" in text
    assert "Pictures add -12.5 ± 24.5 points to text alone" in text


def test_models_of_the_comparison_are_the_pair_and_its_controls():
    assert list(quickstart.MODELS) == ["image only", "text only", "image and text"]
