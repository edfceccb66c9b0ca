"""One vector a class, from the texts that describe it."""

import numpy as np


def class_embeddings(text_features, labels, num_classes=None):
    """One unit vector a class, from any number of texts that describe it (a prompt ensemble).

        u_j = t_j / |t_j|
        m_c = mean of u_j over the texts j of class c
        e_c = m_c / |m_c|

    Shape letters: M texts, C classes, D channels.

    Args:
        text_features: floats (M, D), pooled features of the texts.
        labels: ints (M,), the class of each text, from 0.
        num_classes: int, C. Defaults to the largest label and 1.

    Returns:
        Floats (C, D), float64, each row of length 1.

    Raises:
        ValueError: the shapes do not fit, a label is not from 0 to C - 1, a class has no text, a
            vector is not finite or zero, or the texts of a class cancel out.

    Example:

    >>> from tatl_keras import training
    >>> found = training.class_embeddings([[3.0, 0.0], [0.0, 0.5], [0.0, -2.0]], [0, 0, 1])
    >>> found.round(3).tolist()
    [[0.707, 0.707], [0.0, -1.0]]

    Reference: Radford et al. 2021, "Learning Transferable Visual Models From Natural Language
    Supervision", section 3.1.4, https://arxiv.org/abs/2103.00020.
    """
    units = unit_rows("text_features", text_features)
    labels, count = check_labels(labels, len(units), num_classes)
    missing = np.setdiff1d(np.arange(count), labels)
    if len(missing) or not count:
        raise ValueError(
            "`labels` must name every class at least once. Received: labels without "
            f"{missing[:5].tolist()}. Each class needs one text or more."
        )
    sums = np.eye(count)[:, labels] @ units / np.bincount(labels)[:, None]
    return unit_rows("text_features, averaged over each class,", sums)


def unit_rows(name, values):
    """Rows of floats (N, D), each divided by its length, in float64; N may be 0."""
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or not values.shape[1]:
        raise ValueError(
            f"`{name}` must be floats (rows, channels). Received: {name}.shape={values.shape}. "
            "Pass the pooled features of an encoder."
        )
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    bad = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
    if len(bad):
        raise ValueError(
            f"`{name}` must have finite rows other than zero. Received: {name}[{bad[0]}] of "
            f"length {lengths[bad[0], 0]}. A missing picture or text has a zero vector: leave it "
            "out."
        )
    return values / lengths


def check_labels(labels, count, num_classes):
    """Labels as ints (count,), and the number of classes."""
    labels = np.asarray(labels)
    if not labels.size and labels.shape == (count,):
        labels = labels.astype(int)
    if labels.shape != (count,) or labels.dtype.kind not in "iu":
        raise ValueError(
            f"`labels` must be one integer for each of {count} rows. Received: "
            f"labels.shape={labels.shape}, labels.dtype={labels.dtype}. Number the classes from 0."
        )
    classes = int(labels.max(initial=-1)) + 1 if num_classes is None else num_classes
    if count and not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(
            f"`labels` must be from 0 to {classes - 1}. Received: labels from {labels.min()} to "
            f"{labels.max()}. Number the classes from 0."
        )
    return labels, classes
