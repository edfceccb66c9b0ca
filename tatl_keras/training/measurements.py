"""From paired runs to the numbers of a certificate."""

import numpy as np

from tatl_keras._paired import interval
from tatl_keras._reliability import reliability
from tatl_keras._shapley import shapley
from tatl_keras.training.paired_runs import CONDITIONS
from tatl_keras.training.robustness import robustness_curve

# Name of a difference → the runs it is between.
DIFFERENCES = {
    "text_gain": ("both", "image"),
    "text_gain_without_names": ("both_masked", "image"),
    "names_in_text": ("text", "text_masked"),
    "other_texts_gain": ("both_shuffled", "image"),
    "text_missing": ("text_missing", "image"),
    "text_swapped": ("text_swapped", "image"),
    "image_gain": ("both", "text"),
    "image_missing": ("image_missing", "text"),
}
CURVES = ("text_missing", "text_swapped", "image_missing")


def measure(runs, drawn):
    """Runs every training set of every seed and sums up.

    Args:
        runs: `PairedRuns`.
        drawn: for each seed, a dict from a set's name to `(train, test)`.

    Returns:
        A dict: `sets` (name → `train`, `test`, `accuracy`, `differences`, `shapley`, each number
        as of `interval`); of the largest training set, whose name is `main`, also `curves` and
        `calibration`.
    """
    sets, main = {}, max(drawn[0], key=lambda name: len(drawn[0][name][0]))
    for name in drawn[0]:
        found = [runs.run(*draw[name], seed) for seed, draw in enumerate(drawn)]
        truths = [runs.labels[draw[name][1]] for draw in drawn]
        sizes = [(len(train), len(test)) for train, test in (draw[name] for draw in drawn)]
        sets[name] = _summary(found, truths, sizes)
        if name == main:
            last = {"curves": _curves(found, truths), "calibration": _calibration(found, truths)}
    return {"main": main, "sets": sets, **last}


def overlap(train, test):
    """The correction of `interval`: for sets larger than what they leave out, else none.

    Few-shot sets of different seeds hardly overlap: their intervals are about the few examples.
    """
    return test / train if train > test else 0.0


def _summary(found, truths, sizes):
    correct = _correct(found, truths)
    accuracy = {name: np.array([right.mean() for right in correct[name]]) for name in CONDITIONS}
    train, test = np.mean(sizes, axis=0).tolist()
    ratio = overlap(train, test)
    image, text = shapley(*(accuracy[name] for name in ("prior", "image", "text", "both")))
    differences = {
        name: interval(accuracy[one] - accuracy[other], ratio)
        for name, (one, other) in DIFFERENCES.items()
    }
    total = float((image + text).mean())
    return {
        "train": round(train),
        "test": round(test),
        "accuracy": {name: interval(values, ratio) for name, values in accuracy.items()},
        "differences": differences,
        "shapley": {
            "image": interval(image, ratio),
            "text": interval(text, ratio),
            "text_share": float(text.mean()) / total if total > 0 else None,
        },
    }


def _correct(found, truths):
    """Dict from condition to, for each seed, whether each test row's answer is right."""
    return {
        name: [run[name].argmax(axis=1) == truth for run, truth in zip(found, truths, strict=True)]
        for name in CONDITIONS
    }


def _curves(found, truths):
    """Mean over seeds of the accuracy as rows lose, or swap, what they had."""
    correct, curves = _correct(found, truths), {}
    for name in CURVES:
        of_seed = [
            robustness_curve(right, changed, np.random.default_rng(seed).permutation(len(right)))
            for seed, (right, changed) in enumerate(
                zip(correct["both"], correct[name], strict=True)
            )
        ]
        curves[name] = {
            "share": of_seed[0]["share"],
            "accuracy": np.mean([curve["accuracy"] for curve in of_seed], axis=0).tolist(),
            "area": float(np.mean([curve["area"] for curve in of_seed])),
        }
    return curves


def _calibration(found, truths):
    """The reliability of the head on both, test rows of all seeds together."""
    probabilities = np.exp(np.concatenate([run["both"] for run in found]))
    return reliability(probabilities, np.concatenate(truths))
