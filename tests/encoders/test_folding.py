"""Folding gives the same network with fewer operations, and only where that is possible."""

import keras
import keras_hub
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tatl_keras import encoders
from tatl_keras.encoders.build import build_backbone
from tests.encoders.cases import RESNET, ready, sasa

BOTTLENECK = RESNET | dict(block_type="bottleneck_block", stackwise_num_filters=[64, 8])


def resnet(**changes):
    return encoders.ImageEncoder(keras_hub.models.ResNetBackbone(**(BOTTLENECK | changes)))


def mobile(**changes):
    """Blocks of EfficientNet, with and without squeeze and excitation."""
    config = dict(
        stackwise_width_coefficients=[1.0] * 3,
        stackwise_depth_coefficients=[1.0] * 3,
        stackwise_kernel_sizes=[3, 5, 3],
        stackwise_num_repeats=[1, 2, 1],
        stackwise_input_filters=[8, 8, 16],
        stackwise_output_filters=[8, 16, 16],
        stackwise_expansion_ratios=[1, 2, 2],
        stackwise_squeeze_and_excite_ratios=[0, 0.25, 0],
        stackwise_strides=[2, 2, 1],
        stackwise_block_types=["v1", "unfused", "fused"],
        num_features=24,
    )
    return encoders.ImageEncoder(build_backbone("EfficientNetBackbone", config | changes, seed=1))


def with_random_statistics(encoder, seed=0):
    """Gives each normalisation values that move, stretch and flip its channels; and biases."""
    rng = np.random.default_rng(seed)
    for layer in encoder._flatten_layers():
        if getattr(layer, "bias", None) is not None:
            layer.bias.assign(rng.normal(0, 0.3, layer.bias.shape))
    for layer in normalizations(encoder):
        size = layer.moving_mean.shape
        layer.moving_mean.assign(rng.normal(0, 0.3, size))
        layer.moving_variance.assign(rng.uniform(0.3, 2, size))
        if layer.scale:
            layer.gamma.assign(rng.uniform(0.5, 1.5, size) * rng.choice([-1, 1], size))
        if layer.center:
            layer.beta.assign(rng.normal(0, 0.3, size))
    return encoder


def normalizations(encoder):
    kind = keras.layers.BatchNormalization
    return [layer for layer in encoder._flatten_layers() if isinstance(layer, kind)]


def pictures(size=32):
    return np.random.default_rng(1).normal(size=(2, size, size, 3)).astype("float32")


def normalizations_left(encoder):
    """How often the traced network takes the root of a variance."""
    images = tf.TensorSpec((1, 32, 32, 3))
    graph = tf.function(lambda x: encoder(x)["pooled"], autograph=False)
    operations = graph.get_concrete_function(images).graph.get_operations()
    return sum(operation.type == "Rsqrt" for operation in operations)


def assert_equal_outputs(folded, encoder, images, tolerance=1e-5):
    ours, theirs = folded(images), encoder(images)
    for name in ("tokens", "pooled"):
        expected = np.asarray(theirs[name])
        atol = tolerance * np.abs(expected).max()
        np.testing.assert_allclose(ours[name], expected, rtol=0, atol=atol)
    np.testing.assert_array_equal(ours["mask"], theirs["mask"])


@pytest.mark.parametrize(
    ("make", "left"),
    [
        (mobile, 0),
        (lambda: resnet(use_pre_activation=False), 0),
        # Before the first convolution of each of the three blocks, and at the end.
        (lambda: resnet(use_pre_activation=True), 4),
        # Behind the attention of each of the three blocks.
        (lambda: sasa("conv"), 3),
    ],
    ids=["mobile", "resnet_v1", "resnet_v2", "sasa"],
)
def test_networks_are_equal_and_the_given_one_is_untouched(make, left):
    encoder = with_random_statistics(make())
    digest, images = encoder.digest(), pictures()
    before = np.asarray(encoder(images)["tokens"])
    assert normalizations_left(encoder) == len(normalizations(encoder))
    folded = encoders.fold_batch_norm(encoder)
    assert normalizations_left(folded) == left
    assert_equal_outputs(folded, encoder, images)
    assert encoder.digest() == digest
    np.testing.assert_array_equal(encoder(images)["tokens"], before)
    assert folded.frozen and not folded.trainable_weights


def test_pretrained_lite0_is_equal(lite0):
    encoder = lite0[0]
    folded = encoders.fold_batch_norm(encoder)
    assert normalizations_left(folded) == 0
    assert_equal_outputs(folded, encoder, pictures(96))


@pytest.mark.parametrize("name", ["test_vit", "test_text", "lstm", "embed"])
def test_without_normalisation_the_encoder_itself_comes_back(name):
    assert encoders.fold_batch_norm(ready(name)) is ready(name)


