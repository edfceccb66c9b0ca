"""What an export's options and temperature change, on examples whose labels are known."""

import dataclasses

import numpy as np

from tatl_keras._probabilities import checked_labels, checked_scores, log_softmax
from tatl_keras._reliability import reliability

_LEAST = float(np.finfo(np.float32).tiny)


@dataclasses.dataclass(frozen=True)
class Effect:
    """Two sets of answers to the same examples: the model's, and its export's.

    Args:
        num_examples: int, rows that both have answered and that were compared.
        num_unanswered: int, rows left out since all probabilities of the export are 0.
        accuracy, reference_accuracy: share of rows whose most probable class is the label.
        log_loss, reference_log_loss: mean of -log(probability of the label), in nats.
        calibration_error, reference_calibration_error: expected calibration error of the most
            probable class, in 15 bins.
        same_label: share of rows where both have the same most probable class.
        largest_difference, mean_difference: of the absolute differences of all probabilities.

    Example: see `measure_effect`, which makes it.

    >>> Effect(2, 0, 1.0, 1.0, 0.1, 0.2, 0.0, 0.0, 1.0, 0.0, 0.0).to_dict()["log_loss"]
    0.1
    """

    num_examples: int
    num_unanswered: int
    accuracy: float
    reference_accuracy: float
    log_loss: float
    reference_log_loss: float
    calibration_error: float
    reference_calibration_error: float
    same_label: float
    largest_difference: float
    mean_difference: float

    def to_dict(self):
        """What `json` can write."""
        return dataclasses.asdict(self)

    def __str__(self):
        left_out = f", {self.num_unanswered} left out" if self.num_unanswered else ""
        return (
            f"model → export, {self.num_examples} labelled examples{left_out}\n"
            f"  accuracy           {self.reference_accuracy:.2%} → {self.accuracy:.2%}\n"
            f"  log-loss           {self.reference_log_loss:.4f} → {self.log_loss:.4f}\n"
            f"  calibration error  {self.reference_calibration_error:.2%} → "
            f"{self.calibration_error:.2%}\n"
            f"  same label         {self.same_label:.2%}; probabilities differ by "
            f"{self.largest_difference:.2g} at most, {self.mean_difference:.2g} on average"
        )


def measure_effect(logits, probabilities, labels):
    """Compares what a model and its export answer to the same labelled examples.

        reference = softmax(logits)

    Args:
        logits: floats (N, C), the model's own, N ≥ 1.
        probabilities: floats (N, C), the export's, each row summing to 1. A row of zeros, which an
            export gives where it can read nothing, is left out and counted.
        labels: ints (N,), from 0 to C - 1.

    Returns:
        An `Effect`. A probability of 0 for the label counts as the least float32, 1.2e-38, so that
        the log-loss is finite.

    Raises:
        ValueError: shapes do not fit, a number is not finite, a label is no class, a row of
            probabilities has another sum than 1 or 0, or no row is answered.

    Example:

    >>> from tatl_keras import serving
    >>> effect = serving.measure_effect([[2.0, 0.0], [0.0, 1.0]], [[0.9, 0.1], [0.6, 0.4]], [0, 1])
    >>> print(effect)
    model → export, 2 labelled examples
      accuracy           100.00% → 50.00%
      log-loss           0.2201 → 0.5108
      calibration error  19.41% → 35.00%
      same label         50.00%; probabilities differ by 0.33 at most, 0.18 on average
    """
    logits = checked_scores("logits", logits)
    probabilities = checked_scores("probabilities", probabilities)
    if probabilities.shape != logits.shape:
        raise ValueError(
            f"`probabilities` must have the shape of `logits`, {logits.shape}. "
            f"Received: probabilities of shape {probabilities.shape}. Ask both about the same rows."
        )
    labels = checked_labels("labels", labels, logits.shape)
    answered = _answered(probabilities)
    logits, probabilities, labels = (x[answered] for x in (logits, probabilities, labels))
    reference = np.exp(log_softmax(logits))
    differences = np.abs(probabilities - reference)
    ours, theirs = _judged(probabilities, labels), _judged(reference, labels)
    return Effect(
        num_examples=len(labels),
        num_unanswered=int((~answered).sum()),
        **ours,
        **{f"reference_{name}": value for name, value in theirs.items()},
        same_label=float(np.mean(probabilities.argmax(axis=1) == reference.argmax(axis=1))),
        largest_difference=float(differences.max()),
        mean_difference=float(differences.mean()),
    )


def _judged(probabilities, labels):
    chosen = probabilities[np.arange(len(labels)), labels]
    return {
        "accuracy": float(np.mean(probabilities.argmax(axis=1) == labels)),
        "log_loss": float(-np.log(np.maximum(chosen, _LEAST)).mean()),
        "calibration_error": reliability(probabilities, labels)["ece"],
    }


def _answered(probabilities):
    """Which rows are more than zeros, (N,); at least one."""
    sums = probabilities.sum(axis=1)
    answered = (probabilities != 0).any(axis=1)
    wrong = answered & ((np.abs(sums - 1) > 1e-3) | (probabilities < 0).any(axis=1))
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            "`probabilities` must be rows that sum to 1, or to 0 where there is no answer. "
            f"Received: probabilities[{row}]={probabilities[row].tolist()}. "
            "An export's `logits` are no probabilities."
        )
    if not answered.any():
        raise ValueError(
            "`probabilities` must have an answer in one row at least. "
            f"Received: {len(sums)} rows of zeros. Can the export read the examples?"
        )
    return answered
