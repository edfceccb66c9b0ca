"""Are probabilities what they say?"""

import numpy as np

BINS = 15


def reliability(probabilities, labels):
    """Expected calibration error of the class chosen, with the bins of a reliability diagram.

        ECE = sum over bins of  n_b / N · |accuracy_b - confidence_b|

    Confidence is the probability of the chosen class, in 15 bins of equal width from 0 to 1; a
    bin holds its upper end.

    Args:
        probabilities: floats (N, C), rows sum to 1.
        labels: ints (N,).

    Returns:
        A dict: `ece`, and `bins`, a list of `low`, `high`, `count`, and where there is one
        `accuracy` and `confidence`, else `None`.

    Example:

    >>> found = reliability([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]], [0, 1, 1])
    >>> round(found["ece"], 4)  # (2 · |0.5 - 0.9| + |1 - 0.6|) / 3
    0.4
    >>> [bin["count"] for bin in found["bins"] if bin["count"]]
    [1, 2]

    Reference: Guo et al., On Calibration of Modern Neural Networks, 2017, equation 3.
    """
    probabilities = np.asarray(probabilities, np.float64)
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == np.asarray(labels)
    places = np.clip(np.ceil(confidence * BINS - 1e-9).astype(int) - 1, 0, BINS - 1)
    bins, error = [], 0.0
    for number in range(BINS):
        inside = places == number
        count, row = int(inside.sum()), {"accuracy": None, "confidence": None}
        if count:
            row = {"accuracy": right[inside].mean(), "confidence": confidence[inside].mean()}
            error += count / len(right) * abs(row["accuracy"] - row["confidence"])
            row = {name: float(value) for name, value in row.items()}
        bins.append({"low": number / BINS, "high": (number + 1) / BINS, "count": count, **row})
    return {"ece": float(error), "bins": bins}
