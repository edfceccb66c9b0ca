"""Against PyTorch's attention: numbers that `tests/goldens/torch_attention.py` wrote."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import layers
from tatl_keras.layers.execution import dot_product_attention
from tatl_keras.layers.masking import causal_limits

PATH = pathlib.Path(__file__).parents[1] / "goldens" / "torch_attention.npz"


def golden(case):
    with np.load(PATH) as file:
        return {n.split("/")[1]: file[n] for n in file.files if n.startswith(f"{case}/")}


@pytest.mark.parametrize("how", ["dense", "chunked"])
@pytest.mark.parametrize("case", ["sdpa_plain", "sdpa_masked", "sdpa_causal"])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-6)])
def test_scaled_dot_product_attention(case, how, dtype, tolerance):
    found = golden(case)
    inputs = [tf.constant(found[name], dtype) for name in ("query", "key", "value")]
    limits = causal_limits(inputs[0].shape[2]) if case == "sdpa_causal" else None
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = dot_product_attention(
            *inputs, attention_mask=found.get("mask"), limits=limits, implementation=how
        ).outputs
        loss = tf.reduce_sum(outputs * tf.constant(found["by_outputs"], dtype))
    np.testing.assert_allclose(outputs, found["outputs"], rtol=0, atol=tolerance * 3)
    for name, gradient in zip(("query", "key", "value"), tape.gradient(loss, inputs), strict=True):
        np.testing.assert_allclose(gradient, found[f"by_{name}"], rtol=0, atol=tolerance * 10)


@pytest.mark.parametrize("case", ["mha_plain", "mha_bias"])
def test_multi_head_attention(case):
    found = golden(case)
    bias = case == "mha_bias"
    layer = layers.MultiHeadAttention(num_heads=3, key_dim=4, use_bias=bias, dtype="float64")
    inputs = (found["query"], found["value"], found["key"])
    layer.build(*(x.shape for x in inputs))
    kernels = [
        np.reshape(found[f"{name}_proj_weight"].T, (-1, 3, 4)) for name in ("q", "k", "v")
    ] + [np.reshape(found["out_proj.weight"].T, (3, 4, 12))]
    for name, kernel in zip(("query", "key", "value", "output"), kernels, strict=True):
        getattr(layer, f"{name}_kernel").assign(kernel)
    if bias:
        biases = [*np.reshape(found["in_proj_bias"], (3, 3, 4)), found["out_proj.bias"]]
        for name, values in zip(("query", "key", "value", "output"), biases, strict=True):
            getattr(layer, f"{name}_bias").assign(values)
    outputs, scores = layer(*inputs, value_mask=found["value_mask"], return_attention_scores=True)
    np.testing.assert_allclose(outputs, found["outputs"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(scores, found["scores"], rtol=0, atol=1e-12)
    layer.implementation = "chunked"
    outputs = layer(*inputs, value_mask=found["value_mask"])
    np.testing.assert_allclose(outputs, found["outputs"], rtol=0, atol=1e-12)
