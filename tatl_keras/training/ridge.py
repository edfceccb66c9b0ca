"""Least squares with a ridge: every penalty and every left-out row from one factorisation."""

import numpy as np


class Moments:
    """Sums over rows that are all ridge regression needs to know of them, in float64.

        total = sum w,  x = sum w x,  y = sum w y,  xx = sum w x xᵀ,  xy = sum w x yᵀ

    Batches can be added one after the other, so that the rows need not be in memory together.

    Args:
        dim, classes: ints, columns of x and of y.
    """

    def __init__(self, dim, classes):
        self.total = 0.0
        self.x, self.y = np.zeros(dim), np.zeros(classes)
        self.xx, self.xy = np.zeros((dim, dim)), np.zeros((dim, classes))

    def add(self, x, y, weights):
        """Adds rows x (n, D) and y (n, C) with weights (n,); returns the object itself."""
        x = np.asarray(x, np.float64)
        weighted = x * weights[:, None]
        self.total += weights.sum()
        self.x, self.y = self.x + weighted.sum(axis=0), self.y + weights @ y
        self.xx, self.xy = self.xx + weighted.T @ x, self.xy + weighted.T @ y
        return self

    def scaled(self, scales):
        """Moments of `x * scales`, without the columns whose scale (D,) is zero."""
        kept = np.flatnonzero(scales)
        s = scales[kept]
        found = Moments(0, len(self.y))
        found.total, found.x, found.y = self.total, self.x[kept] * s, self.y
        found.xx = self.xx[np.ix_(kept, kept)] * np.outer(s, s)
        found.xy = self.xy[kept] * s[:, None]
        return found


