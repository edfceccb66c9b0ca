"""Explanations made by hand."""

import re

import numpy as np

from tatl_keras.models import AttributionMap, Explanation

NAMES = ["cat", "dog", "emu", "fox", "gnu", "hen", "ibis"]
PROBABILITIES = [0.5, 0.2, 0.12, 0.08, 0.05, 0.03, 0.02]


def grade(reason=""):
    return {
        "deletion": 0.21, "insertion": 0.71, "random_deletion": 0.44, "random_insertion": 0.5,
        "random_weights_correlation": 0.031, "refused": bool(reason), "reason": reason,
    }  # fmt: skip


def make(text="", has_image=True, **changes):
    """An explanation of "cat": words add 0.1, -0.2, 0.1, … and regions 0.00, 0.05, 0.10, …"""
    found = list(re.finditer(r"\w+", text))
    words = [{"text": m.group(), "start": m.start(), "end": m.end()} for m in found]
    regions = 0.05 * np.arange(6.0).reshape(2, 3) * has_image
    values = np.resize([0.1, -0.2], len(words))
    evidence = " and ".join([*["image"] * has_image, *["text"] * bool(words)]) or "none"
    known = {
        "class_name": "cat", "class_index": 0, "probabilities": np.array(PROBABILITIES),
        "class_names": NAMES, "probability_error": np.linspace(0.01, 0.07, 7),
        "evidence": evidence, "grid": (2, 3), "words": words,
        "modality": {"image": float(regions.sum()), "text": float(values.sum())},
        "baseline": 0.05, "regions": regions, "word_values": values,
        "regions_error": np.full((2, 3), 0.001), "word_errors": np.full(len(words), 0.001),
        "maps": {}, "grades": {}, "seconds": 0.25, "evaluations": 64,
    }  # fmt: skip
    return Explanation(**(known | changes))


def make_map(name, values=None, word_values=None):
    return AttributionMap(name, f"the {name}", values, word_values)
