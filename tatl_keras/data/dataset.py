"""Checked rows to `tf.data`, with what is known about them attached."""

import hashlib
import sys

import numpy as np
import tensorflow as tf
import tqdm


def build(pictures, rows, indices=None):
    """Makes the examples of one split.

    Args:
        pictures: `FilePictures` or `StreamPictures`.
        rows: frame with `image` and `text`, at least one row.
        indices: sequence of class indices, or `None` for examples without a label.

    Returns:
        A `tf.data.Dataset` of `({"image": bytes, "text": string}, label)`, or of the dict alone.
    """
    text = tf.data.Dataset.from_tensor_slices(tf.constant(rows["text"].tolist(), tf.string))
    parts = [pictures.dataset(rows), text]
    if indices is None:
        return tf.data.Dataset.zip(*parts).map(_example)
    parts.append(tf.data.Dataset.from_tensor_slices(np.asarray(indices, np.int32)))
    return tf.data.Dataset.zip(*parts).map(lambda image, text, y: (_example(image, text), y))


def build_pairs(rows, summary):
    """Makes the pairs of one split, with their attributes.

    Args:
        rows: frame with `id`, `text`, `target` and `group`, at least one row.
        summary: dict of what else is known about them.

    Returns:
        A `tf.data.Dataset` of `{"text": string, "target": string}` as `data.load_pairs` gives it.
    """
    sides = {side: tf.constant(rows[side].tolist(), tf.string) for side in ("text", "target")}
    pairs = tf.data.Dataset.from_tensor_slices(sides)
    pairs.rows = rows[["id", "text", "target", "group"]].reset_index(drop=True)
    digest = fingerprint(rows, None, {}, ("id", "text", "target"))
    known = {"num_examples": len(rows), **summary, "fingerprint": digest}
    return attach(pairs, None, rows["id"].tolist(), known)


def attach(dataset, class_names, ids, summary):
    """Sets the attributes that `load` promises, and returns the data set."""
    dataset.class_names = class_names
    dataset.ids = ids
    dataset.summary = summary
    return dataset


def summarise(rows, indices, class_names):
    """Counts one split.

    Args:
        rows: frame with `image` and `text`.
        indices: sequence of class indices, or `None`.
        class_names: list of str, or `None`.

    Returns:
        A dict of plain numbers and strings.
    """
    summary = {
        "num_examples": len(rows),
        "missing_image": int((rows["image"] == "").sum()),
        "missing_text": int((rows["text"] == "").sum()),
    }
    if indices is not None:
        counted = np.bincount(np.asarray(indices, int), minlength=len(class_names))
        summary["class_counts"] = dict(zip(class_names, counted.tolist(), strict=True))
    return summary


def fingerprint(rows, class_names, digests, columns=("id", "image", "text", "label")):
    """The sha256 of the rows in their order, and of their pictures as far as these were looked at.

    Where the files lie and when they were written does not matter.

    Args:
        rows: frame with `columns`.
        class_names: list of str, or `None`.
        digests: dict from the rows' index to a string that changes with the picture.
        columns: tuple of str.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256("\0".join(class_names or []).encode())
    for row in rows[list(columns)].itertuples():
        fields = (*row[1:], digests.get(row.Index, ""))
        digest.update(b"\0\0")
        digest.update("\0".join(fields).encode("utf-8", errors="surrogatepass"))
    return digest.hexdigest()


def report(name, parts, describe):
    """Tells people, on stderr, what was found.

    Args:
        name: what to call the source.
        parts: list of data sets with `summary`.
        describe: function from a data set to a str.
    """
    summary = parts[0].summary
    chosen = [f"{role}: {column}" for role, column in summary["columns"].items() if column]
    lines = [f"{name} ({', '.join(chosen)})"]
    lines += [f"  {part.summary['split']}: {describe(part)}" for part in parts]
    skipped = [f"skipped {count} {kind}" for kind, count in summary["skipped_counts"].items()]
    lines += [f"  {note}" for note in skipped + summary["notes"]]
    tqdm.tqdm.write("\n".join(lines), file=sys.stderr)


def _example(image, text):
    return {"image": tf.ensure_shape(image, []), "text": text}
