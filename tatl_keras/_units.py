"""What must stay on one side of a split."""

import numpy as np


def units_of(count, *keys):
    """Which rows must stay on one side: rows that share a key, directly or through others.

    Args:
        count: int, rows.
        *keys: lists of `count` keys; `None` and "" bind nothing.

    Returns:
        Ints (count,), equal for rows that stay together.

    Example:

    >>> units_of(5, ["a", "a", "", "b", ""], [None, "p", "p", None, None]).tolist()
    [0, 0, 0, 3, 4]
    """
    parent = list(range(count))

    def root(row):
        while parent[row] != row:
            parent[row] = row = parent[parent[row]]
        return row

    for column in keys:
        first: dict = {}
        for row, key in enumerate(column or []):
            if key not in (None, ""):
                one, other = sorted((root(first.setdefault(key, row)), root(row)))
                parent[other] = one
    return np.array([root(row) for row in range(count)], int)
