"""Examples divided for leaving some out, each class spread evenly."""

import numpy as np

_MANY = 10  # scored rows a class, from which on one alone is left out


def folds_of_few(labels, scored):
    """`balanced_folds` below 10 scored rows a class on average; `None` from there on, or of none.

    Where there are many, one alone is left out; arguments as of `balanced_folds`.

    Example:

    >>> labels = np.repeat([0, 1], 10)
    >>> folds_of_few(labels, np.ones(20, bool)) is None
    True
    >>> int(folds_of_few(labels[1:], np.ones(19, bool)).max()) + 1
    9
    """
    if not 0 < len(labels) < _MANY * len(np.unique(labels)):
        return None
    return balanced_folds(labels, scored, _MANY)


def balanced_folds(labels, scored, most):
    """The fold of each row, so that what stays keeps the frequencies of the classes.

    As many folds as classes have scored rows on average, at least 2 and at most `most`. With two
    examples a class, each fold leaves one of every class out. Leaving out a single row would have
    its class judged by one example against two of the others.

    Args:
        labels: ints (n,), of the scored rows.
        scored: bools (N,), n of them true: rows that are left out in turn.
        most: int.

    Returns:
        Ints (N,), -1 for rows that are never left out.

    Example:

    >>> folds = balanced_folds(np.array([0, 0, 1, 1]), np.array([1, 1, 1, 1, 0], bool), 10)
    >>> sorted(folds[:2].tolist()), sorted(folds[2:4].tolist()), int(folds[4])
    ([0, 1], [0, 1], -1)
    """
    count = len(labels)
    number = min(most, max(2, count // len(np.unique(labels))))
    order = np.random.default_rng(0).permutation(count)
    order = order[np.argsort(labels[order], kind="stable")]
    folds = np.full(len(scored), -1)
    folds[np.flatnonzero(scored)[order]] = np.arange(count) % number
    return folds
