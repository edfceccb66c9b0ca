"""Whether a model answers other things than it used to."""

import collections
import math
import statistics

import numpy as np

_PERMUTATIONS = 9999


def drift(rows, reference, *, seed=0):
    """Compares answers with those of an earlier time, without knowing who was right.

        total_variation = Σ |q_c - p_c| / 2          p, q: shares of the labels, then and now
        psi             = Σ (q_c - p_c) ln(q_c / p_c)    with half an example more in each class
        p_value         = (1 + #{TV* ≥ TV}) / (1 + 9999)

    TV* is the total variation when the same labels are dealt out at random. With few examples TV is
    large by chance: look at the p-value too. Rows without an answer (`error`, or `valid` false)
    count in `answered` only.

    Args:
        rows, reference: lists of dicts, as `stream` gives them.
        seed: int, for the random dealing.

    Returns:
        A dict: `examples` (how many then, and now), `total_variation`, `p_value`, `psi`, `shares`
        (dict from label to shares then and now, the largest change first), `confidence` (means of
        `probability`) and `answered` (shares), the last two as pairs: then, now.

    Raises:
        ValueError: there is no answer in `rows` or in `reference`.

    Example:

    >>> then = [{"label": "cat", "probability": 0.9}] * 30
    >>> found = drift([{"label": "dog", "probability": 0.5}] * 10 + then, then)
    >>> found["total_variation"], found["shares"]["dog"], found["p_value"] < 0.05
    (0.25, [0.0, 0.25], True)

    Reference: Siddiqi, Credit Risk Scorecards, 2006 (psi).
    """
    sides = [_answered(reference, "reference"), _answered(rows, "rows")]
    counts = [collections.Counter(row["label"] for row in side) for side in sides]
    labels = sorted(counts[0] | counts[1])
    table = np.array([[count[label] for label in labels] for count in counts])
    shares = table / table.sum(1, keepdims=True)
    variation = np.abs(shares[1] - shares[0]).sum() / 2
    smooth = (table + 0.5) / (table + 0.5).sum(1, keepdims=True)
    changes = sorted(
        zip(labels, shares.T, strict=True), key=lambda one: -abs(one[1][1] - one[1][0])
    )
    return {
        "examples": [len(reference), len(rows)],
        "total_variation": float(variation),
        "p_value": _by_chance(table, variation, seed),
        "psi": float(((smooth[1] - smooth[0]) * np.log(smooth[1] / smooth[0])).sum()),
        "shares": {label: share.tolist() for label, share in changes},
        "confidence": [statistics.fmean(row["probability"] for row in side) for side in sides],
        "answered": [
            len(side) / len(all_) for side, all_ in zip(sides, (reference, rows), strict=True)
        ],
    }


def _answered(rows, name):
    found = [row for row in rows if "error" not in row and row.get("valid", True)]
    wrong = [row for row in found if not isinstance(row.get("label"), str)]
    wrong += [row for row in found if not math.isfinite(row.get("probability", math.nan))]
    if wrong or not found:
        raise ValueError(
            f"`{name}` must hold answers with `label` and `probability`. "
            f"Received: {wrong[0] if wrong else f'{len(rows)} rows without an answer'}"
        )
    return found


def _by_chance(table, variation, seed):
    """The share of random deals of the pooled labels that differ at least as much."""
    pooled, now = table.sum(0), int(table[1].sum())
    dealt = np.random.default_rng(seed).multivariate_hypergeometric(pooled, now, _PERMUTATIONS)
    apart = np.abs(dealt / now - (pooled - dealt) / (pooled.sum() - now)).sum(1) / 2
    return float((1 + (apart >= variation - 1e-12).sum()) / (1 + _PERMUTATIONS))
