"""Greedy and beam search against their definitions in plain Python, and against all sequences."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from tatl_keras.models import samplers
from tests.models.samplers import sequences
from tests.models.samplers.markov import END, PAD, START, Markov

ROWS = 5


@pytest.fixture
def model():
    return Markov(11, 6, ROWS, seed=7)


def equal(found, wanted, rows=slice(None)):
    """Compares what was made with these rows of something else that was."""
    for x, y in zip(found, wanted, strict=True):
        if y is not None:
            np.testing.assert_allclose(x, y[rows], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_greedy_follows_its_definition(seed):
    model = Markov(11, 6, ROWS, seed=seed)
    wanted = [
        [sequences.greedy(functools.partial(model.log_probs, row), model.length, END)]
        for row in range(ROWS)
    ]
    made = model.run(samplers.GreedySampler(), attended=model.attended)
    model.check(made, wanted)
    assert made.token_ids.dtype == made.lengths.dtype == np.int32


def test_the_greedy_model_ends_sooner_and_later(model):
    """So that the tests above and below are about rows that end apart."""
    made = model.run(samplers.GreedySampler())
    assert len(set(made.lengths[:, 0])) > 2 and made.attention is None


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("num_beams", "penalty"), [(2, 0.0), (3, 0.6), (5, 2.0), (23, 1.0)])
def test_beam_search_follows_its_definition(seed, num_beams, penalty):
    model = Markov(7, 6, ROWS, seed=seed)
    wanted = [
        sequences.beam(
            functools.partial(model.log_probs, row), model.length, END, num_beams, penalty
        )
        for row in range(ROWS)
    ]
    sampler = samplers.BeamSampler(num_beams, length_penalty=penalty, num_return=num_beams)
    model.check(model.run(sampler, attended=model.attended), wanted, penalty)


@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_a_wide_beam_finds_the_best_of_all_sequences(penalty):
    model = Markov(3, 5, 4, seed=1)
    wanted = [
        sorted(
            (model.sequence(row, made) for made in sequences.every(3, model.length, END)),
            key=lambda sequence: -sequence.score(penalty),
        )
        for row in range(4)
    ]
    sampler = samplers.BeamSampler(3 ** (5 - 1), length_penalty=penalty, num_return=13)
    model.check(model.run(sampler), wanted, penalty)


def test_a_wide_beam_makes_each_sequence_once():
    """There are 63; the rest of the beam holds nothing."""
    model = Markov(3, 5, 2)
    made = model.run(samplers.BeamSampler(81, num_return=81))
    there = np.isfinite(made.log_probs)
    every = set(sequences.every(3, 5, END))
    assert (there.sum(axis=1) == len(every)).all() and len(every) == 63
    for row in range(2):
        found = zip(made.token_ids[row], made.lengths[row], there[row], strict=True)
        assert {tuple(ids[:count]) for ids, count, is_there in found if is_there} == every
        np.testing.assert_allclose(np.exp(made.log_probs[row].astype(float)).sum(), 1, rtol=1e-5)
    assert not made.finished[~there].any() and (made.scores[~there] == -np.inf).all()


def test_one_beam_is_greedy(model):
    greedy = model.run(samplers.GreedySampler(), attended=model.attended)
    beam = model.run(samplers.BeamSampler(1, length_penalty=0.0), attended=model.attended)
    equal(beam, greedy)
    penalised = model.run(samplers.BeamSampler(1, length_penalty=1.0))
    np.testing.assert_array_equal(penalised.token_ids, greedy.token_ids)


def test_the_length_penalty_makes_a_longer_sequence_win():
    """a: 0.5, then it ends. b: 0.4, three times b for sure, then the end."""
    a, b, most = 3, 4, 5
    table = np.zeros((5, most, 5))
    table[0, START, [a, b, PAD]] = 0.5, 0.4, 0.1
    table[1:, a, END] = table[1:4, b, b] = table[4, b, END] = table[1:, PAD, PAD] = 1

    def step(token_ids, index, moving):
        rows = tf.gather(tf.constant(table, tf.float32)[index], token_ids)
        return tf.math.log(rows), None, moving

    def best(penalty):
        sampler = samplers.BeamSampler(3, length_penalty=penalty)
        made = sampler(step, (), 1, start_id=START, end_id=END, pad_id=PAD, length=most)
        return made.token_ids.numpy()[0, 0].tolist(), float(made.scores[0, 0])

    # log 0.5 / (7/6)^p against log 0.4 / (10/6)^p: equal where (10/7)^p = 1.322, p = 0.78
    tokens, score = best(0.7)
    assert tokens == [a, END, PAD, PAD, PAD]
    np.testing.assert_allclose(score, np.log(0.5) / (7 / 6) ** 0.7, rtol=1e-6)
    tokens, score = best(0.9)
    assert tokens == [b, b, b, b, END]
    np.testing.assert_allclose(score, np.log(0.4) / (10 / 6) ** 0.9, rtol=1e-6)


@pytest.mark.parametrize("name", ["greedy", "beam"])
def test_rows_do_not_know_of_each_other(model, name):
    sampler = samplers.get(name)
    whole = model.run(sampler, attended=model.attended)
    for rows in ([4, 2, 0, 1, 3], [3], [0, 0, 1], [2, 4]):
        equal(model.run(sampler, rows, attended=model.attended), whole, rows)


@pytest.mark.parametrize(
    "sampler", [samplers.GreedySampler(), samplers.BeamSampler(3, num_return=3)]
)
def test_nothing_that_comes_after_the_end_matters(sampler):
    """A model that breaks wherever it is asked to go on after the end."""

    class Broken(Markov):
        def step(self, token_ids, index, moving):
            log_probs, attention, moving = super().step(token_ids, index, moving)
            broken = (token_ids == PAD)[:, None]
            moving["memory"] = tf.where(broken, np.nan, moving["memory"])
            return tf.where(broken, np.nan, log_probs), tf.where(broken, 9.0, attention), moving

    broken, whole = (kind(11, 6, ROWS, seed=7) for kind in (Broken, Markov))
    for model in (broken, whole):
        model.context[:, PAD] = -np.inf
    found, wanted = (m.run(sampler, attended=m.attended) for m in (broken, whole))
    assert len(set(wanted.lengths.flat)) > 1
    equal(found, wanted)


@pytest.mark.parametrize("name", ["greedy", "beam", "random"])
def test_a_row_that_is_not_a_number_harms_no_other(model, name):
    sampler = samplers.RandomSampler(seed=0) if name == "random" else samplers.get(name)
    whole = model.run(sampler)
    model.context[2] = np.nan
    made = model.run(sampler)
    others = [0, 1, 3, 4]
    equal([x[others] for x in made[:-1]], whole[:-1], others)
    assert not made.finished[2].any() and not made.lengths[2].any()
    assert not np.isfinite(made.log_probs[2]).any()


@pytest.mark.parametrize("sampler", [samplers.GreedySampler(), samplers.RandomSampler(seed=0)])
def test_a_sequence_that_cannot_go_on_is_none(sampler):
    def step(token_ids, index, moving):
        steps.append(int(index))
        log_probs = tf.math.log(tf.one_hot(token_ids + 1, 7))
        return tf.where(token_ids[:, None] == 4, -np.inf, log_probs), tf.ones([2, 3]), moving

    steps = []
    made = sampler(step, (), 2, start_id=2, end_id=1, pad_id=0, length=5, attended=3)
    assert steps == [0, 1, 2]
    assert made.token_ids.numpy().tolist() == [[[0] * 5]] * 2
    assert made.log_probs.numpy().tolist() == made.scores.numpy().tolist() == [[-np.inf]] * 2
    assert not made.lengths.numpy().any() and not made.finished.numpy().any()
    assert not made.attention.numpy().any()
