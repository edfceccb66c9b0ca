"""Who learns and who is asked: splits that are given, and splits made by seed."""

import collections
import dataclasses
import difflib
import hashlib

import pandas
from absl import logging

COMMON = ("train", "validation", "test")
_OTHER_NAMES = {
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "dev": "validation",
    "eval": "test",
    "testing": "test",
}
_HELD_OUT = 0.2


@dataclasses.dataclass
class Plan:
    """Where the rows of each split asked for come from.

    Args:
        given: dict from a name asked for to the name the source has for it.
        carved: names among which the donors' rows are divided by seed.
        donors: names of the source's splits whose rows are divided; empty = all rows.
    """

    given: dict
    carved: list = dataclasses.field(default_factory=list)
    donors: list = dataclasses.field(default_factory=list)

    def sources(self):
        """The source's splits that must be read; empty = all of them."""
        return list(dict.fromkeys([*self.given.values(), *self.donors]))


def plain_name(name):
    """The common form of a split's name: `val`, `Valid` and `dev` are `validation`.

    Example:

    >>> plain_name("Val"), plain_name("night")
    ('validation', 'night')
    """
    name = str(name).strip().lower()
    return _OTHER_NAMES.get(name, name)


def make_plan(names, available, fractions=None):
    """Decides which splits are taken as the source has them and which are made.

    1. A name that the source has, also under another common spelling, is taken as it is.
    2. Names that it lacks are divided by seed: off its `train` if it has one, else off those of
       its splits nobody asked for, else off all rows. `train` comes first among them.

    Args:
        names: tuple of str, the splits asked for.
        available: list of str, the splits the source has; empty when it has none.
        fractions: as in `assign`; a dict names all splits that are to be made.

    Returns:
        A `Plan`.

    Raises:
        ValueError: a name is unknown, or one split alone was asked for and it would not be clear
            what the others are.
    """
    spelled = {plain_name(a): a for a in available} | {a: a for a in available}
    found = {n: spelled.get(n, spelled.get(plain_name(n))) for n in names}
    given = {n: a for n, a in found.items() if a}
    missing = [n for n in names if n not in given]
    if not missing:
        return Plan(given)
    strange = [n for n in missing if plain_name(n) not in COMMON]
    if available and strange:
        raise _unknown(strange[0], available)
    train = spelled.get("train")
    if train and train not in given.values():
        raise ValueError(
            f"`splits` must name {train!r} too when {missing[0]!r} is to be made from it. "
            f"Received: splits={names}, and the source has {', '.join(map(repr, available))}."
        )
    if train:
        donors = [train]
        carved = [n for n, a in given.items() if a == train] + missing
        given = {n: a for n, a in given.items() if a != train}
    else:
        donors = [a for a in available if a not in given.values()]
        if not donors:  # nothing else to divide
            donors, given, missing = list(available), {}, list(names)
        carved = missing if given else _whole(names, fractions)
    carved.sort(key=lambda name: plain_name(name) != "train")
    return Plan(given, carved, donors)


def assign(rows, plan, fractions=None, seed=0):
    """Gives each row its split.

    Rows are divided class by class, so that each class has its share in each split to within one
    example, or one group. Rows of one `group`, or of one picture, stay together. The outcome
    depends on the seed, the ids, groups and labels, never on the order of the rows. A class with
    a single example, or a single group, goes to the first split.

    Args:
        rows: frame with `id`, `image`, `label`, `group` and `split`.
        plan: `Plan`.
        fractions: share held out from the first split and divided equally among the others (a
            float, default 0.2), or a dict with the share of each.
        seed: int.

    Returns:
        `(names, notes)`: a `pandas.Series` with each row's split, empty where it is in none, and
        a list of str.
    """
    result = pandas.Series("", index=rows.index)
    for name, available in plan.given.items():
        result[rows["split"] == available] = name
    if not plan.carved:
        return result, []
    shares = shares_of(plan.carved, fractions)
    chosen = rows[rows["split"].isin(plan.donors)] if plan.donors else rows
    units = units_of(chosen)
    sizes = units.value_counts().to_dict()
    classes = _classes_of(units, chosen["label"])
    where, alone = _divide(sizes, classes, shares, seed)
    result[chosen.index] = units.map(where)
    origin = f"{'+'.join(plan.donors)} " if plan.donors else ""
    parts = ", ".join(f"{name} {share:g}" for name, share in shares.items())
    notes = [f"{origin}divided by seed {seed}: {parts}"]
    if alone:
        some = ", ".join(map(repr, alone[:5])) + (" …" if len(alone) > 5 else "")
        notes.append(
            f"{len(alone)} classes with a single example or group are in {plan.carved[0]!r} "
            f"alone: {some}"
        )
    return result, notes


