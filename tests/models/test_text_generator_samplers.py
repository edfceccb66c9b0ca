"""What a sampler decides of the texts that a model writes, and what it does not."""

import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import models
from tests.models import writers


@pytest.fixture(scope="module")
def captioner():
    return writers.captioner()


def test_random_texts_are_decided_by_the_seed(captioner):
    model, examples = captioner
    drawn = [
        model.generate(examples, sampler=models.RandomSampler(seed=seed)) for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_random_texts_do_not_depend_on_batches(captioner):
    model, examples = captioner
    alike = {"image": [examples["image"][0]] * 5}
    sampler = models.RandomSampler(seed=1, num_return=2)
    whole = model.generate(alike, sampler=sampler)
    assert len({text for row in whole for text in row}) == 10
    for size in (1, 2, 3):
        assert model.generate(alike, sampler=sampler, batch_size=size) == whole


class Always(models.samplers.Sampler):
    """Writes one token again and again; it says nothing of that in a config."""

    def __init__(self, token_id):
        self.token_id = token_id

    def choose(self, index, log_probs, made):
        token_ids = tf.fill(tf.shape(made.lengths), self.token_id)
        return None, token_ids, made.log_probs + log_probs[:, self.token_id]


def test_samplers_of_a_user_are_told_apart():
    decoder = models.TransformerDecoder(13, hidden_dim=4, num_layers=1, num_heads=1, max_length=9)
    model, (memory, mask) = writers.random_captioner(decoder), writers.features()
    asked = {"image_tokens": memory[:1], "image_mask": mask[:1]}
    texts = [model.generate(asked, sampler=Always(token), max_length=2) for token in (5, 6)]
    assert texts == [["a a"], ["b b"]]


@pytest.mark.parametrize("nothing", [{"image": []}, {"image_tokens": np.zeros([0, 4, 8])}])
def test_of_no_row_nothing_is_written(captioner, nothing):
    assert captioner[0].generate(nothing) == []