class Ridge:
    """Weighted ridge regression with an intercept, for all penalties at once.

        minimal over B, c:  sum_i w_i |y_i - x_i B - c|² + penalty |B|²

    With the centred, weighted rows X = diag(√w) (x - mean) = U diag(√e) Vᵀ and z = (x - mean) V,

        prediction of row i          f_i = mean(y) + z_i diag(1 / (e + penalty)) zᵀ diag(w) y
        leverage of row i            h_i = w_i (1 / sum w + sum_j z_ij² / (e_j + penalty))
        prediction by the others     y_i - (y_i - f_i) / (1 - h_i)

    The last line is exactly what a fit without row i predicts for it. The eigenvalues e come from
    the smaller of two matrices: D × D (primal) or N × N (dual). All in float64.

    Shape letters: N rows, D columns of x, C columns of y, R rank.

    Args:
        x: floats (N, D), the rows that are looked at.
        targets: floats (N, C).
        weights: floats (N,), greater than zero.
        moments: `Moments` of all rows, where `x` is only some of them; chooses the primal.
    """

    def __init__(self, x, targets, weights, moments=None):
        x = np.asarray(x, np.float64)
        if moments is None and len(x) >= x.shape[1]:
            moments = Moments(x.shape[1], targets.shape[1]).add(x, targets, weights)
        self.targets, self.weights = targets, weights
        if moments is None:
            self._dual(x)
        else:
            self._primal(x, moments)

    def _dual(self, x):
        root, self.total = np.sqrt(self.weights), self.weights.sum()
        self.x_mean = self.weights @ x / self.total
        self.y_mean = self.weights @ self.targets / self.total
        rows = root[:, None] * (x - self.x_mean)
        values, vectors = np.linalg.eigh(rows @ rows.T)
        kept = _kept(values)
        self.eigenvalues, vectors = values[kept], vectors[:, kept]
        lengths = np.sqrt(self.eigenvalues)
        self.coordinates = vectors * lengths / root[:, None]
        self.projection = lengths[:, None] * (vectors.T @ (root[:, None] * self.targets))
        self._lift = lambda inner: rows.T @ (vectors @ (inner / lengths[:, None]))

    def _primal(self, x, moments):
        self.total = moments.total
        self.x_mean, self.y_mean = moments.x / self.total, moments.y / self.total
        values, axes = np.linalg.eigh(moments.xx - np.outer(moments.x, self.x_mean))
        kept = _kept(values)
        self.eigenvalues, axes = values[kept], axes[:, kept]
        self.coordinates = (x - self.x_mean) @ axes
        self.projection = axes.T @ (moments.xy - np.outer(moments.x, self.y_mean))
        self._lift = lambda inner: axes @ inner

    @property
    def size(self):
        """Mean squared length of the centred rows: the natural unit of the penalty."""
        return float(self.eigenvalues.sum() / self.total) or 1.0

    def lift(self, inner, bias):
        """Kernel (D, C) and bias (C,) of a head given in coordinates: `inner` (R, C)."""
        kernel = self._lift(inner)
        return kernel, bias - self.x_mean @ kernel

    def head(self, penalty):
        """Kernel (D, C) and bias (C,) of the fit to all rows."""
        return self.lift(self.projection / (self.eigenvalues + penalty)[:, None], self.y_mean)

    def leave_one_out(self, penalties, count=None):
        """Yields, for each penalty, what fits without it predict for each of `count` first rows.

        Args:
            penalties: floats, greater than zero.
            count: int; all rows if `None`.

        Yields:
            Floats (count, C).
        """
        z, targets, weights = (
            part[:count] for part in (self.coordinates, self.targets, self.weights)
        )
        shrunk = 1 / (self.eigenvalues[:, None] + np.asarray(penalties, np.float64))
        leverages = weights[:, None] * (1 / self.total + np.square(z) @ shrunk)
        for number in range(shrunk.shape[1]):
            fitted = self.y_mean + z @ (shrunk[:, number, None] * self.projection)
            rest = np.maximum(1 - leverages[:, number, None], np.finfo(float).eps)
            yield targets - (targets - fitted) / rest

    def leave_folds_out(self, penalty, folds):
        """What fits without a row's fold predict for it.

        Rows f of a fold have residuals r_f; (I - H_ff)⁻¹ r_f are those of the fit without them,
        H_ff = 1 / sum w + z_f diag(1 / (e + penalty)) z_fᵀ diag(w_f).

        Args:
            penalty: float greater than zero.
            folds: ints (count,), which fold each of the first rows is in; -1 for none.

        Returns:
            Floats (count, C); `nan` where a row is in no fold.
        """
        shrunk = 1 / (self.eigenvalues + penalty)
        found = np.full((len(folds), self.targets.shape[1]), np.nan)
        for fold in np.unique(folds[folds >= 0]):
            rows = np.flatnonzero(folds == fold)
            z = self.coordinates[rows]
            residuals = self.targets[rows] - self.y_mean - z @ (shrunk[:, None] * self.projection)
            hat = (1 / self.total + (z * shrunk) @ z.T) * self.weights[rows]
            found[rows] = self.targets[rows] - np.linalg.solve(np.eye(len(rows)) - hat, residuals)
        return found

    def leave_group_out(self, penalty, group):
        """What fits without a group of rows, and without the row itself, predict for each row.

        With r the residuals and H as in `leave_folds_out`, the fit without rows f has residuals
        r + H_.f s on all others, s = (I - H_ff)⁻¹ r_f, and the hat matrix
        H + H_.f (I - H_ff)⁻¹ H_f. ; from these it leaves each other row out as always.

        Args:
            penalty: float greater than zero.
            group: bools (N,), rows to leave out together.

        Returns:
            Floats (N, C).
        """
        z, shrunk = self.coordinates, 1 / (self.eigenvalues + penalty)
        residuals = self.targets - self.y_mean - z @ (shrunk[:, None] * self.projection)
        inside, outside = np.flatnonzero(group), np.flatnonzero(~group)
        to_group = (1 / self.total + (z * shrunk) @ z[inside].T) * self.weights[inside]
        from_group = (1 / self.total + (z[inside] * shrunk) @ z[outside].T) * self.weights[outside]
        solved = np.linalg.solve(
            np.eye(len(inside)) - to_group[inside],
            np.concatenate([residuals[inside], from_group], axis=1),
        )
        alone, columns = solved[:, : residuals.shape[1]], solved[:, residuals.shape[1] :]
        leverages = self.weights[outside] * (
            1 / self.total + np.square(z[outside]) @ shrunk
        ) + np.sum(to_group[outside] * columns.T, axis=1)
        rest = np.maximum(1 - leverages, np.finfo(float).eps)
        found = np.empty_like(residuals)
        found[inside] = alone
        found[outside] = (residuals[outside] + to_group[outside] @ alone) / rest[:, None]
        return self.targets - found


def _kept(eigenvalues):
    """Which eigenvalues are more than rounding; none where all rows are alike."""
    smallest = len(eigenvalues) * np.finfo(float).eps * max(eigenvalues.max(initial=0.0), 0.0)
    return eigenvalues > max(smallest, np.finfo(float).tiny)
