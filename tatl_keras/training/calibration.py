"""How well held-out scores predict, and the scale at which they are honest probabilities."""

import dataclasses

import numpy as np

from tatl_keras._probabilities import log_softmax

_LEAST_SPREAD = 0.01  # of logits, in nats
_STEPS = 50
_HALVINGS = 30


def combine(scales, scores):
    """The sum of scores (M, N, C), each times its scale (M,)."""
    return sum(scale * part for scale, part in zip(scales, scores, strict=True))


def log_losses(logits, labels):
    """Cross-entropy of each row (natural logarithm): logits (N, C), int labels (N,) to (N,)."""
    return -np.take_along_axis(log_softmax(logits), labels[:, None], axis=-1)[:, 0]


def fit_scales(scores, labels, weights, start=None, tolerance=1e-9):
    """Scales that turn scores into logits of calibrated probabilities.

        logits = sum_m scale_m scores_m,  scale_m ≥ 0
        minimal: sum_i weights_i cross-entropy(softmax(logits_i), target_i)
        target = (1 - e) one-hot + e / C,  e = 1 / (N + 1)

    With one kind of scores the scale is the inverse of a temperature; with two it also weighs them.
    The loss is convex; Newton steps find its minimum. The little doubt e, the mass of one example
    for which every class is as likely, keeps the scales finite where all rows are told apart. If
    no scale above zero lowers the loss, the logits get a spread of 0.01: close to even chances.

    Shape letters: M kinds of scores, N rows, C classes.

    Args:
        scores: floats (M, N, C); M is 1 or 2.
        labels: ints (N,).
        weights: floats (N,), not all zero.
        start: floats (M,), where to start from; zeros if `None`.
        tolerance: steps below this share of the scales end it.

    Returns:
        Floats (M,).
    """
    scores = np.asarray(scores, np.float64)
    scales = _newton(scores, labels, weights, start, tolerance)
    if len(scores) == 2 and (scales < 0).any():  # convex: then the minimum is on an axis
        alone = [_newton(scores[m : m + 1], labels, weights, None, tolerance)[0] for m in (0, 1)]
        ends = np.diag(np.maximum(alone, 0.0))
        losses = [_loss(scores, labels, weights, end)[0] for end in ends]
        scales = ends[int(np.argmin(losses))]
    if not scales.max() > 0:  # held-out scores that tell nothing still rank what is not held out
        spread = np.std(scores - scores.mean(axis=2, keepdims=True), axis=(1, 2))
        return _LEAST_SPREAD / np.maximum(spread, np.finfo(float).tiny) / len(scores)
    return np.maximum(scales, 0.0)


def _newton(scores, labels, weights, start, tolerance):
    scales = np.zeros(len(scores)) if start is None else np.array(start, np.float64)
    loss, gradient, hessian = _loss(scores, labels, weights, scales)
    for _ in range(_STEPS):
        ridge = 1e-12 * np.trace(hessian) + np.finfo(float).tiny
        step = -np.linalg.solve(hessian + ridge * np.eye(len(scales)), gradient)
        if not np.abs(step).max() > tolerance * np.abs(scales).max():
            break
        for _ in range(_HALVINGS):
            found = _loss(scores, labels, weights, scales + step)
            if found[0] <= loss + 1e-4 * (gradient @ step) + 1e-14 * abs(loss):
                break
            step = step / 2
        else:
            break
        scales = scales + step
        loss, gradient, hessian = found
    return scales


def _loss(scores, labels, weights, scales):
    """Weighted mean of the smoothed cross-entropy, its gradient (M,) and Hessian (M, M)."""
    rows, classes = scores.shape[1:]
    doubt = 1.0 / (rows + 1.0)
    weights = weights / weights.sum()
    logs = log_softmax(combine(scales, scores))
    right = (1 - doubt) * logs[np.arange(rows), labels] + doubt * logs.mean(axis=1)
    shares = np.exp(logs)
    expected = (shares * scores).sum(axis=2)  # (M, N)
    target = (1 - doubt) * scores[:, np.arange(rows), labels] + doubt * scores.mean(axis=2)
    centred = scores - expected[:, :, None]
    weighted = (weights[:, None] * shares * centred).reshape(len(scales), -1)
    hessian = weighted @ centred.reshape(len(scales), -1).T
    return -(weights @ right), (expected - target) @ weights, hessian


@dataclasses.dataclass(frozen=True)
class Held:
    """What held-out scores are worth once calibrated.

    Args:
        scales: floats (M,), of the M kinds of scores.
        losses: floats (N,), cross-entropy of each row.
        log_loss, accuracy: their weighted means; `nan` where no row could be held out.
    """

    scales: np.ndarray
    losses: np.ndarray
    log_loss: float = float("nan")
    accuracy: float = float("nan")

    def gain(self, other, weights):
        """By how many standard errors the log-loss is lower than another's on the same rows.

        The standard error is that of the mean of the paired differences, row by row.
        """
        gains = other.losses - self.losses
        share = weights / weights.sum()
        mean = share @ gains
        error = np.sqrt(np.square(share) @ np.square(gains - mean))
        return float(mean / error) if error > 0 and len(gains) > 1 else 0.0


def judge(scores, labels, weights, start=None, tolerance=1e-9):
    """Calibrates held-out scores and says what they are worth; arguments as of `fit_scales`."""
    scores = np.asarray(scores)
    scales = fit_scales(scores, labels, weights, start, tolerance)
    logits = combine(scales, scores)
    losses = log_losses(logits, labels)
    accuracy = np.average(logits.argmax(axis=1) == labels, weights=weights)
    return Held(scales, losses, float(np.average(losses, weights=weights)), float(accuracy))
