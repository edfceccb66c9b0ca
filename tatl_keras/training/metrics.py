"""How good predictions are, and what guessing would give."""

import numpy as np

from tatl_keras._probabilities import log_softmax


def classification_metrics(labels, logits, class_names, majority_class=None):
    """Accuracy, loss, each class's share, and the baseline that needs no model.

        accuracy = mean(argmax(logits) == label)
        loss     = mean(log(sum(exp(logits))) - logits[label])     cross-entropy, natural logarithm
        majority = share of the examples in the class that is most frequent in training

    Args:
        labels: ints (N,), indices into `class_names`.
        logits: floats (N, num_classes).
        class_names: list of str.
        majority_class: int, the most frequent class of the training examples. Defaults to the
            most frequent one of `labels`, which flatters the baseline.

    Returns:
        A dict that `json` can write: `num_examples`, `accuracy`, `loss`, `majority` (`class` and
        `accuracy`), `per_class` (name → `count`, `correct`, `accuracy`; `None` where there is no
        example) and `confusion` (rows: true class, columns: predicted class, counts).

    Raises:
        ValueError: there are no labels, or the shapes do not fit.

    Example:

    >>> logits = [[2.0, 0.0], [0.0, 2.0], [0.0, 2.0]]
    >>> metrics = classification_metrics([0, 0, 1], logits, ["a", "b"])
    >>> round(metrics["accuracy"], 3), metrics["confusion"], metrics["majority"]["class"]
    (0.667, [[1, 1], [0, 1]], 'a')
    """
    labels, logits = np.asarray(labels), np.asarray(logits, np.float64)
    count = len(class_names)
    if labels.ndim != 1 or not len(labels) or logits.shape != (len(labels), count):
        raise ValueError(
            f"`logits` must have shape (number of labels, {count} classes), with at least one "
            f"label. Received: labels {labels.shape}, logits {logits.shape}"
        )
    if labels.min() < 0 or labels.max() >= count:
        raise ValueError(
            f"`labels` must be from 0 to {count - 1}. "
            f"Received: labels from {labels.min()} to {labels.max()}"
        )
    confusion = np.zeros((count, count), int)
    np.add.at(confusion, (labels, logits.argmax(axis=1)), 1)
    counts, correct = confusion.sum(axis=1), confusion.diagonal()
    majority = int(counts.argmax()) if majority_class is None else int(majority_class)
    return {
        "num_examples": len(labels),
        "accuracy": float(correct.sum() / len(labels)),
        "loss": float(np.mean(-log_softmax(logits)[np.arange(len(labels)), labels])),
        "majority": {
            "class": class_names[majority],
            "accuracy": float(counts[majority] / len(labels)),
        },
        "per_class": {
            name: {"count": int(n), "correct": int(c), "accuracy": float(c / n) if n else None}
            for name, n, c in zip(class_names, counts, correct, strict=True)
        },
        "confusion": confusion.tolist(),
    }
