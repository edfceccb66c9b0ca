"""Pairs of texts, such as sentences and their translations, as `tf.data`."""

import os

import tensorflow as tf

from tatl_keras._units import units_of
from tatl_keras.data import checks, dataset, table
from tatl_keras.data.asked import Asked
from tatl_keras.data.splits import torn_groups

_EMOJI = "emoji:"


def load_pairs(
    source,
    splits=("train", "test"),
    *,
    text=None,
    target=None,
    id=None,
    group=None,
    split=None,
    where=None,
    fractions=None,
    seed=0,
    on_bad="error",
    verbose=True,
):
    """Loads pairs of texts from a file with one pair per row, or the names of emoji.

        file         pairs.csv, .tsv, .jsonl, .parquet: a column of texts and one of targets
        emoji        "emoji:en-de": see `emoji_pairs`

    Every row is checked before anything is trained on. Texts are taken as they are: lower case and
    the like are the model's business.

    Splits that the source itself has (a column) are taken as they are. Others are made by `seed`,
    as in `load`; pairs of one group or of one text stay together, also through others, so that no
    text is on both sides.

    Args:
        source: path of a file, or `"emoji:<language>-<language>"`.
        splits: as in `load`: names, `"all"`, or a dict from names to lists of ids.
        text: column of what is translated. `None` looks for one by its name (`text`, `caption`, …).
        target: column of what it is translated into. `None` looks for one (`target`,
            `translation`, …).
        id: column of names that tell pairs apart; `None` looks for one, `False` means there is
            none; so for the next two. By default a hash of the text.
        group: column of what must not be torn apart by a split.
        split: column of splits' names.
        where: dict from column to a value, or list of values; other rows are left out.
        fractions: as in `load`.
        seed: int, for splits that are made.
        on_bad: `"error"` raises on empty texts, empty targets and duplicate ids; `"skip"` leaves
            them out and says so.
        verbose: whether to print what was found, on stderr.

    Returns:
        A `tf.data.Dataset`, or a tuple of them for several splits, unbatched and in order, of
        `{"text": string, "target": string}`. Each has the attributes `ids` (list of str), `rows`
        (frame of `id`, `text`, `target` and `group`, what was kept together), `summary` (dict:
        counts, columns, what was skipped and why, `fingerprint`) and `class_names` (`None`). As in
        Keras, `map`, `batch` and the like return data sets without these attributes.

    Raises:
        ValueError: an argument, a column or a row is not as it must be.
        FileNotFoundError: `source` does not exist.
        ImportError: names of emoji are asked for and the package `emoji` is not installed.

    Example:

    >>> import os, tempfile
    >>> from tatl_keras import data
    >>> path = os.path.join(tempfile.mkdtemp(), "pairs.csv")
    >>> with open(path, "w") as file:
    ...     _ = file.write("en,de\\nred apple,roter Apfel\\napple,Apfel\\nred,rot\\ntree,Baum\\n")
    >>> train, test = data.load_pairs(path, text="en", target="de", verbose=False)
    >>> len(train), len(test), sorted(next(iter(test)))
    (3, 1, ['target', 'text'])
    """
    checks.check_choice("on_bad", on_bad, checks.ON_BAD)
    asked = Asked(splits, fractions, seed)
    wanted = dict(text=text, target=target, id=id, group=group, split=split)
    found = _open(source, wanted, where)
    found.rows["group"] = _groups(found.rows)
    assigned, lost, notes = asked.assign(found.rows)
    homeless = asked.homeless(found.rows, assigned, found.columns)
    rows = found.rows.assign(to=assigned)[assigned.isin(asked.names) | homeless]
    wrong = checks.of_pairs(found.rows, found.has_ids, homeless)
    bad = lost + [wrong[index] for index in rows.index if index in wrong]
    good = rows.drop(index=rows.index.intersection(list(wrong)))
    checks.handle(bad, on_bad, found.name, len(good) + len(bad))
    known = {
        "source": str(source),
        "columns": found.columns,
        "notes": found.notes + notes + torn_groups(good),
        **checks.told(bad),
        "fingerprint_of": "rows",
    }
    parts = [_one(found.name, good, name, known) for name in asked.names]
    if verbose:
        dataset.report(found.name, parts, lambda part: f"{part.summary['num_examples']} pairs")
    return parts[0] if asked.single else tuple(parts)


def _open(source, wanted, where):
    """The `Source` of pairs that `source` names."""
    path = os.path.expanduser(os.fspath(source))
    if path.startswith(_EMOJI):
        named = [role for role, value in wanted.items() if value is not None]
        if named or where is not None:
            raise ValueError(
                "`source` must be a file when columns are named. "
                f"Received: source={path!r} with {', '.join(named) or 'where'}=…"
            )
        from tatl_keras.data import emoji_names

        return emoji_names.read(path.removeprefix(_EMOJI))
    if not tf.io.gfile.exists(path):
        raise FileNotFoundError(f"`source` must exist. Received: source={path!r}")
    if not path.lower().endswith(table.ENDINGS):
        raise ValueError(
            f"`source` must be a file ending in {', '.join(table.ENDINGS)}, or "
            f"'{_EMOJI}<language>-<language>'. Received: source={path!r}"
        )
    return table.read_rows(path, wanted, where, [("text",), ("target",)])


def _groups(rows):
    """What stays together, named by the first of its groups, or else of its ids, in sorted order.

    Rows do so that share a group or a text, directly or through others.
    """
    units = units_of(len(rows), rows["group"].tolist(), rows["text"].tolist())
    names = rows["group"].where(rows["group"] != "", rows["id"])
    return names.groupby(units).transform("min")


def _one(name, rows, split, known):
    """One split as a data set with its attributes."""
    rows = rows[rows["to"] == split]
    if rows.empty:
        raise ValueError(
            f"`splits` must be splits with pairs in them. Received: {split!r}, which is empty in "
            f"{name} (skipped: {known['skipped_counts'] or 'none'})."
        )
    return dataset.build_pairs(rows, {"split": split, **known})
