"""The one number that makes a classifier's probabilities honest."""

import numpy as np

from tatl_keras._probabilities import checked_labels, checked_scores, log_softmax

_BOUNDS = (1e-2, 1e2)
_PRECISION = 1e-9  # of log T


def fit_temperature(logits, labels, sample_weight=None):
    """Finds the temperature at which softmax tells the labels best.

        T = argmin  sum_i w_i · cross-entropy(softmax(logits_i / T), target_i)
        target_i = (1 - e) one-hot(label_i) + e / C,  e = 1 / (N + 1)

    Dividing by T > 0 changes no order, so no label and no accuracy. The loss is convex in 1 / T:
    its slope, the mean over rows of E[logit under softmax] - E[logit under target], is zero at one
    place, which is found by bisection. The little doubt e, the mass of one example for which every
    class is as likely, keeps T above zero where all rows are right; with many rows it has no
    effect. T is kept between 0.01 and 100, where it ends if the logits tell less than nothing.

    Fit it on rows that neither training nor the choice of the model has seen.

    Args:
        logits: floats (N, C), N ≥ 1, C ≥ 1, finite.
        labels: ints (N,), from 0 to C - 1.
        sample_weight: floats (N,), not negative and not all zero; `None` for equal weights. Rows
            of weight 0 do not count in N.

    Returns:
        A float, 1.0 where no T is better than another (one class, equal logits in each row).

    Raises:
        ValueError: shapes do not fit, there are no rows, a label is no class, a number is not
            finite or a weight negative.

    Example:

    >>> from tatl_keras import serving
    >>> logits, labels = [[8.0, 0.0]] * 400, [0, 0, 0, 1] * 100  # right three times of four
    >>> T = serving.fit_temperature(logits, labels)
    >>> round(1 / (1 + 2.718281828 ** (-8 / T)), 2)
    0.75

    Reference: Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2,
    https://arxiv.org/abs/1706.04599.
    """
    logits = checked_scores("logits", logits)
    labels = checked_labels("labels", labels, logits.shape)
    weights = _checked_weights(sample_weight, len(labels))
    logits, labels, weights = (x[weights > 0] for x in (logits, labels, weights))
    logits = logits - logits.max(axis=1, keepdims=True)
    if not logits.any():
        return 1.0
    doubt = 1 / (len(labels) + 1)
    wanted = (1 - doubt) * logits[np.arange(len(labels)), labels] + doubt * logits.mean(axis=1)

    def slope(log_temperature):
        shares = np.exp(log_softmax(logits * np.exp(-log_temperature)))
        return weights @ ((shares * logits).sum(axis=1) - wanted)

    # The slope rises with 1 / T, so it falls as T rises.
    low, high = np.log(_BOUNDS)
    if slope(low) <= 0:
        return _BOUNDS[0]
    if slope(high) >= 0:
        return _BOUNDS[1]
    while high - low > _PRECISION:
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    return float(np.exp((low + high) / 2))


def _checked_weights(weights, rows):
    """Weights (N,) as float64 that sum to 1."""
    weights = np.ones(rows) if weights is None else np.asarray(weights, np.float64)
    if weights.shape != (rows,):
        raise ValueError(
            f"`sample_weight` must be one number for each of {rows} rows. "
            f"Received: sample_weight of shape {weights.shape}. `None` weighs all alike."
        )
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
        raise ValueError(
            "`sample_weight` must be finite, not negative and not all zero. "
            f"Received: sample_weight from {weights.min()} to {weights.max()}. "
            "`None` weighs all alike."
        )
    weights = weights / weights.max()  # the sum of very large ones could overflow
    return weights / weights.sum()
