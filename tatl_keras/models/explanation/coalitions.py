"""Which coalitions of regions and words are looked at, and how often each could have been."""

import dataclasses
import itertools
import math

import numpy as np

_LISTED = 5000  # so many coalitions of a size are listed to draw from


@dataclasses.dataclass(frozen=True)
class Pool:
    """Coalitions of the n players of one modality, with each its complement.

    Args:
        members: bools (K, n). Row 0 is nobody; with players, row 2u + 1 is the complement of row
            2u.
    """

    members: np.ndarray

    @property
    def sizes(self):
        """Ints (K,), how many players a coalition has."""
        return self.members.sum(axis=1)

    @property
    def complements(self):
        """Ints (K,), the row of each row's complement."""
        rows = np.arange(len(self.members))
        return rows ^ 1 if self.members.shape[1] else rows

    @property
    def shares(self):
        """Floats (K,), the share of all coalitions of a row's size that are here."""
        n = self.members.shape[1]
        here = np.bincount(self.sizes, minlength=n + 1)
        return np.array([here[size] / math.comb(n, size) for size in self.sizes])


def draw_pool(players, budget, rng):
    """Draws coalitions: nobody and all, then of every size as many as help most.

    Of each size some are drawn without replacement, all alike likely, and their complements. Sizes
    near 1 and n - 1 weigh more in a Shapley value; there are few of them, often all are taken.

    Args:
        players: int n ≥ 0.
        budget: int, the most coalitions; but 2n + 2, where that is more, so that some have every
            size.
        rng: a `numpy.random.Generator`.

    Returns:
        A `Pool`.
    """
    if not players:
        return Pool(np.zeros((1, 0), bool))
    sizes = range(1, players // 2 + 1)
    there = [math.comb(players, size) // (2 if 2 * size == players else 1) for size in sizes]
    taken = [min(2, most) for most in there]
    weights = [1 / math.sqrt(size * (players - size)) for size in sizes]
    for _ in range(sum(taken), budget // 2 - 1):
        gains = [
            weight / (count + 1) if count < most else 0.0
            for weight, count, most in zip(weights, taken, there, strict=True)
        ]
        if not any(gains):
            break
        taken[int(np.argmax(gains))] += 1
    units = [np.zeros((1, players), bool)]
    units += [_draw(players, *numbers, rng) for numbers in zip(sizes, taken, there, strict=True)]
    half = np.concatenate(units)
    return Pool(np.stack([half, ~half], axis=1).reshape(-1, players))


def _draw(players, size, count, there, rng):
    """Coalitions (count, n) of one size, all different and none the complement of another."""
    first = 2 * size == players  # only those with player 0: the others are their complements
    if there <= _LISTED:
        places = range(1, players) if first else range(players)
        known = list(itertools.combinations(places, size - first))
        chosen = [known[i] for i in np.sort(rng.permutation(len(known))[:count])]
    else:
        found: dict[tuple, None] = {}
        while len(found) < count:
            drawn = rng.permutation(np.arange(first, players))[: size - first]
            found[tuple(np.sort(drawn).tolist())] = None
        chosen = list(found)
    members = np.zeros((count, players), bool)
    for row, places in zip(members, chosen, strict=True):
        row[list(places)] = True
        row[0] |= first
    return members


def draw_pairs(images, texts, budget, masses, rng):
    """Pairs of coalitions: all of them, or as many as the budget allows.

    Pairs are drawn by the sizes (s, t) of their two coalitions, in proportion to `masses`, but at
    least one each; among pairs of the same sizes every coalition takes part about equally often.
    With a pair comes the pair of both complements.

    Args:
        images, texts: `Pool`s.
        budget: int, the most pairs, if there are not more sizes.
        masses: floats (n + 1, m + 1), how much pairs of these sizes weigh.
        rng: a `numpy.random.Generator`.

    Returns:
        `(pairs, shares)`: ints (P, 2), rows of `images` and `texts`, and floats (P,), the share of
        the pools' pairs of the same sizes that are here. Row 2u + 1 holds the complements of row
        2u, unless there are no players at all.
    """
    whole = len(images.members) * len(texts.members)
    groups = _cells(images, texts)
    if whole <= budget:
        counts = {cell: len(rows) * len(columns) for cell, (rows, columns) in groups.items()}
    else:
        total = sum(masses[cell] for cell in groups)
        counts = {}
        for cell, (rows, columns) in groups.items():
            wished = round(budget / 2 * masses[cell] / total)
            counts[cell] = min(max(wished, 1), len(rows) * len(columns))
    pairs, shares = [], []
    for cell, (rows, columns) in groups.items():
        some = _balanced(rng.permutation(rows), rng.permutation(columns), counts[cell])
        pairs.append(some)
        shares.append(np.full(len(some), len(some) / (len(rows) * len(columns))))
    half, shares = np.concatenate(pairs), np.concatenate(shares)
    mirrored = np.stack([images.complements[half[:, 0]], texts.complements[half[:, 1]]], axis=1)
    if not (images.members.shape[1] or texts.members.shape[1]):
        return half, shares
    return np.stack([half, mirrored], axis=1).reshape(-1, 2), np.repeat(shares, 2)


def _cells(images, texts):
    """Dict from sizes (s, t) to the rows of both pools; of two mirrored cells only the first.

    Of a cell that is its own mirror only the first of each two rows of one pool are given.
    """
    n, m = images.members.shape[1], texts.members.shape[1]
    found = {}
    for s, t in itertools.product(range(n + 1), range(m + 1)):
        if (s, t) > (n - s, m - t):
            continue
        rows, columns = np.flatnonzero(images.sizes == s), np.flatnonzero(texts.sizes == t)
        if (s, t) == (n - s, m - t) and n:
            rows = rows[rows % 2 == 0]
        elif (s, t) == (n - s, m - t) and m:
            columns = columns[columns % 2 == 0]
        if len(rows) and len(columns):
            found[s, t] = rows, columns
    return found


def _balanced(rows, columns, count):
    """`count` different pairs in which all rows, and all columns, are about equally frequent."""
    a, b = len(rows), len(columns)
    steps = np.arange(count)
    return np.stack([rows[steps % a], columns[(steps + steps // math.lcm(a, b)) % b]], axis=1)
