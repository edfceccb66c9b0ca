"""The front door: any source of labelled pictures with text, as `tf.data`."""

import os

import tensorflow as tf

from tatl_keras.data import checks, dataset, folder, labels, table
from tatl_keras.data.asked import Asked
from tatl_keras.data.pictures import VERIFY
from tatl_keras.data.splits import plain_name, torn_groups

_TFDS = "tfds:"
_FINGERPRINT_OF = {
    "decode": "rows and contents of pictures",
    "header": "rows and sizes of pictures",
    None: "rows",
}


def load(
    source,
    splits=("train", "test"),
    *,
    image=None,
    text=None,
    label=None,
    id=None,
    group=None,
    split=None,
    where=None,
    fractions=None,
    seed=0,
    class_names=None,
    text_from_class=False,
    on_bad="error",
    verify="decode",
    data_dir=None,
    verbose=True,
):
    """Loads examples from a manifest, a folder of classes or a TFDS data set.

        manifest     pets.csv, .tsv, .jsonl, .parquet: one row per example; pictures are paths
                     relative to the file (or absolute, or gs://…)
        folder       pets/<class>/1.jpg, with its text, if any, in pets/<class>/1.txt; or
                     pets/<split>/<class>/1.jpg
        TFDS         "tfds:oxford_flowers102", "tfds:openmoji", prepared on first use

    Every row is checked before anything is trained on; pictures are read when they are needed and
    never all at once. A picture or text that is absent is an empty string.

    Captions are texts without labels, `load(…, text="name", label=False)`. Where several pictures
    show one thing and share its id, `id=False, group="id"` keeps them on one side of a split.

    Splits that the source itself has (a column, folders, TFDS) are taken as they are. Others are
    made by `seed`: class by class, rows of a group or of one picture together, independent of the
    order of the rows. The order within a split is that of the source.

    Args:
        source: path of a manifest or a folder, or `"tfds:<name>"`.
        splits: name, or tuple of names, of the splits to return; `"all"` for every row in one; or
            a dict from names to lists of ids.
        image: column (TFDS: feature) of the pictures. `None` looks for one by name and content,
            `False` means there is none; so for the next five. A TFDS feature inside another is
            `"captions/text"`, and never found without being named.
        text: column of the texts, or list of columns, joined with ". "; a cell that is a list is
            joined with ", ". In folders, `False` leaves `.txt` files unread.
        label: column of the classes. `False` gives examples without label, as for prediction.
            Of several objects in a TFDS picture (`"objects/label"`) the largest one's class.
        id: column of names that tell rows apart. By default the picture's path does.
        group: column of what must not be torn apart by a split, such as near duplicates.
        split: column of splits' names.
        where: dict from column to a value, or list of values; other rows are left out.
        fractions: share held out from the first split and divided equally among the others,
            default 0.2, or a dict from names to shares. Used for splits that are made.
        seed: int, for splits that are made.
        class_names: list of str, the classes in the order of their indices. By default those of
            the TFDS data set, or the labels of the training split in order.
        text_from_class: `True` gives rows without text the name of their class; a dict gives
            them the class's description. Either tells the label: for tasks where the text of the
            class is known beforehand, never to measure how much text helps.
        on_bad: `"error"` raises on unreadable pictures, unknown labels, duplicate ids and rows with
            nothing in them; `"skip"` leaves them out and says so.
        verify: `"decode"` decodes each picture once, `"header"` looks at its first bytes, `None`
            trusts them.
        data_dir: where TFDS keeps its data sets.
        verbose: whether to print what was found, on stderr.

    Returns:
        A `tf.data.Dataset`, or a tuple of them for several splits, unbatched and in order, of
        `({"image": encoded bytes, "text": string}, label int32)`, or the dict alone with
        `label=False`. Each has the attributes `class_names` (list of str, or `None`), `ids` (list
        of str), `rows` (frame of `id`, `text` and `image`, the path of the picture's file; `None`
        for TFDS) and `summary` (dict: counts per class, what is missing, columns, what was skipped
        and why, `fingerprint`). As in Keras, `map`, `batch` and the like return data sets without
        these attributes.

    Raises:
        ValueError: an argument, a column or a row is not as it must be.
        FileNotFoundError: `source` does not exist.
        RuntimeError: a TFDS data set cannot be prepared.

    Example:

    >>> import os, tempfile
    >>> from tatl_keras.data import synthetic
    >>> manifest = synthetic.write_manifest(tempfile.mkdtemp(), num_classes=2, num_examples=20)
    >>> train, test = load(manifest, verbose=False)
    >>> train.class_names, len(train), len(test)
    (['blue circle', 'red square'], 16, 4)
    """
    checks.check_choice("on_bad", on_bad, checks.ON_BAD)
    checks.check_choice("verify", verify, VERIFY)
    asked = Asked(splits, fractions, seed)
    wanted = dict(image=image, text=text, label=label, id=id, group=group, split=split)
    found = _open(source, asked, wanted, where, data_dir)
    labelled = _is_labelled(found, label, text_from_class)
    assigned, lost, notes = asked.assign(found.rows)
    if not labelled:
        names = None
    elif class_names is not None:
        names = labels.check_names(class_names)
    else:
        names = found.class_names or labels.derive(_learned(found.rows, assigned)["label"])
    rows, bad, digests = _examine(found, assigned, asked, names, verify, verbose)
    bad = lost + bad
    checks.handle(bad, on_bad, found.name, len(rows) + len(bad))
    rows, told = _text_from_class(rows, names, text_from_class)
    known = {
        "source": str(source),
        "columns": found.columns,
        "notes": found.notes + notes + told + torn_groups(rows),
        **checks.told(bad),
        "fingerprint_of": _FINGERPRINT_OF[verify],
    }
    parts = [_one(found, rows, name, names, digests, known) for name in asked.names]
    if verbose:
        dataset.report(found.name, parts, _describe)
    return parts[0] if asked.single else tuple(parts)


