"""The one form that manifests, folders and TFDS data sets are brought to."""

import dataclasses
import hashlib

import pandas

ROLES = ("image", "text", "label", "group", "split", "id")


@dataclasses.dataclass
class Source:
    """Rows of strings, with the means to read their pictures.

    Args:
        name: what to call the source in messages.
        rows: `pandas.DataFrame` with a column `row` (int, from 1, as in the file) and one string
            column per name in `ROLES`; an empty string stands for "there is none".
        pictures: object with `dataset(rows)`, a `tf.data.Dataset` of the rows' encoded pictures,
            and `check(rows, verify, progress)`, which returns `(errors, digests)`, two dicts
            keyed by the rows' index.
        columns: dict from role to where it was found, or `None`.
        class_names: list of str when the source itself defines them, else `None`.
        has_ids: whether `id` comes from the source, so that it must be unique.
        notes: list of str, things worth telling the user.
    """

    name: str
    rows: pandas.DataFrame
    pictures: object
    columns: dict
    class_names: list | None = None
    has_ids: bool = False
    notes: list = dataclasses.field(default_factory=list)


def complete(rows):
    """Gives rows without an id one that does not depend on where they stand: path, or hash of text.

    Rows that would share such an id get `#2`, `#3` … in the order of the file.

    Args:
        rows: `pandas.DataFrame` with `id`, `image`, `text` and `label`. Changed in place.

    Returns:
        The same frame.
    """
    seen = {}
    ids = []
    for row in rows.itertuples():
        name = row.id or row.image
        if not name:
            name = "text-" + hashlib.sha256(f"{row.text}\0{row.label}".encode()).hexdigest()[:12]
        if not row.id:
            seen[name] = seen.get(name, 0) + 1
            name = name if seen[name] == 1 else f"{name}#{seen[name]}"
        ids.append(name)
    rows["id"] = ids
    return rows