def wrapped(build, channels=5):
    """An encoder of a functional model of what `build` makes of an input."""
    inputs = keras.Input((32, 32, 3))
    outputs = build(layers.Conv2D(channels, 3, strides=2)(inputs))
    return with_random_statistics(encoders.ImageEncoder(keras.Model(inputs, outputs)))


@keras.saving.register_keras_serializable(package="tatl_keras_tests")
class Half(layers.Layer):
    """A convolution that a normalisation reads, and an operation that is no layer does too."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.convolution, self.normalization = layers.Conv2D(4, 1), layers.BatchNormalization()

    def build(self, shape):
        self.convolution.build(shape)
        self.normalization.build((*shape[:-1], 4))

    def call(self, x):
        x = self.convolution(x)
        return x / 2 + self.normalization(x)


@keras.saving.register_keras_serializable(package="tatl_keras_tests")
class Doubled(layers.Conv2D):
    def call(self, x):
        return super().call(x) * 2


def read_twice(x):
    y = layers.Conv2D(4, 1)(x)
    return layers.Add()([layers.BatchNormalization()(y), y])


def convolution_called_twice(x):
    shared = layers.Conv2D(5, 3, padding="same")
    return layers.BatchNormalization()(shared(shared(x)))


def normalization_called_twice(x):
    shared = layers.BatchNormalization()
    return shared(layers.Conv2D(5, 1)(shared(layers.Conv2D(5, 1)(x))))


@pytest.mark.parametrize(
    ("build", "left"),
    [
        (lambda x: layers.BatchNormalization()(layers.ReLU()(x)), 1),
        (lambda x: layers.BatchNormalization()(layers.Conv2D(4, 1, activation="tanh")(x)), 1),
        (lambda x: layers.BatchNormalization(axis=1)(layers.Conv2D(4, 1)(x)), 1),
        (lambda x: layers.BatchNormalization()(Doubled(4, 1)(x)), 1),
        (lambda x: layers.BatchNormalization()(layers.BatchNormalization()(x)), 1),
        (lambda x: Half()(x), 1),
        (read_twice, 1),
        (convolution_called_twice, 1),
        (normalization_called_twice, 2),
    ],
)
def test_what_cannot_be_folded_stays(build, left):
    encoder = wrapped(build)
    folded = encoders.fold_batch_norm(encoder)
    assert normalizations_left(folded) == left
    assert_equal_outputs(folded, encoder, pictures())


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("parts", [{}, {"scale": False}, {"center": False}])
def test_weights_are_those_of_the_formula(use_bias, parts):
    inputs = keras.Input((7, 5, 3))
    convolution = layers.Conv2D(4, (3, 2), use_bias=use_bias, name="convolution")
    normalization = layers.BatchNormalization(epsilon=0.1, **parts)
    model = keras.Model(inputs, normalization(convolution(inputs)))
    encoder = with_random_statistics(encoders.ImageEncoder(model))
    folded = encoders.fold_batch_norm(encoder)
    gamma = np.float64(normalization.gamma) if normalization.scale else np.ones(4)
    beta = np.float64(normalization.beta) if normalization.center else np.zeros(4)
    bias = np.float64(convolution.bias) if use_bias else np.zeros(4)
    kernel = np.float64(convolution.kernel)
    shift = np.zeros(4)
    for c in range(4):
        factor = gamma[c] / (float(normalization.moving_variance[c]) + 0.1) ** 0.5
        kernel[..., c] *= factor
        shift[c] = beta[c] + (bias[c] - float(normalization.moving_mean[c])) * factor
    ours = folded.backbone.get_layer("convolution").kernel
    np.testing.assert_array_equal(ours, kernel.astype("float32"))
    # A picture of zeros shows the bias alone.
    shown = folded(np.zeros((1, 7, 5, 3), "float32"))["tokens"][0]
    np.testing.assert_allclose(shown, np.tile(shift, (20, 1)), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (layers.DepthwiseConv2D, dict(kernel_size=3, depth_multiplier=2)),
        (layers.DepthwiseConv2D, dict(kernel_size=3, depth_multiplier=2, use_bias=False)),
        (layers.SeparableConv2D, dict(filters=7, kernel_size=3, depth_multiplier=2)),
        (layers.SeparableConv2D, dict(filters=7, kernel_size=3, use_bias=False)),
        (layers.Conv2D, dict(filters=6, kernel_size=3, groups=2)),
        (layers.Conv2D, dict(filters=6, kernel_size=3, strides=2, padding="same")),
    ],
)
def test_every_kind_of_convolution(kind, arguments):
    encoder = wrapped(lambda x: layers.BatchNormalization()(kind(**arguments)(x)), channels=4)
    folded = encoders.fold_batch_norm(encoder)
    assert normalizations_left(folded) == 0
    assert_equal_outputs(folded, encoder, pictures())
