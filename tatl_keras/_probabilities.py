"""Softmax in NumPy, and checks of logits and labels that come from outside."""

import numpy as np


def log_softmax(scores):
    """Logarithm of softmax over the last axis, in the dtype of `scores`."""
    shifted = scores - scores.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def checked_scores(name, scores):
    """Floats (N, C) as float64, or a ValueError."""
    scores = np.asarray(scores, np.float64)
    if scores.ndim != 2 or 0 in scores.shape:
        raise ValueError(
            f"`{name}` must have shape (rows, classes), with at least one of each. "
            f"Received: {name} of shape {scores.shape}. One row is [[…]]."
        )
    wrong = ~np.isfinite(scores).all(axis=1)
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"`{name}` must be finite. Received: {name}[{row}]={scores[row].tolist()}, "
            f"one of {int(wrong.sum())} such rows. Look at what the model makes of them."
        )
    return scores


def checked_labels(name, labels, shape):
    """Labels of scores of shape (N, C) as ints (N,), or a ValueError."""
    labels = np.asarray(labels)
    rows, classes = shape
    if labels.shape != (rows,) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"`{name}` must be integers, one for each of {rows} rows. "
            f"Received: {name} of shape {labels.shape} and dtype {labels.dtype}. "
            "`class_names.index` makes them of names."
        )
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(
            f"`{name}` must be from 0 to {classes - 1}. Received: {name} from {labels.min()} to "
            f"{labels.max()}. Leave out rows of other classes."
        )
    return labels
