"""Means over seeds with intervals: Student's t, also where training sets overlap."""

import math

import numpy as np

CONFIDENCE = 0.95


def interval(values, test_to_train=0.0):
    """The mean of a number measured once a seed, its 95 % interval and a test of "it is zero".

        mean ± t s √(1/J + r),   p = P(|T| ≥ |mean| / (s √(1/J + r)))

    T is Student's with J - 1 degrees of freedom, t its 97.5 % quantile, s the standard deviation
    over the J seeds. Differences of two runs of one seed make the test a paired one. With
    r = 0 the interval is about further draws from the same examples. Training sets that are most
    of the examples overlap from seed to seed, so that their results vary too little; r, the size
    of the test set over that of the training set, corrects for it.

    Args:
        values: floats (J,), J ≥ 2.
        test_to_train: float, r.

    Returns:
        A dict of floats, `mean`, `low`, `high`, `half_width`, `p_value`, and the list `values`.

    Raises:
        ValueError: there are fewer than two values.

    Example:

    >>> found = interval([0.1, 0.2, 0.3])
    >>> round(found["mean"], 3), round(found["half_width"], 4), round(found["p_value"], 4)
    (0.2, 0.2484, 0.0742)

    Reference: Nadeau and Bengio, Inference for the Generalization Error, 2003, equation 9.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(f"`values` must be two numbers or more. Received: values={values}")
    mean = float(values.mean())
    error = float(values.std(ddof=1)) * math.sqrt(1 / len(values) + test_to_train)
    half = t_quantile(CONFIDENCE, len(values) - 1) * error
    if error > 0:
        p_value = 1 - t_within(abs(mean) / error, len(values) - 1)
    else:
        p_value = 1.0 if mean == 0 else 0.0
    ends = {"low": mean - half, "high": mean + half, "half_width": half}
    return {"mean": mean, **ends, "p_value": p_value, "values": values.tolist()}


def t_within(t, freedom):
    """P(|T| ≤ t) of Student's T with a whole number of degrees of freedom.

    Args:
        t: float, at least 0.
        freedom: int, at least 1.

    Returns:
        A float.

    Reference: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4.
    """
    angle = math.atan(t / math.sqrt(freedom))
    cosine, sine = math.cos(angle), math.sin(angle)
    odd = freedom % 2
    term, total = (cosine, cosine) if odd else (1.0, 1.0)
    if freedom == 1:
        total = 0.0
    for number in range(2 + odd, freedom - 1, 2):
        term *= cosine**2 * (number - 1) / number
        total += term
    share = 2 / math.pi * (angle + sine * total) if odd else sine * total
    return min(share, 1.0)


def t_quantile(share, freedom):
    """The t with P(|T| ≤ t) = share, by bisection; `share` is above 0 and below 1."""
    low, high = 0.0, math.pi / 2
    for _ in range(100):
        middle = (low + high) / 2
        if t_within(math.tan(middle) * math.sqrt(freedom), freedom) < share:
            low = middle
        else:
            high = middle
    return math.tan(low) * math.sqrt(freedom)
