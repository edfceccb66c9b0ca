"""Sampled Shapley values against sums over all coalitions."""

import itertools
import math

import numpy as np
import pytest

from tatl_keras.models.explanation.coalitions import draw_pool
from tatl_keras.models.explanation.estimate import Sample


def brute_force(worth, players):
    """Shapley values (players,) of worth[bits of the coalition], the first player highest."""
    found = np.zeros(players)
    for player in range(players):
        rest = [other for other in range(players) if other != player]
        for size in range(players):
            weight = math.factorial(size) * math.factorial(players - size - 1)
            for coalition in itertools.combinations(rest, size):
                without = sum(1 << (players - 1 - one) for one in coalition)
                with_it = without + (1 << (players - 1 - player))
                found[player] += weight * (worth[with_it] - worth[without])
    return found / math.factorial(players)


def worth_of(sample, worth):
    rows, columns = sample.pairs.T
    both = [sample.images.members[rows], sample.texts.members[columns]]
    members = np.concatenate(both, axis=1)
    return worth[members @ (1 << np.arange(members.shape[1])[::-1])]


def smooth_game(players, seed):
    """A game with interactions of all orders: a squashed sum of single values and products."""
    rng = np.random.default_rng(seed)
    members = np.array(list(itertools.product([0, 1], repeat=players)), float)
    single, pairs = rng.normal(size=players), rng.normal(size=(players, players))
    logits = members @ single + 0.5 * np.einsum("bi,ij,bj->b", members, pairs, members)
    return 1 / (1 + np.exp(-logits))


@pytest.mark.parametrize(("n", "m"), [(3, 4), (0, 5), (4, 0), (1, 1), (1, 3), (2, 2)])
def test_few_players_are_exact(n, m):
    worth = np.random.default_rng(n).normal(size=2 ** (n + m))
    sample = Sample(n, m, 64, 64, 10**4, seed=0)
    found, errors = sample.estimate(worth_of(sample, worth))
    np.testing.assert_allclose(found, brute_force(worth, n + m), atol=1e-6)
    np.testing.assert_allclose(errors, 0, atol=1e-9)


def test_nobody():
    sample = Sample(0, 0, 20, 20, 20, seed=0)
    found, errors = sample.estimate(np.array([0.3] * len(sample.pairs)))
    assert found.shape == errors.shape == (0,)


@pytest.mark.parametrize(
    ("images", "texts", "pairs", "least", "most"),
    [(24, 34, 150, 0.88, 1.35), (24, 34, 10**4, 0.88, 1.35), (14, 18, 10**4, 0.86, 1.45)],
)
def test_standard_errors_hold_what_they_promise(images, texts, pairs, least, most):
    n, m = 5, 6
    held, distance, claimed = [], [], []
    for game in range(3):
        worth = smooth_game(n + m, game)
        truth = brute_force(worth, n + m)
        for seed in range(60):
            sample = Sample(n, m, images, texts, pairs, seed)
            found, errors = sample.estimate(worth_of(sample, worth))
            assert found.sum() == pytest.approx(worth[-1] - worth[0], abs=1e-9)
            held.append(np.abs(found - truth) < 1.96 * errors)
            distance.append(found - truth)
            claimed.append(errors)
    assert least < np.mean(held) < 0.99
    ratio = np.sqrt(np.mean(np.square(claimed)) / np.mean(np.square(distance)))
    assert 0.8 < ratio < most
    bias = np.abs(np.reshape(distance, (3, 60, n + m)).mean(axis=1))
    assert (bias < 4 * np.reshape(claimed, (3, 60, n + m)).mean(axis=1) / np.sqrt(60)).all()


def test_dummies_and_equal_players():
    n, m = 3, 3
    members = np.array(list(itertools.product([0, 1], repeat=n + m)))
    worth = 2.0 * members[:, 1] * members[:, 4] + members[:, 0] * members[:, 2]  # 3, 5 do nothing
    sample = Sample(n, m, 64, 64, 10**4, seed=0)
    found, _ = sample.estimate(worth_of(sample, worth))
    np.testing.assert_allclose(found, [0.5, 1, 0.5, 0, 1, 0], atol=1e-6)


def test_an_additive_game_needs_no_samples():
    values = np.random.default_rng(0).normal(size=21)
    sample = Sample(9, 12, 40, 60, 300, seed=0)
    rows, columns = sample.pairs.T
    members = [sample.images.members[rows], sample.texts.members[columns]]
    found, errors = sample.estimate(np.concatenate(members, axis=1) @ values)
    np.testing.assert_allclose(found, values, atol=1e-4)
    assert errors.max() < 1e-4


def test_a_pool_is_closed_and_has_every_size():
    pool = draw_pool(9, 74, np.random.default_rng(0))
    assert len(pool.members) == 74 and len({row.tobytes() for row in pool.members}) == 74
    np.testing.assert_array_equal(pool.members[pool.complements], ~pool.members)
    assert set(pool.sizes) == set(range(10))
    assert np.bincount(pool.sizes)[[1, 8]].tolist() == [9, 9]


@pytest.mark.parametrize("players", [1, 2, 5, 9, 40])
def test_a_pool_is_no_larger_than_it_says(players):
    for budget in (5, 20, 21, 100):
        count = len(draw_pool(players, budget, np.random.default_rng(0)).members)
        assert count <= min(max(budget, 2 * players + 2), 2**players)
    assert len(draw_pool(40, 20, np.random.default_rng(0)).members) == 2 * 40 + 2


def test_the_same_seed_draws_the_same_pairs():
    first, again, other = (Sample(9, 12, 40, 60, 300, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.pairs, again.pairs)
    np.testing.assert_array_equal(first.texts.members, again.texts.members)
    assert not np.array_equal(first.texts.members, other.texts.members)
