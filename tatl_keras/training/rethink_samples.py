"""Which examples every arm of a comparison sees, in which order, and when it is looked at."""

import numpy as np


def choose_rows(labels, size, seed):
    """Draws a training set of a given size: each class once, then in proportion.

    Smaller sets of one seed are contained in its larger ones.

    Args:
        labels: ints (N,).
        size: int, how many rows; at least as many as classes.
        seed: int.

    Returns:
        Int array (size,), sorted.
    """
    labels = np.asarray(labels)
    rng = np.random.default_rng([seed, 0])
    order = rng.permutation(len(labels))
    place = np.empty(len(labels))
    for label in np.unique(labels):
        rows = order[labels[order] == label]
        share = (np.arange(len(rows)) + 0.5) / len(rows)
        share[0] = -1.0  # each class comes first once
        place[rows] = share
    return np.sort(order[np.argsort(place[order], kind="stable")][:size])


def draw_order(rows, steps, batch_size, seed):
    """The rows of each training step: one permutation of all rows after the other.

    Args:
        rows: int array.
        steps, batch_size: ints.
        seed: int.

    Returns:
        Int array (steps, batch_size).
    """
    rng = np.random.default_rng([seed, 1, len(rows)])
    needed = steps * batch_size
    epochs = -(-needed // len(rows))
    stream = np.concatenate([rng.permutation(rows) for _ in range(epochs)])
    return stream[:needed].reshape(steps, batch_size)


def evaluation_steps(steps, evaluations=12, span=64):
    """Steps at equal distances on a logarithmic scale, from `steps / span` to `steps`.

    Args:
        steps: int, the last step.
        evaluations: int, at most so many.
        span: int.

    Returns:
        Increasing list of ints.
    """
    first = max(1, round(steps / span))
    return sorted({round(step) for step in np.geomspace(first, steps, evaluations).tolist()})
