"""Tokens drawn at random against the exact distributions they are drawn from."""

import itertools

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tatl_keras.models import samplers
from tests.models.samplers.markov import END, START, Markov

DRAWS = 20_000
# Chance of a chi-square this large, from a sampler that is right; the seeds are fixed.
RARE = 1e-3


def restricted(log_probs, temperature=1.0, top_k=None, top_p=None):
    """The probabilities by the definition, in float64: sort, cut, normalise."""
    q = np.exp(log_probs / temperature)
    q /= q.sum()
    order = np.argsort(-q)
    count = len(q) if top_k is None else top_k
    if top_p is not None:
        together = (q[order[:size]].sum() for size in range(1, len(q)))
        count = min(count, 1 + sum(share < top_p for share in together))
    kept = np.zeros(len(q))
    kept[order[:count]] = q[order[:count]]
    return kept / kept.sum()


def agrees(counts, shares):
    """Whether counts could well come from these shares; what has none was never drawn."""
    assert not counts[shares == 0].any()
    rare = shares * counts.sum() < 5  # taken together, or chi-square is none
    counts, shares = (np.append(x[~rare], x[rare].sum()) for x in (counts, shares))
    counts, shares = counts[shares > 0], shares[shares > 0]
    return len(shares) == 1 or scipy.stats.chisquare(counts, shares * counts.sum()).pvalue > RARE


@pytest.mark.parametrize(
    ("cut", "count"),
    [
        ({}, 11),
        ({"temperature": 0.5}, 11),
        ({"temperature": 3.0}, 11),
        ({"top_k": 3}, 3),
        ({"top_k": 1}, 1),
        ({"top_k": 100}, 11),
        ({"top_p": 0.8}, 7),
        ({"top_p": 1.0}, 11),
        ({"top_p": 1e-6}, 1),
        ({"top_k": 4, "top_p": 0.8}, 4),
        ({"top_k": 9, "top_p": 0.8, "temperature": 0.7}, 6),
    ],
)
def test_the_first_token_comes_from_the_exact_distribution(cut, count):
    model = Markov(11, 1, 2, sharpness=0.5)
    made = model.run(samplers.RandomSampler(num_return=DRAWS, seed=1, **cut))
    for row in range(2):
        shares = restricted(model.log_probs(row, ()), **cut)
        assert row or np.count_nonzero(shares) == count
        assert agrees(np.bincount(made.token_ids[row, :, 0], minlength=11), shares)
        wanted = model.log_probs(row, ())[made.token_ids[row, :, 0]]
        np.testing.assert_allclose(made.log_probs[row], wanted, rtol=1e-5)
    np.testing.assert_array_equal(made.scores, made.log_probs)


def test_whole_sequences_come_from_the_exact_distribution():
    """Of three tokens, so that what is drawn at one step must not tell of the next."""
    model = Markov(4, 3, 2, seed=3, sharpness=0.3)
    cut = {"temperature": 0.9, "top_k": 3}
    made = model.run(samplers.RandomSampler(num_return=DRAWS, seed=5, **cut))
    for row in range(2):
        shares = {}
        for ids in itertools.product(range(4), repeat=3):
            until = ids[: ids.index(END) + 1] if END in ids else ids
            steps = (restricted(model.log_probs(row, until[:t]), **cut) for t in range(len(until)))
            shares[until] = np.prod([q[token] for q, token in zip(steps, until, strict=True)])
        names = list(shares)
        found = np.zeros(len(names))
        for ids, count in zip(made.token_ids[row].tolist(), made.lengths[row], strict=True):
            found[names.index(tuple(ids[:count]))] += 1
        assert agrees(found, np.array([shares[name] for name in names]))


def test_sequences_and_rows_are_drawn_independently():
    """Pairs of neighbours, in one row and in two, against the product of their shares."""
    model = Markov(5, 1, 2, seed=4, sharpness=0.5)
    model.context[1] = model.context[0]
    made = model.run(samplers.RandomSampler(num_return=DRAWS, seed=2)).token_ids[:, :, 0]
    shares = restricted(model.log_probs(0, ()))
    pairs = np.outer(shares, shares).ravel()
    for first, second in ((made[0, :-1:2], made[0, 1::2]), (made[0], made[1])):
        assert agrees(np.bincount(first * 5 + second, minlength=25), pairs)


@pytest.mark.parametrize("cut", [{}, {"top_k": 5}, {"top_p": 0.9}])
def test_a_seed_decides(cut):
    model = Markov(11, 7, 5)
    sampler = samplers.RandomSampler(num_return=3, seed=7, **cut)
    made = model.run(sampler, attended=model.attended)
    for x, y in zip(made, model.run(sampler, attended=model.attended), strict=True):
        np.testing.assert_array_equal(x, y)
    others = [
        model.run(samplers.RandomSampler(num_return=3, seed=seed, **cut)).token_ids
        for seed in (0, 8, -7, 2**40)
    ]
    different = itertools.combinations([made.token_ids, *others], 2)
    assert all((x != y).any() for x, y in different)
    sequences = [
        model.sequence(row, tuple(ids[:count]))
        for row in range(5)
        for ids, count in zip(made.token_ids[row].tolist(), made.lengths[row], strict=True)
    ]
    wanted = [sequences[3 * row : 3 * row + 3] for row in range(5)]
    model.check(made, wanted)


def test_a_row_draws_the_same_in_a_larger_batch():
    model = Markov(11, 7, 5)
    sampler = samplers.RandomSampler(num_return=2, seed=7, top_k=7)
    whole, part = model.run(sampler), model.run(sampler, slice(3))
    np.testing.assert_array_equal(part.token_ids, whole.token_ids[:3])
    model.context[3:] = 1
    again = model.run(sampler)
    np.testing.assert_array_equal(again.token_ids[:3], whole.token_ids[:3])


@pytest.mark.parametrize("cut", [{}, {"top_k": 7}, {"top_p": 0.9}])
def test_a_row_draws_the_same_in_a_later_batch(cut):
    model = Markov(11, 7, 5)
    sampler = samplers.RandomSampler(num_return=3, seed=7, **cut)
    whole = model.run(sampler)
    for start in (1, 3):
        part = model.run(sampler, slice(start, None), first_row=start)
        np.testing.assert_array_equal(part.token_ids, whole.token_ids[start:])
        other = model.run(sampler, slice(start, None))
        assert (other.token_ids != part.token_ids).any()


def test_without_a_seed_each_call_draws_anew():
    model = Markov(11, 7, 5)
    sampler = samplers.RandomSampler(num_return=3)
    assert (model.run(sampler).token_ids != model.run(sampler).token_ids).any()
    function = tf.function(
        lambda: sampler(
            model.step, model.moving(3), 5, start_id=START, end_id=END, pad_id=0, length=7
        )
    )
    assert (function().token_ids.numpy() != function().token_ids.numpy()).any()


@pytest.mark.parametrize("temperature", [1e-5, 1e-30])
def test_a_temperature_near_0_is_greedy(temperature):
    model = Markov(11, 7, 5, attended=3)
    made = model.run(samplers.RandomSampler(temperature=temperature, seed=1), attended=3)
    for x, y in zip(made, model.run(samplers.GreedySampler(), attended=3), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-6)


def test_what_may_not_be_made_is_never_drawn():
    model = Markov(5, 1, 1)
    model.context[:, [1, 3]] = -np.inf
    for cut in ({}, {"top_k": 5}, {"top_p": 1.0}, {"temperature": 100.0}):
        made = model.run(samplers.RandomSampler(num_return=1000, seed=1, **cut)).token_ids
        assert set(made.flat) == {0, 2, 4}
