"""What is wrong with rows, before any training."""

import collections
import dataclasses

from absl import logging

LISTED = 10
ON_BAD = ("error", "skip")
_HINTS = {
    "duplicate id": "where={column: value} takes a part of the rows; id=False goes by the paths.",
    "unknown label": "class_names=[…] names classes that the training split lacks.",
    "no label": "label=False loads examples without labels.",
}


@dataclasses.dataclass(frozen=True)
class Bad:
    """A row that cannot be used.

    Args:
        row: int, as counted in the file, or `None`.
        id: str.
        kind: str, for counting.
        detail: str, what was found.
    """

    row: int | None
    id: str
    kind: str
    detail: str = ""

    @property
    def reason(self):
        return f"{self.kind}: {self.detail}" if self.detail else self.kind

    def __str__(self):
        place = "" if self.row is None else f"row {self.row}, "
        return f"{place}id {self.id!r}: {self.reason}"


def of_rows(rows, labelled, has_ids, homeless):
    """Finds rows that are wrong by themselves.

    Args:
        rows: frame of a `Source`.
        labelled: whether each row needs a label.
        has_ids: whether ids come from the source; then the second of two equal ones is bad.
        homeless: bool series, rows that should name a split and do not.

    Returns:
        A dict from the rows' index to `Bad`.
    """
    tests = {
        "neither picture nor text": (rows["image"] == "") & (rows["text"] == ""),
        "no label": (rows["label"] == "") & labelled,
        "no split": homeless,
    }
    return _first_of(tests, rows, has_ids)


def of_pairs(rows, has_ids, homeless):
    """Finds pairs that are wrong by themselves.

    Args:
        rows: frame of a `Source` with a column `target`.
        has_ids: as in `of_rows`.
        homeless: as in `of_rows`.

    Returns:
        A dict from the rows' index to `Bad`.
    """
    tests = {
        "empty text": rows["text"] == "",
        "empty target": rows["target"] == "",
        "no split": homeless,
    }
    return _first_of(tests, rows, has_ids)


def of_labels(rows, indices, class_names):
    """Finds rows whose label is none of the classes.

    Args:
        rows: frame of a `Source`.
        indices: series of class indices, -1 = none.
        class_names: list of str.
    """
    some = ", ".join(class_names[:5]) + (" …" if len(class_names) > 5 else "")
    wrong = rows[(indices[rows.index] < 0) & (rows["label"] != "")]
    return {
        row.Index: Bad(row.row, row.id, "unknown label", f"{row.label!r} is not among {some}")
        for row in wrong.itertuples()
    }


def of_pictures(rows, errors):
    """Turns what a picture check found into `Bad` rows."""
    return {
        row.Index: Bad(row.row, row.id, "unreadable picture", f"{row.image!r} {errors[row.Index]}")
        for row in rows[rows.index.isin(errors)].itertuples()
    }


def handle(bad, on_bad, name, total):
    """Raises, or reports what is skipped.

    Args:
        bad: list of `Bad`.
        on_bad: `"error"` or `"skip"`.
        name: what to call the source.
        total: how many rows were looked at.

    Raises:
        ValueError: `on_bad="error"` and there are bad rows. Lists the first ten and their number.
    """
    if not bad:
        return
    found = counts(bad)
    kinds = ", ".join(f"{count} {kind}" for kind, count in found.items())
    hints = " ".join(_HINTS[kind] for kind in found if kind in _HINTS)
    listed = "\n".join(f"  {item}" for item in bad[:LISTED])
    more = f"\n  … and {len(bad) - LISTED} more" if len(bad) > LISTED else ""
    text = f"{name} has {len(bad)} bad rows among {total} ({kinds}). Row 1 is the first example"
    if on_bad == "skip":
        logging.warning("Skipped: %s:\n%s%s", text, listed, more)
        return
    raise ValueError(
        f"{text}:\n{listed}{more}\nMend them, or leave them out with on_bad='skip'. {hints}".strip()
    )


def counts(bad):
    """How many rows are bad in which way, most frequent first."""
    return dict(collections.Counter(item.kind for item in bad).most_common())


def told(bad):
    """What a summary says of the rows that were skipped."""
    skipped = [{"row": item.row, "id": item.id, "reason": item.reason} for item in bad]
    return {"skipped_counts": counts(bad), "skipped": skipped}


def check_choice(name, value, choices):
    """Raises ValueError when an argument is none of the values it may have."""
    if value not in choices:
        raise ValueError(f"`{name}` must be one of {choices}. Received: {name}={value!r}")


def _first_of(tests, rows, has_ids):
    """The first kind of badness of each row; `tests` maps kinds to bool series."""
    bad = {}
    first_rows = rows.drop_duplicates("id").set_index("id")["row"]
    for row in rows[rows["id"].duplicated() & has_ids].itertuples():
        bad[row.Index] = Bad(row.row, row.id, "duplicate id", f"as row {first_rows[row.id]}")
    for kind, mask in tests.items():
        for row in rows[mask].itertuples():
            bad.setdefault(row.Index, Bad(row.row, row.id, kind))
    return bad