def _open(source, asked, wanted, where, data_dir):
    """The `Source` that `source` names."""
    path = os.path.expanduser(os.fspath(source))
    if path.startswith(_TFDS):
        if where is not None:
            raise ValueError(f"`where` must be None for TFDS data sets. Received: where={where}")
        from tatl_keras.data import tfds_source  # TFDS takes a while to import

        return tfds_source.read(path.removeprefix(_TFDS), asked.plan, wanted, data_dir)
    if not tf.io.gfile.exists(path):
        raise FileNotFoundError(f"`source` must exist. Received: source={path!r}")
    if tf.io.gfile.isdir(path):
        named = [role for role, value in wanted.items() if value not in (None, False)]
        if named or where is not None:
            raise ValueError(
                "`source` must be a manifest when columns are named. "
                f"Received: source={path!r}, a folder, with {', '.join(named) or 'where'}=…"
            )
        names = asked.names if asked.by_name else ()
        return folder.read(path, names, wanted["label"] is not False, wanted["text"] is not False)
    if not path.lower().endswith(table.ENDINGS):
        raise ValueError(
            f"`source` must be a file ending in {', '.join(table.ENDINGS)}, a folder of class "
            f"folders, or '{_TFDS}<name>'. Received: source={path!r}"
        )
    return table.read(path, wanted, where)


def _is_labelled(found, label, text_from_class):
    if label is False and text_from_class:
        raise ValueError(
            "`text_from_class` must be False where there are no labels. "
            f"Received: text_from_class={text_from_class!r}, label=False"
        )
    if label is not False and found.columns["label"] is None:
        raise ValueError(
            f"`label` must be named, or False for examples without label. Received: label={label}, "
            f"and {found.name} has nothing called like one."
        )
    return label is not False


def _text_from_class(rows, class_names, text_from_class):
    """Fills empty texts where that was asked for; also a note that says so."""
    if not text_from_class:
        return rows, []
    texts = labels.texts(class_names, text_from_class)
    absent = rows["text"] == ""
    filled = rows["text"].where(~absent, rows["target"].map(dict(enumerate(texts))))
    note = f"{absent.sum()} missing texts were made from the class, so they tell the label"
    return rows.assign(text=filled), [note]


def _learned(rows, assigned):
    """The rows that define the classes: those of the training split, else all that are in one."""
    for names in (assigned, rows["split"]):
        train = names.map(plain_name) == "train"
        if train.any():
            return rows[train]
    return rows[assigned != ""]


def _examine(found, assigned, asked, class_names, verify, verbose):
    """Checks the rows of the splits asked for.

    Returns:
        `(rows, bad, digests)`: the good rows, with columns `to` (split) and `target` (class);
        a list of `Bad`; the digests of their pictures.
    """
    rows = found.rows
    labelled = class_names is not None
    homeless = asked.homeless(rows, assigned, found.columns)
    bad = checks.of_rows(rows, labelled, found.has_ids, homeless)
    rows = rows.assign(to=assigned, target=-1)
    if labelled:
        rows["target"] = labels.encode(rows["label"], class_names)
        bad = checks.of_labels(rows, rows["target"], class_names) | bad
    used = rows[assigned.isin(asked.names) | homeless]
    bad = {i: item for i, item in bad.items() if i in used.index}
    good = used.drop(index=list(bad))
    errors, digests = found.pictures.check(good, verify, verbose)
    bad |= checks.of_pictures(good, errors)
    return good.drop(index=list(errors)), [bad[i] for i in sorted(bad)], digests


def _one(found, rows, name, class_names, digests, known):
    """One split as a data set with its attributes."""
    rows = rows[rows["to"] == name]
    if rows.empty:
        raise ValueError(
            f"`splits` must be splits with examples in them. Received: {name!r}, which is empty in "
            f"{found.name} (skipped: {known['skipped_counts'] or 'none'})."
        )
    index = None if class_names is None else rows["target"].tolist()
    counts = dataset.summarise(rows, index, class_names)
    summary = {"split": name, **counts, **known}
    summary["fingerprint"] = dataset.fingerprint(rows, class_names, digests)
    examples = dataset.build(found.pictures, rows, index)
    files = found.pictures.files(rows)
    examples.rows = None if files is None else rows[["id", "text"]].assign(image=files)
    return dataset.attach(examples, class_names, rows["id"].tolist(), summary)


def _describe(part):
    """One split, for people."""
    counts = part.summary
    classes = "" if part.class_names is None else f" of {len(part.class_names)} classes"
    return (
        f"{counts['num_examples']} examples{classes}, "
        f"{counts['missing_image']} without picture, {counts['missing_text']} without text"
    )
