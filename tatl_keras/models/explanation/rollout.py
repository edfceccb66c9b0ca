"""Attention traced through all layers of a transformer."""

import functools

import keras
import numpy as np


def attention_scores(encoder, inputs):
    """The attention of each layer of an encoder, which is asked for it while it runs.

    Args:
        encoder: an encoder; what counts are the `keras.layers.MultiHeadAttention` inside.
        inputs: what it reads of B examples.

    Returns:
        List of floats (B, heads, T, T), one a layer, special tokens included. It is empty where no
        layer attends from the tokens to themselves, or where layers see other tokens than those
        that the encoder returns: those of a window, or padding behind the end of a text.
    """
    layers = [
        layer
        for layer in encoder._flatten_layers()
        if isinstance(layer, keras.layers.MultiHeadAttention)
    ]
    if not layers:
        return []
    seen: list = []
    for layer in layers:
        layer.call = functools.partial(_record, layer.call, seen)
    try:
        tokens = encoder(inputs, training=False)["tokens"]
    finally:
        for layer in layers:
            del layer.call
    length = tokens.shape[1]
    if length is not None:
        length += getattr(encoder, "num_prefix_tokens", None) or 0
    squares = [scores for scores in seen if scores.shape[2] == scores.shape[3]]
    return squares if all(scores.shape[2] == length for scores in squares) else []


def rollout(scores):
    """How much of each token of the last layer comes from each token of the first.

        R = A'_N … A'_2 A'_1,   A'_l = (mean over heads of A_l) / 2 + I / 2

    Args:
        scores: list of floats (heads, T, T), the attention A_l of each layer, the first first.

    Returns:
        Floats (T, T), rows sum to 1.

    >>> rollout([np.array([[[1.0, 0.0], [1.0, 0.0]]])] * 2).tolist()
    [[1.0, 0.0], [0.75, 0.25]]

    Reference: Abnar and Zuidema 2020, section 3, https://arxiv.org/abs/2005.00928.
    """
    mixed = [(layer.mean(axis=0) + np.eye(layer.shape[-1])) / 2 for layer in scores]
    return functools.reduce(lambda flow, layer: layer @ flow, mixed)


def _record(call, seen, *args, return_attention_scores=False, **kwargs):
    outputs, scores = call(*args, return_attention_scores=True, **kwargs)
    seen.append(scores)
    return (outputs, scores) if return_attention_scores else outputs
