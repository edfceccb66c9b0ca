"""Arguments out of their bounds, samplers by name, and samplers of configs."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tatl_keras.models import samplers

CALL = {"start_id": 2, "end_id": 1, "pad_id": 0, "length": 3}


def step(token_ids, index, moving):
    return tf.zeros([token_ids.shape[0], 5]), tf.zeros([token_ids.shape[0], 7]), moving


@pytest.mark.parametrize(
    ("sampler", "name", "value"),
    [
        *(("BeamSampler", "num_beams", value) for value in (0, -1, 2.0, True, None)),
        *(("BeamSampler", "length_penalty", v) for v in (-0.1, np.inf, np.nan, True, "0.6", None)),
        *(("BeamSampler", "num_return", value) for value in (0, 6, 1.0, None)),
        *(("RandomSampler", "temperature", v) for v in (0, -1.0, np.inf, np.nan, 1e-50, True, "1")),
        *(("RandomSampler", "top_k", value) for value in (0, 2.0, True)),
        *(("RandomSampler", "top_p", value) for value in (0, 0.0, 1.01, np.nan, True, "0.9")),
        *(("RandomSampler", "num_return", value) for value in (0, None)),
        *(("RandomSampler", "seed", value) for value in (1.5, True, "1")),
    ],
)
def test_an_argument_out_of_its_bounds(sampler, name, value):
    with pytest.raises(ValueError, match=rf"`{name}` must be .*Received: {name}={value!r}"):
        getattr(samplers, sampler)(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("length", value) for value in (0, 2.5, True, None)),
        *((name, value) for name in ("start_id", "end_id", "pad_id") for value in (-1, 5, 1.0)),
        ("attended", 0),
        ("rows", -1),
        ("rows", 1.0),
        ("rows", True),
    ],
)
@pytest.mark.parametrize("sampler", ["greedy", "beam", "random"])
def test_a_call_out_of_its_bounds(sampler, name, value):
    sampler = samplers.get(sampler)
    call = {"step": step, "moving": (), "rows": 2} | CALL | {name: value}
    with pytest.raises(ValueError, match=rf"`{name}` must be .*Received: {name}={value!r}"):
        sampler(**call)


def test_rows_of_a_wrong_rank():
    with pytest.raises(ValueError, match=r"`rows` must be .*without axes.*shape=\(2,\)"):
        samplers.get("greedy")(step, (), tf.constant([1, 2]), **CALL)


@pytest.mark.parametrize("shape", [(1, 5, 1), (5,)])
def test_a_step_of_a_wrong_shape(shape):
    with pytest.raises(ValueError, match=r"`step` must return log-prob.*shape=\(.*5"):
        samplers.get("greedy")(lambda *given: (tf.zeros(shape), None, ()), (), 1, **CALL)


def test_attention_of_a_wrong_shape():
    with pytest.raises(ValueError, match=r"of shape \(R, 6\).*Received: attention.shape=\(1, 7\)"):
        samplers.get("greedy")(step, (), 1, attended=6, **CALL)
    with pytest.raises(ValueError, match="Received: attention.shape=None"):
        samplers.get("greedy")(lambda *g: (step(*g)[0], None, ()), (), 1, attended=7, **CALL)


@pytest.mark.parametrize(
    "sampler",
    [
        samplers.GreedySampler(),
        samplers.BeamSampler(3, length_penalty=0.25, num_return=2),
        samplers.RandomSampler(temperature=0.5, top_k=4, top_p=0.75, num_return=3, seed=11),
    ],
)
def test_a_sampler_of_its_config(sampler):
    config = keras.saving.serialize_keras_object(sampler)
    for again in (
        keras.saving.deserialize_keras_object(config),
        samplers.get(config),
        type(sampler).from_config(sampler.get_config()),
    ):
        assert type(again) is type(sampler) and vars(again) == vars(sampler)
    assert samplers.get(sampler) is sampler


def test_samplers_by_name():
    made = {name: type(samplers.get(name)) for name in ("greedy", "beam", "random")}
    assert list(made.values()) == [
        samplers.GreedySampler, samplers.BeamSampler, samplers.RandomSampler,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("identifier", "received"),
    [("beem", "'beem'. Did you mean \"beam\""), ("", "''"), (3, "3"), (None, "None")],
)
def test_what_is_no_sampler(identifier, received):
    with pytest.raises(ValueError, match=f"`identifier` must be .*identifier={received}"):
        samplers.get(identifier)
