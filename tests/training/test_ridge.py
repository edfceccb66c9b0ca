"""Ridge regression: every left-out prediction against a fit that really leaves the rows out."""

import numpy as np
import pytest

from tatl_keras.training.ridge import Moments, Ridge

PENALTIES = (1e-3, 0.7, 40.0)
SHAPES = [(23, 7), (11, 29)]  # more rows than columns: primal; fewer: dual


def problem(rng, rows, dim, classes=3):
    labels = np.arange(rows) % classes
    x = rng.normal(size=(rows, dim)) + rng.normal(size=(classes, dim))[labels] + 5.0
    return x, np.eye(classes)[labels], rng.uniform(0.2, 3.0, rows)


def fit(x, y, weights, penalty):
    """Kernel and bias by least squares on an augmented system, another way than the library's."""
    root = np.sqrt(weights)[:, None]
    dim = x.shape[1]
    left = np.block([[root * x, root], [np.sqrt(penalty) * np.eye(dim), np.zeros((dim, 1))]])
    right = np.concatenate([root * y, np.zeros((dim, y.shape[1]))])
    solution = np.linalg.lstsq(left, right, rcond=None)[0]
    return solution[:-1], solution[-1]


def left_out(x, y, weights, penalty, groups):
    found = []
    for group in groups:
        seen = np.setdiff1d(np.arange(len(x)), group)
        kernel, bias = fit(x[seen], y[seen], weights[seen], penalty)
        found.append(x[group] @ kernel + bias)
    return np.concatenate(found)


@pytest.mark.parametrize(("rows", "dim"), SHAPES)
@pytest.mark.parametrize("penalty", PENALTIES)
def test_the_head_is_the_least_squares_one(rng, rows, dim, penalty):
    x, y, weights = problem(rng, rows, dim)
    kernel, bias = Ridge(x, y, weights).head(penalty)
    expected = fit(x, y, weights, penalty)
    np.testing.assert_allclose(kernel, expected[0], atol=1e-9)
    np.testing.assert_allclose(bias, expected[1], atol=1e-9)


@pytest.mark.parametrize(("rows", "dim"), SHAPES)
def test_leave_one_out_is_a_fit_without_the_row(rng, rows, dim):
    x, y, weights = problem(rng, rows, dim)
    count = rows - 3  # the last three stand for class texts: never left out
    found = list(Ridge(x, y, weights).leave_one_out(PENALTIES, count))
    for penalty, scores in zip(PENALTIES, found, strict=True):
        expected = left_out(x, y, weights, penalty, np.arange(count)[:, None])
        np.testing.assert_allclose(scores, expected, atol=1e-8)


@pytest.mark.parametrize(("rows", "dim"), SHAPES)
@pytest.mark.parametrize("penalty", PENALTIES)
def test_leaving_folds_out_is_a_fit_without_them(rng, rows, dim, penalty):
    x, y, weights = problem(rng, rows, dim)
    folds = np.arange(rows - 2) % 4
    folds[1] = -1  # never left out
    scores = Ridge(x, y, weights).leave_folds_out(penalty, folds)
    groups = [np.flatnonzero(folds == fold) for fold in range(4)]
    expected = left_out(x, y, weights, penalty, groups)
    np.testing.assert_allclose(scores[np.concatenate(groups)], expected, atol=1e-8)
    assert np.isnan(scores[1]).all()


@pytest.mark.parametrize(("rows", "dim"), SHAPES)
def test_primal_is_dual_and_moments_are_rows(rng, rows, dim):
    x, y, weights = problem(rng, rows, dim)
    moments = Moments(dim, 3)
    for part in np.array_split(np.arange(rows), 4):
        moments.add(x[part], y[part], weights[part])
    rows_alone = Ridge(x, y, weights)
    from_moments = Ridge(x, y, weights, moments)
    for penalty in PENALTIES:
        for part, expected in zip(
            from_moments.head(penalty), rows_alone.head(penalty), strict=True
        ):
            np.testing.assert_allclose(part, expected, atol=1e-9)
    np.testing.assert_allclose(
        list(from_moments.leave_one_out(PENALTIES)),
        list(rows_alone.leave_one_out(PENALTIES)),
        atol=1e-8,
    )
    assert from_moments.size == pytest.approx(rows_alone.size)


def test_leave_one_out_of_a_sample_of_the_rows(rng):
    x, y, weights = problem(rng, 40, 5)
    moments = Moments(5, 3).add(x, y, weights)
    sample = np.arange(0, 40, 8)
    scores = next(Ridge(x[sample], y[sample], weights[sample], moments).leave_one_out([0.7]))
    expected = left_out(x, y, weights, 0.7, sample[:, None])
    np.testing.assert_allclose(scores, expected, atol=1e-8)


def test_moments_of_scaled_columns(rng):
    x, y, weights = problem(rng, 13, 5)
    scales = np.array([2.0, 0.0, 0.5, 0.0, 3.0])
    found = Moments(5, 3).add(x, y, weights).scaled(scales)
    expected = Moments(3, 3).add(x[:, [0, 2, 4]] * scales[[0, 2, 4]], y, weights)
    for name in ("total", "x", "y", "xx", "xy"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name))


@pytest.mark.parametrize(("rows", "dim"), SHAPES)
def test_a_weight_is_a_number_of_repetitions(rng, rows, dim):
    x, y, _ = problem(rng, rows, dim)
    times = 1 + np.arange(rows) % 3
    weighted = Ridge(x, y, times.astype(float))
    repeated = Ridge(np.repeat(x, times, 0), np.repeat(y, times, 0), np.ones(times.sum()))
    assert weighted.size == pytest.approx(repeated.size)
    for part, expected in zip(weighted.head(0.7), repeated.head(0.7), strict=True):
        np.testing.assert_allclose(part, expected, atol=1e-9)


@pytest.mark.parametrize("dim", [4, 90])
def test_constant_features_give_the_frequencies(dim):
    y = np.eye(3)[[0, 0, 1, 2, 2, 2]]
    ridge = Ridge(np.full((6, dim), 16.0), y, np.ones(6))
    kernel, bias = ridge.head(ridge.size)
    np.testing.assert_array_equal(kernel, np.zeros((dim, 3)))
    np.testing.assert_allclose(bias, [2 / 6, 1 / 6, 3 / 6])
    scores = next(ridge.leave_one_out([1.0]))
    np.testing.assert_allclose(scores[2], [2 / 5, 0, 3 / 5])


def test_duplicates_and_order_change_nothing_but_the_order(rng):
    x, y, weights = problem(rng, 12, 30)
    x[5] = x[4]
    order = rng.permutation(12)
    found = next(Ridge(x[order], y[order], weights[order]).leave_one_out([0.7]))
    expected = next(Ridge(x, y, weights).leave_one_out([0.7]))
    np.testing.assert_allclose(found, expected[order], atol=1e-10)
    groups = np.arange(12)[:, None]
    np.testing.assert_allclose(expected, left_out(x, y, weights, 0.7, groups), atol=1e-8)
