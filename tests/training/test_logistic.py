"""Logistic regression against scikit-learn and against its own gradient in the features."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from tatl_keras.training.logistic import fit_logistic, minimize
from tatl_keras.training.ridge import Ridge

CLASSES = 3


def problem(rng, rows, dim):
    labels = np.arange(rows) % CLASSES
    x = rng.normal(size=(rows, dim)) + rng.normal(size=(CLASSES, dim))[labels] + 2.0
    return x, labels, rng.uniform(0.3, 2.0, rows)


def solve(x, labels, weights, penalty, **options):
    ridge = Ridge(x, np.eye(CLASSES)[labels], weights)
    inner = fit_logistic(ridge, weights[None], penalty, **options)[0]
    return ridge.lift(inner[:-1], inner[-1])


def probabilities(logits):
    return np.exp(logits - np.logaddexp.reduce(logits, axis=1)[:, None])


@pytest.mark.parametrize(("rows", "dim"), [(31, 5), (13, 37)])
@pytest.mark.parametrize("penalty", [0.03, 2.0])
def test_the_gradient_is_zero(rng, rows, dim, penalty):
    x, labels, weights = problem(rng, rows, dim)
    kernel, bias = solve(x, labels, weights, penalty)
    errors = weights[:, None] * (probabilities(x @ kernel + bias) - np.eye(CLASSES)[labels])
    np.testing.assert_allclose(x.T @ errors + penalty * kernel, 0, atol=2e-5)
    np.testing.assert_allclose(errors.sum(axis=0), 0, atol=2e-5)


@pytest.mark.parametrize(("rows", "dim"), [(31, 5), (13, 37)])
def test_it_is_that_of_scikit_learn(rng, rows, dim):
    x, labels, weights = problem(rng, rows, dim)
    kernel, bias = solve(x, labels, weights, 0.5)
    peer = LogisticRegression(C=2.0, tol=1e-10, max_iter=5000).fit(x, labels, weights)
    expected = peer.predict_proba(x)
    np.testing.assert_allclose(probabilities(x @ kernel + bias), expected, atol=2e-5)
    np.testing.assert_allclose(kernel, peer.coef_.T, atol=2e-4)


def test_fits_at_once_are_fits_one_by_one(rng):
    x, labels, weights = problem(rng, 12, 20)
    ridge = Ridge(x, np.eye(CLASSES)[labels], weights)
    several = np.tile(weights, (3, 1))
    several[0, :4] = several[1, 5:7] = 0
    together = fit_logistic(ridge, several, 0.2)
    for number in range(3):
        seen = several[number] > 0
        kernel, bias = solve(x[seen], labels[seen], several[number][seen], 0.2)
        inner = together[number]
        found = ridge.lift(inner[:-1], inner[-1])
        np.testing.assert_allclose(x @ found[0] + found[1], x @ kernel + bias, atol=1e-4)


def test_a_warm_start_ends_in_the_same_place(rng):
    x, labels, weights = problem(rng, 15, 8)
    ridge = Ridge(x, np.eye(CLASSES)[labels], weights)
    start = fit_logistic(ridge, weights[None], 3.0)
    warm, cold = (fit_logistic(ridge, weights[None], 0.3, begin)[0] for begin in (start, None))
    z = ridge.coordinates
    np.testing.assert_allclose(
        probabilities(z @ warm[:-1] + warm[-1]), probabilities(z @ cold[:-1] + cold[-1]), atol=1e-5
    )


def test_quadratics_of_different_shapes_are_minimised_together(rng):
    roots = rng.normal(size=(4, 6, 6))
    hessians = roots @ roots.transpose(0, 2, 1) + 0.1 * np.eye(6)
    targets = rng.normal(size=(4, 6, 2))

    def loss(places):
        moved = hessians @ (places - targets)
        return ((places - targets) * moved).sum(axis=(1, 2)) / 2, moved

    inverse = 1 / np.einsum("kii->ki", hessians)[:, :, None]
    found = minimize(loss, np.zeros_like(targets), inverse, tolerance=1e-9, max_steps=500)
    np.testing.assert_allclose(found, targets, atol=1e-6)
