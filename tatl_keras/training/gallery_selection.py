"""Which examples are worth being looked at."""

import numpy as np

from tatl_keras._probabilities import checked_labels, checked_scores, log_softmax


def select_examples(logits, without_text=None, labels=None, *, has_text=None, count=6):
    """Chooses the best, the worst, the most changed and the most uncertain of a model's answers.

        p = softmax(logits), q = softmax(without_text), answer a = argmax p

        best         a = label: the highest p[label]
        worst        a ≠ label: the lowest p[label]
        changed      rows with a text: the largest |p[a] - q[a]|
        uncertain    the highest entropy -Σ p log p

    Of equals the first comes first. An example may be chosen more than once.

    Args:
        logits: floats (N, C).
        without_text: floats (N, C), logits of the same examples without their texts, or `None`.
        labels: ints (N,), or `None` where they are not known.
        has_text: booleans (N,), by default all true.
        count: int ≥ 1, the most of each kind.

    Returns:
        Dict from "best", "worst", "changed" and "uncertain" to a list of places, `None` where the
        arguments do not say.

    Raises:
        ValueError: shapes do not fit, values are not finite, or `count` is below 1.

    Example:

    >>> logits = [[4.0, 0.0], [0.0, 1.0], [0.0, 3.0]]
    >>> select_examples(logits, [[4.0, 0.0], [0.0, 1.0], [3.0, 0.0]], [0, 0, 1], count=1)
    {'best': [0], 'worst': [1], 'changed': [2], 'uncertain': [1]}
    """
    if count < 1:
        raise ValueError(f"`count` must be at least 1. Received: count={count}")
    logits = checked_scores("logits", logits)
    rows = np.arange(len(logits))
    likely = log_softmax(logits)
    answers = logits.argmax(axis=1)
    chosen = dict.fromkeys(("best", "worst", "changed"))
    if labels is not None:
        labels = checked_labels("labels", labels, logits.shape)
        right = answers == labels
        # The logarithm of the odds tells apart what rounds to a probability of 1.
        odds = _log_odds(logits, labels)
        chosen["best"] = _first(rows[right], -odds[right], count)
        chosen["worst"] = _first(rows[~right], odds[~right], count)
    if without_text is not None:
        without_text = checked_scores("without_text", without_text)
        if without_text.shape != logits.shape:
            raise ValueError(
                f"`without_text` must have the shape of logits, {logits.shape}. "
                f"Received: without_text of shape {without_text.shape}"
            )
        texts = np.ones(len(logits), bool) if has_text is None else np.asarray(has_text, bool)
        changes = np.exp(likely[rows, answers]) - np.exp(log_softmax(without_text)[rows, answers])
        chosen["changed"] = _first(rows[texts], -np.abs(changes[texts]), count)
    entropy = -(np.exp(likely) * likely).sum(axis=1)
    return chosen | {"uncertain": _first(rows, -entropy, count)}


def _log_odds(logits, labels):
    """log(p / (1 - p)) of each label, exact where p rounds to 1."""
    rows = np.arange(len(logits))
    others = logits.copy()
    others[rows, labels] = -np.inf
    return logits[rows, labels] - np.logaddexp.reduce(others, axis=1)


def _first(rows, keys, count):
    return [int(i) for i in rows[np.argsort(keys, kind="stable")][:count]]
