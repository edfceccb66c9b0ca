"""Flags of samplers: those of the run hold where none is given, and fit the sampler."""

import pytest
from absl import app
from absl.testing import flagsaver

from tatl_keras import models
from tatl_keras.bin import common, evaluate, predict, sampler_flags


@pytest.mark.parametrize(
    ("words", "sampler", "max_length"),
    [
        ([], ("BeamSampler", 3), 9),
        (["--sampler=greedy"], ("GreedySampler", None), 9),
        (["--num_beams=5", "--max_length=4"], ("BeamSampler", 5), 4),
    ],
)
def test_flags_of_the_run_hold_where_none_is_given(words, sampler, max_length):
    config = {"flags": {"sampler": "beam", "num_beams": 3, "max_length": 9}}
    with flagsaver.flagsaver():
        common.parse(["tatl-evaluate", *words], evaluate)
        found = sampler_flags.options(config)
    made = found["sampler"]
    assert (type(made).__name__, made.get_config().get("num_beams")) == sampler
    assert found["max_length"] == max_length


def test_random_words_are_drawn_as_the_flags_say():
    words = ["--sampler=random", "--temperature=0.5"]
    with flagsaver.flagsaver():
        common.parse(["tatl-predict", *words], predict)
        made = sampler_flags.options({"flags": {"sampler": "beam", "top_p": 0.9}})["sampler"]
    known = {"temperature": 0.5, "top_k": None, "top_p": 0.9, "num_return": 1, "seed": 0}
    assert isinstance(made, models.RandomSampler) and made.get_config() == known


@pytest.mark.parametrize(
    ("words", "of_run", "message"),
    [
        (["--top_p=0.9"], "beam", "--top_p goes with --sampler=random.*--top_p=0.9 .*beam"),
        (["--sampler=greedy", "--num_beams=4"], "beam", "--num_beams goes with --sampler=beam"),
        (["--num_beams=2"], "random", "--num_beams goes with --sampler=beam.* random"),
    ],
)
def test_a_flag_of_another_sampler_is_refused(words, of_run, message):
    with flagsaver.flagsaver():
        common.parse(["tatl-predict", *words], predict)
        with pytest.raises(app.UsageError, match=message):
            sampler_flags.options({"flags": {"sampler": of_run}})


def test_a_temperature_of_zero_is_refused():
    with flagsaver.flagsaver():
        common.parse(["tatl-predict", "--sampler=random", "--temperature=0"], predict)
        with pytest.raises(ValueError, match="Received: temperature=0.0"):
            sampler_flags.options()