def shares_of(names, fractions=None):
    """The share of each of the splits to be made.

    Example:

    >>> shares_of(["train", "validation", "test"])
    {'train': 0.8, 'validation': 0.1, 'test': 0.1}
    >>> shares_of(["train", "test"], {"train": 0.4, "validation": 0.2, "test": 0.4})
    {'train': 0.5, 'test': 0.5}
    """
    if isinstance(fractions, dict):
        values = [fractions.get(name, 0.0) for name in names]
        total = sum(fractions.values())
    else:
        held_out = _HELD_OUT if fractions is None else fractions
        others = len(names) - 1
        values = [1 - held_out, *[held_out / others] * others] if others else [1.0]
        total = 1.0
    if abs(total - 1) > 1e-6 or min(values) <= 0:
        raise ValueError(
            "`fractions` must be a share between 0 and 1, or a dict with a positive share for "
            f"each of {list(names)} that sums to 1. Received: fractions={fractions}"
        )
    return {name: value / sum(values) for name, value in zip(names, values, strict=True)}


def units_of(rows):
    """What must stay together, as strings: the group, else rows of one picture, else the row."""
    shared = (rows["image"] != "") & rows["image"].duplicated(keep=False)
    units = ("picture:" + rows["image"]).where(shared, "id:" + rows["id"])
    return units.where(rows["group"] == "", "group:" + rows["group"])


def torn_groups(rows):
    """A note, in a list, when groups have rows in several splits (column `to`); else nothing."""
    grouped = rows[rows["group"] != ""]
    torn = (grouped.groupby("group")["to"].nunique() > 1).sum()
    if not torn:
        return []
    note = f"{torn} groups have rows in several splits: near duplicates of what was learned"
    logging.warning("%s", note)
    return [note]


def _divide(sizes, classes, shares, seed):
    """Maps each unit to a split; also the classes that could not be divided."""
    first = next(iter(shares))
    members = collections.defaultdict(list)
    for unit, label in classes.items():
        members[label].append(unit)
    where, alone = {}, []
    carried = dict.fromkeys(shares, 0.0)
    for label, units in sorted(members.items()):
        if len(units) == 1:
            where[units[0]] = first
            alone.append(label)
            continue
        quota = _quotas(sum(sizes[unit] for unit in units), shares, carried)
        units.sort(key=lambda unit: (-sizes[unit], _hash(seed, "order", unit)))
        for unit in units:
            where[unit] = _draw(quota, sizes[unit], _hash(seed, "draw", unit))
            quota[where[unit]] -= sizes[unit]
        if all(where[unit] != first for unit in units):
            where[units[-1]] = first
    return where, alone


def _quotas(total, shares, carried):
    """Whole numbers of examples that sum to `total`; what rounding owes is carried on.

    `carried` holds, per split, the exact shares so far less the numbers given; it is updated.
    """
    exact = {name: carried[name] + share * total for name, share in shares.items()}
    quota = {name: min(max(int(value), 0), total) for name, value in exact.items()}
    owed = sorted(shares, key=lambda name: (quota[name] - exact[name], list(shares).index(name)))
    while sum(quota.values()) < total:
        quota[owed[0]] += 1
        owed.append(owed.pop(0))
    while sum(quota.values()) > total:
        quota[max(quota, key=quota.get)] -= 1
    first = next(iter(shares))
    if quota[first] == 0:
        quota[max(quota, key=quota.get)] -= 1
        quota[first] = 1
    for name in shares:
        carried[name] = exact[name] - quota[name]
    return quota


def _draw(quota, size, chance):
    """Draws a split in proportion to the room left, among those where the unit fits."""
    room = {name: left for name, left in quota.items() if left >= size}
    if not room:
        return max(quota, key=quota.get)
    point = chance * sum(room.values())
    for name, left in room.items():
        point -= left
        if point < 0:
            return name
    return name


def _classes_of(units, labels):
    """The most frequent label of each unit, the first in sorted order among equals."""
    counts = pandas.DataFrame({"unit": units, "label": labels}).value_counts().reset_index()
    counts = counts.sort_values(["unit", "count", "label"], ascending=[True, False, True])
    first = counts.drop_duplicates("unit")
    return dict(zip(first["unit"], first["label"], strict=True))


def _hash(seed, purpose, unit):
    """A number in [0, 1) that depends on the arguments alone."""
    digest = hashlib.sha256(f"{seed}\0{purpose}\0{unit}".encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def _whole(names, fractions):
    """All splits that a source without splits is divided into."""
    if isinstance(fractions, dict) and set(names) <= set(fractions):
        return list(fractions)
    if len(names) > 1:
        return list(names)
    if plain_name(names[0]) in ("train", "test"):
        return [names[0] if plain_name(names[0]) == n else n for n in ("train", "test")]
    raise ValueError(
        "`splits` must name all splits when the source has none, so that they do not overlap, or "
        f"be 'all'. Received: splits={names[0]!r}"
    )


def _unknown(name, available):
    close = difflib.get_close_matches(name, available, n=1)
    hint = f"Did you mean {close[0]!r}?" if close else "splits='all' takes every row."
    return ValueError(
        f"`splits` must be among {', '.join(map(repr, available))}, or be divided off them. "
        f"Received: splits={name!r}. {hint}"
    )
