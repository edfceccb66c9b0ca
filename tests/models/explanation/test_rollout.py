"""Attention through the layers of an encoder, by hand."""

import functools

import keras
import numpy as np
import tensorflow as tf

from tatl_keras.models.explanation.rollout import attention_scores, rollout


class _Attends:
    """An encoder of two layers of attention, each added to its input."""

    def __init__(self):
        self.layers = [keras.layers.MultiHeadAttention(2, 3) for _ in range(2)]

    def _flatten_layers(self):
        return self.layers

    def __call__(self, x, training=None):
        for layer in self.layers:
            x = x + layer(x, x)
        return {"tokens": x}


def test_rollout_by_hand(rng):
    encoder, x = _Attends(), rng.normal(size=(1, 4, 6)).astype("float32")
    scores = [layer.numpy()[0] for layer in attention_scores(encoder, x)]
    found = rollout(scores)
    expected, states = np.eye(4), tf.constant(x)
    for layer in encoder.layers:
        out, scores = layer(states, states, return_attention_scores=True)
        mean = scores.numpy()[0].astype("float64").mean(axis=0)
        expected = (0.5 * mean + 0.5 * np.eye(4)) @ expected
        states = states + out
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    assert all("call" not in vars(layer) for layer in encoder.layers)


def test_an_encoder_without_attention_has_no_rollout():
    encoder = functools.partial(dict, tokens=None)
    encoder._flatten_layers = list
    assert attention_scores(encoder, np.zeros((1, 2, 3))) == []


def test_layers_that_see_other_tokens_have_no_rollout(rng):
    encoder = _Attends()
    encoder.num_prefix_tokens = 1  # which the tokens it returns do not have
    assert attention_scores(encoder, rng.normal(size=(1, 4, 6)).astype("float32")) == []
