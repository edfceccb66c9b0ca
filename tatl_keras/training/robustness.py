"""Accuracy as more and more rows lose what they had."""

import numpy as np

SHARES = tuple(round(share, 1) for share in np.linspace(0, 1, 11).tolist())


def robustness_curve(right, right_changed, order):
    """Accuracy while the changed rows go from none to all of them, and the area below it.

        accuracy(s) = (sum over the first round(s N) rows of right_changed + sum over the rest of
                       right) / N,   area = trapezoidal integral over s from 0 to 1

    Args:
        right, right_changed: bools (N,), whether each row's answer is right as it is, and with
            the change (a text that is missing, or another row's).
        order: ints (N,), in which order rows change.

    Returns:
        A dict of lists `share` and `accuracy`, 11 each, and the float `area`.

    Example:

    >>> curve = robustness_curve([1] * 10, [0] * 10, range(10))
    >>> curve["accuracy"][:3], round(curve["area"], 3)
    ([1.0, 0.9, 0.8], 0.5)

    Reference: Liang et al., MultiBench, 2021, section 3.3.
    """
    order = np.asarray(order)
    before, after = (np.asarray(part, np.float64)[order] for part in (right, right_changed))
    count = len(order)
    firsts = [round(share * count) for share in SHARES]
    accuracy = [float((after[:first].sum() + before[first:].sum()) / count) for first in firsts]
    area = sum((a + b) / 2 for a, b in zip(accuracy[:-1], accuracy[1:], strict=True))
    return {"share": list(SHARES), "accuracy": accuracy, "area": area / (len(SHARES) - 1)}
