"""What a model said of each example, kept for comparisons, reports and questions of your own."""

import io
import os
import zipfile

import numpy as np

from tatl_keras._files import write_whole
from tatl_keras._probabilities import checked_labels, checked_scores

_NAMES = ("ids", "labels", "logits")


def write_predictions(path, ids, labels, logits):
    """Writes a file that NumPy reads without pickle, whole or not at all.

    Args:
        path: file, such as `predictions.npz`.
        ids: list of str (N,), the examples' names.
        labels: ints (N,), from 0 to C - 1.
        logits: floats (N, C), stored as float32.

    Raises:
        ValueError: the lengths differ, a logit is not finite, a label is no class.

    Example:

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "predictions.npz")
    >>> write_predictions(path, ["a", "b"], [0, 1], [[1.0, 0.0], [2.0, 0.0]])
    >>> found = read_predictions(path)
    >>> found["ids"], (found["logits"].argmax(axis=1) == found["labels"]).tolist()
    (['a', 'b'], [True, False])
    """
    logits = checked_scores("logits", logits)
    labels = checked_labels("labels", labels, logits.shape)
    if len(ids) != len(labels):
        raise ValueError(
            f"`ids` must be one for each of {len(labels)} rows. Received: {len(ids)} ids."
        )
    contents = io.BytesIO()
    kinds = np.asarray([str(name) for name in ids], np.str_)
    np.savez_compressed(
        contents, ids=kinds, labels=labels.astype(np.int32), logits=logits.astype(np.float32)
    )
    write_whole(path, contents.getvalue())


def read_predictions(path):
    """Reads what `write_predictions` wrote.

    Returns:
        A dict: `ids` (list of str), `labels` (int32, (N,)), `logits` (float32, (N, C)).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is of another kind.

    Example: see `write_predictions`.

    >>> read_predictions("nowhere/predictions.npz")
    Traceback (most recent call last):
    FileNotFoundError: `path` must be a file. Received: path='nowhere/predictions.npz'
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f"`path` must be a file. Received: path={os.fspath(path)!r}")
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in _NAMES}
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"`path` must be a file of predictions. Received: path={os.fspath(path)!r}: {error}"
        ) from None
    return found | {"ids": found["ids"].tolist()}
