"""What is folded while tracing is what NumPy works out, and stays folded in the server's graph."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tatl_keras import encoders
from tatl_keras.models.artifact.weights import ExportedWeights
from tests.models.artifact.graphs import count, traced, with_random_statistics


def small(depthwise, use_bias, activate=False):
    """Convolution, normalisation, and perhaps ReLU; 5 × 5 pictures."""
    inputs = keras.Input((5, 5, 3))
    if depthwise:
        convolution = layers.DepthwiseConv2D(
            3, depth_multiplier=2, use_bias=use_bias, name="convolution"
        )
    else:
        convolution = layers.Conv2D(4, 3, use_bias=use_bias, name="convolution")
    x = layers.BatchNormalization(epsilon=0.01, name="normalization")(convolution(inputs))
    if use_bias:
        convolution.bias.assign(np.random.default_rng(1).normal(size=convolution.bias.shape))
    model = keras.Model(inputs, layers.ReLU()(x) if activate else x)
    return with_random_statistics(encoders.ImageEncoder(model))


def by_numpy(encoder, images, depthwise):
    """Each product of the convolution, and the formula of the normalisation, in float64."""
    convolution = encoder.backbone.get_layer("convolution")
    normalization = encoder.backbone.get_layer("normalization")
    kernel = np.float64(convolution.kernel)
    kinds = kernel.shape[2] * kernel.shape[3] if depthwise else kernel.shape[3]
    y = np.zeros((len(images), 3, 3, kinds))
    for i, j, k in np.ndindex(3, 3, kinds):
        window = np.float64(images)[:, i : i + 3, j : j + 3]
        if depthwise:
            y[:, i, j, k] = (window[..., k // 2] * kernel[:, :, k // 2, k % 2]).sum(axis=(1, 2))
        else:
            y[:, i, j, k] = (window * kernel[..., k]).sum(axis=(1, 2, 3))
    if convolution.use_bias:
        y += np.float64(convolution.bias)
    mean, variance, gamma, beta = (
        np.float64(getattr(normalization, name))
        for name in ("moving_mean", "moving_variance", "gamma", "beta")
    )
    return gamma * (y - mean) / np.sqrt(variance + 0.01) + beta


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("depthwise", [True, False])
def test_one_convolution_in_float64(depthwise, use_bias):
    encoder = small(depthwise, use_bias)
    images = np.random.default_rng(2).normal(size=(2, 5, 5, 3)).astype("float32")
    function = traced(ExportedWeights(encoder), lambda x: encoder(x)["tokens"], images)
    assert count(function, "Rsqrt") == 0
    expected = by_numpy(encoder, images, depthwise).reshape(2, 9, -1)
    np.testing.assert_allclose(function(tf.constant(images)), expected, rtol=0, atol=2e-6)


def test_the_shift_becomes_part_of_the_convolution_in_a_session(tmp_path):
    """What a server runs is the graph after TensorFlow's own optimiser."""
    encoder = small(depthwise=False, use_bias=False, activate=True)
    images = np.ones((2, 5, 5, 3), "float32")
    weights = ExportedWeights(encoder)
    module = tf.Module()
    function = traced(weights, lambda x: encoder(x)["tokens"], images)
    module.model_variables = weights.variables
    tf.saved_model.save(module, tmp_path, signatures=function)
    v1 = tf.compat.v1
    details = v1.RunMetadata()
    with tf.Graph().as_default(), v1.Session() as session:
        loaded = v1.saved_model.load(session, ["serve"], str(tmp_path)).signature_def
        signature = loaded["serving_default"]
        (given,), (output,) = signature.inputs.values(), signature.outputs.values()
        options = v1.RunOptions(output_partition_graphs=True)
        session.run(output.name, {given.name: images}, options=options, run_metadata=details)
    nodes = [node for graph in details.partition_graphs for node in graph.node]
    fused = [node for node in nodes if node.op.endswith("FusedConv2D")]
    assert [node.attr["fused_ops"].list.s for node in fused] == [[b"BiasAdd", b"Relu"]]
    assert not {"AddV2", "Mul", "Rsqrt", "Relu"} & {node.op for node in nodes}


def test_pretrained_lite0_with_other_statistics():
    encoder = with_random_statistics(encoders.build_image("efficientnet_lite0")[0])
    images = np.random.default_rng(0).normal(size=(2, 96, 96, 3)).astype("float32")
    expected, digest = np.asarray(encoder(images)["pooled"]), encoder.digest()
    function = traced(ExportedWeights(encoder), lambda x: encoder(x)["pooled"], images)
    assert count(function, "Rsqrt") == 0
    atol = 1e-5 * np.abs(expected).max()
    np.testing.assert_allclose(function(tf.constant(images)), expected, rtol=0, atol=atol)
    assert encoder.digest() == digest
    np.testing.assert_array_equal(encoder(images)["pooled"], expected)
