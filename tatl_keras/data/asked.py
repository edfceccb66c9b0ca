"""What `load` was asked for: which splits, and how rows come to be in them."""

import collections

import pandas

from tatl_keras.data import checks, splits

ALL = "all"


class Asked:
    """The splits a user asked for.

    Args:
        wanted: a name, a sequence of names, `"all"`, or a dict from names to lists of ids.
        fractions: as `splits.assign` takes it.
        seed: int.

    Raises:
        ValueError: the names, or the ids, are not different.
    """

    def __init__(self, wanted, fractions=None, seed=0):
        self.single = isinstance(wanted, str)
        self.ids = None
        if isinstance(wanted, dict):
            self.ids = {name: [str(i) for i in ids] for name, ids in wanted.items()}
            _check_disjoint(self.ids)
        self.names = (wanted,) if self.single else tuple(wanted)
        plain = [splits.plain_name(name) for name in self.names]
        if not plain or len(set(plain)) < len(plain) or (ALL in plain and not self.single):
            raise ValueError(
                "`splits` must be a name, several different names, 'all' alone, or a dict of ids. "
                f"Received: splits={wanted!r}"
            )
        self.fractions = fractions
        self.seed = seed

    @property
    def by_name(self):
        """Whether the names are to be found in the source, or made."""
        return self.ids is None and self.names != (ALL,)

    def plan(self, available):
        """The `splits.Plan` for a source with these splits; `None`: every row counts."""
        return splits.make_plan(self.names, available, self.fractions) if self.by_name else None

    def assign(self, rows):
        """Gives each row its split.

        Args:
            rows: frame of a `Source`.

        Returns:
            `(names, lost, notes)`: a series with each row's split, empty for none; a list of `Bad`
            for ids that no row has; a list of str.
        """
        if self.ids is not None:
            lost = [
                checks.Bad(None, i, "unknown id", f"in splits[{name!r}]")
                for name, ids in self.ids.items()
                for i in sorted(set(ids) - set(rows["id"]))
            ]
            where = {i: name for name, ids in self.ids.items() for i in ids}
            return rows["id"].map(where).fillna("").astype(str), lost, ["given as lists of ids"]
        if not self.by_name:
            return pandas.Series(ALL, index=rows.index), [], ["every row in one"]
        available = [name for name in rows["split"].unique() if name]
        plan = self.plan(available)
        assigned, notes = splits.assign(rows, plan, self.fractions, self.seed)
        if not plan.carved and self.fractions is not None:
            notes.append("`fractions` was not used: the splits are the source's own")
        return assigned, [], notes

    def homeless(self, rows, assigned, columns):
        """Bool series: the rows that should name a split, as others do, and do not.

        Args:
            rows: frame of a `Source`.
            assigned: series of their splits, as `assign` gives.
            columns: dict from role to column, of the `Source`.
        """
        in_column = self.by_name and columns["split"] is not None
        return (rows["split"] == "") & (assigned == "") & in_column


def _check_disjoint(ids):
    counted = collections.Counter(i for listed in ids.values() for i in set(listed))
    twice = [i for i, count in counted.items() if count > 1]
    if twice:
        raise ValueError(
            "`splits` must hold each id in one list. "
            f"Received: {twice[0]!r} in several of {list(ids)} ({len(twice)} such ids)"
        )
