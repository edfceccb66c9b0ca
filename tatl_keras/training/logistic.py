"""Multinomial logistic regression, several fits at once, in the eigenvectors' coordinates."""

import numpy as np

from tatl_keras._probabilities import log_softmax

_MEMORY = 8
_HALVINGS = 30


def fit_logistic(ridge, weights, penalty, start=None, *, tolerance=1e-6, max_steps=500):
    """Fits K multinomial logistic regressions that differ in their weights.

        minimal over B, c:  sum_i w_i cross-entropy(softmax(z_i B + c), y_i) + penalty / 2 |B|²

    z are the coordinates of a `Ridge`: rotating the features changes neither the penalty nor the
    result. In these the second derivative is close to diagonal, c e_j + penalty with
    c = (1 - 1/C) / C, which L-BFGS starts from, and so takes tens of steps, not hundreds.

    Shape letters: K fits, N rows, R rank, C classes.

    Args:
        ridge: a `Ridge`, of whose rows `coordinates` and `targets` (one-hot) are taken.
        weights: floats (K, N), 0 where a fit does not see a row.
        penalty: float greater than zero.
        start: floats (K, R + 1, C), where to start from; zeros if `None`.
        tolerance: ends where the predicted fall of each loss is below tolerance² / 2.
        max_steps: int.

    Returns:
        Floats (K, R + 1, C): B, then c in the last row. `ridge.lift` takes them to the features.
    """
    z, targets = ridge.coordinates, ridge.targets
    rows = np.concatenate([z, np.ones((len(z), 1))], axis=1)
    classes = targets.shape[1]
    penalties = np.append(np.full(len(ridge.eigenvalues), penalty), 0.0)[:, None]
    curvature = (1 - 1 / classes) / classes * (weights @ np.square(rows))[:, :, None]
    inverse = 1 / np.maximum(curvature + penalties, np.finfo(float).tiny)

    def loss(heads):
        logs = log_softmax(rows @ heads)
        errors = weights[:, :, None] * (np.exp(logs) - targets)
        cost = -(weights * (logs * targets).sum(axis=2)).sum(axis=1)
        cost += (penalties * np.square(heads)).sum(axis=(1, 2)) / 2
        return cost, rows.T @ errors + penalties * heads

    if start is None:
        start = np.zeros((len(weights), rows.shape[1], classes))
    return minimize(loss, start, inverse, tolerance=tolerance, max_steps=max_steps)


def minimize(loss, start, inverse, *, tolerance, max_steps):
    """L-BFGS for K smooth convex functions at once, each with its own steps.

    Args:
        loss: function of (K, …) to the values (K,) and gradients (K, …).
        start: floats (K, …).
        inverse: floats that broadcast against `start`: a diagonal guess of the inverse Hessian.
        tolerance: a function is done when gradientᵀ inverse gradient ≤ tolerance².
        max_steps: int.

    Returns:
        Floats (K, …).
    """
    place, (value, gradient) = start, loss(start)
    pairs: list[tuple] = []
    for _ in range(max_steps):
        done = _dot(gradient, inverse * gradient) <= tolerance**2
        if done.all():
            break
        step = -_direction(gradient, inverse, pairs)
        slope = _dot(gradient, step)
        length = np.where(done, 0.0, 1.0)
        for _ in range(_HALVINGS):
            next_place = place + _wide(length, step) * step
            next_value, next_gradient = loss(next_place)
            bound = value + 1e-4 * length * slope + 1e-13 * np.abs(value)
            if (next_value <= bound).all():
                break
            length = np.where(next_value <= bound, length, length / 2)
        pairs = [*pairs[1 - _MEMORY :], _pair(next_place - place, next_gradient - gradient)]
        if not length.any() or np.array_equal(next_place, place):
            break
        place, value, gradient = next_place, next_value, next_gradient
    return place


def _pair(moved, turned):
    product = _dot(moved, turned)
    return moved, turned, np.where(product > 0, 1 / np.where(product > 0, product, 1), 0.0)


def _direction(gradient, inverse, pairs):
    """The two-loop recursion: an estimate of inverse Hessian times gradient."""
    found, amounts = gradient.copy(), []
    for moved, turned, rho in reversed(pairs):
        amounts.append(rho * _dot(moved, found))
        found -= _wide(amounts[-1], turned) * turned
    found = inverse * found
    if pairs:
        _, turned, rho = pairs[-1]
        curvature = rho * _dot(turned, inverse * turned)
        found *= _wide(1 / np.where(curvature > 0, curvature, 1), found)
    for (moved, turned, rho), amount in zip(pairs, reversed(amounts), strict=True):
        found += _wide(amount - rho * _dot(turned, found), moved) * moved
    return found


def _dot(a, b):
    return (a * b).reshape(len(a), -1).sum(axis=1)


def _wide(values, like):
    """Values (K,) shaped to broadcast against (K, …)."""
    return values.reshape(-1, *[1] * (like.ndim - 1))
