"""Integers and scales: the error of each weight, and which channels have a scale."""

import keras
import numpy as np
import pytest
from keras import layers

from tatl_keras.models.artifact.quantization import channel_axes, is_quantized, to_int8


@pytest.mark.parametrize("axes", [(0,), (3,), (2, 3)])
def test_each_channel_uses_all_its_steps(axes):
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(2, 3, 5, 7)) * np.exp(rng.normal(size=(2, 3, 5, 7)))
    integers, scales = to_int8(weight, axes)
    assert (integers.dtype, scales.dtype) == ("int8", "float32")
    assert scales.shape == tuple(n if axis in axes else 1 for axis, n in enumerate((2, 3, 5, 7)))
    others = tuple({0, 1, 2, 3} - {*axes})
    np.testing.assert_array_equal(np.abs(np.int32(integers)).max(axis=others), 127)
    error = np.abs(integers * np.float64(scales) - weight)
    assert (error <= scales * (0.5 + 1e-5)).all()
    np.testing.assert_array_equal(np.sign(integers), np.sign(np.rint(weight / scales)))


def test_a_channel_of_zeros_stays_zero():
    integers, scales = to_int8(np.array([[0.0, 3.0], [0.0, -6.0]]), (1,))
    np.testing.assert_array_equal(integers, [[0, 64], [0, -127]])
    np.testing.assert_allclose(scales, [[1.0, 6 / 127]])


def test_which_weights_are_worth_it():
    assert is_quantized((32, 32), "float32")
    assert not is_quantized((31, 33), "float32")
    assert not is_quantized((4096,), "float32")
    assert not is_quantized((64, 64), "int32")
    assert not is_quantized((64, 64), "bfloat16")


def test_channels_of_each_kind_of_layer():
    depthwise = layers.DepthwiseConv2D(3, depth_multiplier=2)
    separable = layers.SeparableConv2D(4, 3)
    heads = layers.EinsumDense("abc,cde->abde", output_shape=(None, 2, 5))
    joined = layers.EinsumDense("abde,dec->abc", output_shape=(None, 6))
    table, plain = layers.Embedding(9, 4), layers.Dense(3)
    for layer, shape in [
        (depthwise, (1, 8, 8, 3)),
        (separable, (1, 8, 8, 3)),
        (heads, (1, 7, 6)),
        (joined, (1, 7, 2, 5)),
        (table, (1, 7)),
        (plain, (1, 7)),
    ]:
        layer.build(shape)
    found = channel_axes([depthwise, separable, heads, joined, table, plain])
    assert found == {
        id(depthwise.kernel): (2, 3),
        id(separable.depthwise_kernel): (2, 3),
        id(heads.kernel): (1, 2),
        id(joined.kernel): (2,),
        id(table.embeddings): (0,),
    }


def test_a_scale_for_each_output_channel_lets_the_product_be_taken_out():
    """(x @ q) · s = x @ (q · s): the axes are those that the layer does not sum over."""
    layer = layers.EinsumDense("abc,cde->abde", output_shape=(None, 2, 5))
    x = np.random.default_rng(1).normal(size=(3, 7, 6))
    layer.build(x.shape)
    kernel = np.asarray(keras.ops.convert_to_numpy(layer.kernel))
    integers, scales = to_int8(kernel, channel_axes([layer])[id(layer.kernel)])
    scales = np.float64(scales)
    outside = np.einsum("abc,cde->abde", x, integers) * scales[None]
    np.testing.assert_allclose(outside, np.einsum("abc,cde->abde", x, integers * scales))
