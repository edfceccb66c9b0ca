"""Precision and recall over thresholds, as TensorBoard's plugin `pr_curves` wants them."""

import numpy as np

THRESHOLDS = 201


def precision_recall(positive, scores, num_thresholds=THRESHOLDS):
    """Counts at evenly spaced thresholds t = 0, 1 / (n - 1), …, 1; an answer is yes where s >= t.

        precision = tp / (tp + fp), 0 where nothing is found
        recall    = tp / (tp + fn), 0 where nothing is positive

    Args:
        positive: bools of any shape.
        scores: floats of the same shape, from 0 to 1.
        num_thresholds: int n, from 128 to 16383.

    Returns:
        Floats (6, n): tp, fp, tn, fn, precision, recall.

    Example:

    >>> counts = precision_recall(np.array([True, False, True]), np.array([0.9, 0.6, 0.2]))
    >>> counts[:, 100].round(3).tolist()  # t = 0.5
    [1.0, 1.0, 0.0, 1.0, 0.5, 0.5]
    """
    positive, scores = np.ravel(positive), np.ravel(scores)
    thresholds = np.arange(num_thresholds) / (num_thresholds - 1)
    last = np.searchsorted(thresholds, scores, side="right") - 1  # the last t that is passed
    tp, fp = (
        np.bincount(last[which], minlength=num_thresholds)[::-1].cumsum()[::-1].astype(np.float64)
        for which in (positive, ~positive)
    )
    tn, fn = fp[0] - fp, tp[0] - tp
    precision = tp / np.maximum(tp + fp, 1)
    recall = tp / np.maximum(tp[0], 1)
    return np.stack([tp, fp, tn, fn, precision, recall])
