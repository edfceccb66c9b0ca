"""Bad arguments and inputs of the layers on maps: refused before anything is computed."""

import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import layers


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filters": 0}, r"`filters` must be an integer of at least 1. Received: filters=0"),
        ({"num_heads": 0}, r"`num_heads` must be an integer.*num_heads=0"),
        ({"filters": 10, "num_heads": 4}, r"multiple of `num_heads`.*filters=10, num_heads=4"),
        ({"filters": 12, "num_heads": 4}, r"even number of channels.*filters=12.*makes 3"),
        ({"kernel_size": 4}, r"`kernel_size` must be odd.*kernel_size=4. Take 3 or 5"),
        ({"kernel_size": 0}, r"`kernel_size` must be an odd integer.*kernel_size=0"),
        ({"kernel_size": (3, 3)}, r"`kernel_size` must be an odd integer.*kernel_size=\(3, 3\)"),
        ({"strides": 0}, r"`strides` must be an integer of at least 1. Received: strides=0"),
        ({"scale": 0}, r"`scale` must be None.*scale=0"),
        ({"scale": "sqrt"}, r"`scale` must be None.*scale='sqrt'"),
        ({"scale": True}, r"`scale` must be None.*scale=True"),
        ({"dropout": 1.0}, r"`dropout` must be a number in \[0, 1\).*dropout=1.0"),
        ({"implementation": "fast"}, r"`implementation` must be one of.*implementation='fast'"),
    ],
)
def test_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        layers.LocalSelfAttention2D(**{"filters": 16, "kernel_size": 3, "num_heads": 2} | arguments)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 9, 5), r"map of shape \(B, H, W, C\).*inputs.shape=\(2, 9, 5\)"),
        ((2, 4, 9, 3), r"height and the width.*kernel_size=5, inputs.shape=\(2, 4, 9, 3\)"),
        ((2, 9, 4, 3), r"height and the width.*kernel_size=5, inputs.shape=\(2, 9, 4, 3\)"),
    ],
)
def test_inputs(shape, message):
    layer = layers.LocalSelfAttention2D(4, 5, num_heads=1)
    with pytest.raises(ValueError, match=message):
        layer(np.ones(shape))
    with pytest.raises(ValueError, match=message):
        layer.compute_output_shape(shape)


def test_channels_of_the_built_layer():
    layer = layers.LocalSelfAttention2D(4, 3, num_heads=1)
    layer.build((None, 5, 5, 3))
    with pytest.raises(ValueError, match=r"3 channels.*inputs.shape=\(1, 5, 5, 7\)"):
        layer(np.ones((1, 5, 5, 7)))
    with pytest.raises(ValueError, match=r"known number of channels.*\(None, 5, 5, None\)"):
        layers.LocalSelfAttention2D(4, 3, num_heads=1).build((None, 5, 5, None))


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.ones((1, 5, 6, 1), bool), r"`mask` must have shape \(1, 5, 6\).*\(1, 5, 6, 1\)"),
        (np.ones((1, 6, 5), bool), r"`mask` must have shape \(1, 5, 6\).*\(1, 6, 5\)"),
        (np.ones((1, 5, 6), "float32"), r"`mask` must be boolean or integer.*mask.dtype=float32"),
    ],
)
def test_masks(mask, message):
    layer = layers.LocalSelfAttention2D(4, 3, num_heads=1)
    with pytest.raises(ValueError, match=message):
        layer(np.ones((1, 5, 6, 3)), mask=tf.constant(mask))


def test_scores_are_not_chunked():
    layer = layers.LocalSelfAttention2D(4, 3, num_heads=1, implementation="chunked")
    with pytest.raises(ValueError, match='"dense" or "auto".*implementation="chunked"'):
        layer(np.ones((1, 5, 5, 3)), return_attention_scores=True)
