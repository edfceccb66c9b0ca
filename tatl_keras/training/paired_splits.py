"""Training and test sets drawn by seed: few-shot ones inside each other, and a larger one."""

import numpy as np


def draw_splits(labels, units, shots, held_out, seed):
    """Training and test rows of one seed.

    Few-shot sets have exactly k examples a class, of k different units, and are inside each
    other; all rows of other units are asked. The larger set leaves out about `held_out` of each
    class, whole units only. A set for which some class has not units enough is left out.

    Args:
        labels: ints (N,).
        units: ints (N,), as `_units.units_of` gives.
        shots: ints, examples a class.
        held_out: float between 0 and 1, or `None` for no larger set.
        seed: int.

    Returns:
        A dict from name (`"k1"`, `"80/20"`) to `(train, test)`, sorted int arrays.
    """
    rng, chosen = np.random.default_rng(seed), {}
    order, chance = rng.permutation(len(labels)), rng.random(len(labels))
    heads: list = []  # for each class, a row of each unit, in the order of the draw
    for label in np.unique(labels):
        rows = order[labels[order] == label]
        rows = rows[np.argsort(chance[units[rows]], kind="stable")]  # whatever a unit's size
        _, first = np.unique(units[rows], return_index=True)
        heads.append(rows[np.sort(first)])
    for k in shots:
        if all(len(rows) > k for rows in heads):
            train = np.concatenate([rows[:k] for rows in heads])
            chosen[f"k{k}"] = (np.sort(train), _others(units, train))
    if held_out is not None and all(len(rows) > 1 for rows in heads):
        test = _held_out(labels, units, heads, held_out)
        name = f"{100 * (1 - held_out):.0f}/{100 * held_out:.0f}"
        chosen[name] = (np.flatnonzero(~test), np.flatnonzero(test))
    return {name: sides for name, sides in chosen.items() if len(sides[1])}


def _others(units, rows):
    return np.flatnonzero(~np.isin(units, units[rows]))


def _held_out(labels, units, heads, share):
    """Bools (N,): the rows to be asked; each class keeps at least one of its units."""
    kept, taken = {units[rows[-1]] for rows in heads}, set()
    for rows in heads:
        found, counts = np.unique(units[labels == labels[rows[0]]], return_counts=True)
        sizes = dict(zip(found.tolist(), counts.tolist(), strict=True))
        have, wanted = sum(sizes.get(unit, 0) for unit in taken), share * counts.sum()
        for unit in units[rows].tolist():
            if unit not in kept and unit not in taken and have + sizes[unit] / 2 <= wanted:
                taken.add(unit)
                have += sizes[unit]
    return np.isin(units, sorted(taken))
