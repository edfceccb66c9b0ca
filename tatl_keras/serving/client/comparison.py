"""Two versions of a model on the same examples."""

import statistics
import time

import numpy as np

from tatl_keras._shares import paired_difference


def compare(first, second, image_bytes, texts, labels=None):
    """Asks two clients about the same examples, and says how their answers differ.

    Both answer each request's worth of rows in turn, the one first that came second before, so that
    what else the machine does meets both alike. The first request of each is not timed.

    Where labels are known, b examples are right by the first alone and c by the second alone:

        difference = (c - b) / n         with the 95 % interval of Agresti and Min
        p = P(X ≤ min(b, c)) · 2         X binomial (b + c, 1/2): McNemar's exact test

    Args:
        first, second: `Client`s.
        image_bytes, texts: as of `Client.predict`.
        labels: sequence of str, the examples' classes, or `None`.

    Returns:
        A dict: `examples`, `same_label` (share), `mean_difference` and `largest_difference` (of
        probabilities, absolute), `seconds` (medians of a request, a pair, `None` when there was
        only one) and, with labels, `accuracy` (a pair), `difference`, `low`, `high` and `p_value`.

    Raises:
        ValueError: the columns differ in length, or the models in their number of classes.
        ServerError: see `Client.predict`.

    Example: see `compare_answers`.

    >>> compare(None, None, [b""], ["a"], labels=[])
    Traceback (most recent call last):
    ValueError: `labels` must be as many as the examples. Received: 0 labels, 1 examples

    Reference: Agresti and Min, Simple improved confidence intervals for comparing matched
    proportions, 2005.
    """
    if labels is not None and len(labels) != len(texts):
        raise ValueError(
            "`labels` must be as many as the examples. "
            f"Received: {len(labels)} labels, {len(texts)} examples"
        )
    sides, seconds = (first, second), ([], [])
    found = ([], [])
    step = min(first.max_rows, second.max_rows)
    for turn, start in enumerate(range(0, len(texts), step)):
        some = slice(start, start + step)
        for side in (0, 1) if turn % 2 == 0 else (1, 0):
            began = time.perf_counter()
            found[side].append(sides[side].predict(image_bytes[some], texts[some]))
            seconds[side].append(time.perf_counter() - began)
    medians = [statistics.median(some[1:]) if some[1:] else None for some in seconds]
    label, probabilities = (
        [np.concatenate([part[name] for part in parts]) for parts in found]
        for name in ("label", "probabilities")
    )
    known = None if labels is None else [name.encode() for name in labels]
    return {**compare_answers(label, probabilities, known), "seconds": medians}


def compare_answers(label, probabilities, known=None):
    """What `compare` says of answers.

    Args:
        label: two arrays (B,).
        probabilities: two arrays (B, num_classes).
        known: sequence of the true labels, or `None`.

    Returns:
        As `compare`, without `seconds`.

    Example:

    >>> same = np.array([[0.5, 0.5]] * 4)
    >>> labels = ["a", "b", "a", "a"], ["a", "a", "a", "a"]
    >>> found = compare_answers(labels, (same, same), known=["a"] * 4)
    >>> found["same_label"], found["accuracy"], found["p_value"]
    (0.75, [0.75, 1.0], 1.0)
    """
    if probabilities[0].shape != probabilities[1].shape:
        raise ValueError(
            "both models must have the same classes. Received: probabilities "
            f"{probabilities[0].shape} and {probabilities[1].shape}"
        )
    label = [np.asarray(one, object) for one in label]
    apart = np.abs(np.float64(probabilities[0]) - np.float64(probabilities[1]))
    result = {
        "examples": len(apart),
        "same_label": float(np.mean(label[0] == label[1])),
        "mean_difference": float(apart.mean()),
        "largest_difference": float(apart.max()),
    }
    if known is None:
        return result
    right = [one == np.asarray(known, object) for one in label]
    result["accuracy"] = [float(one.mean()) for one in right]
    only_first, only_second = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    return result | paired_difference(only_first, only_second, len(apart))
