"""Batch normalisation folded into the convolutions before it, for inference."""

import collections
import functools

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tatl_keras.encoders.backbones import initializer_seed_scope
from tatl_keras.encoders.image import ImageEncoder

# Exactly these types: a subclass may compute something else.
_PLAIN = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
_SEPARABLE = (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)
_CONVOLUTIONS = (*_PLAIN, *_DEPTHWISE, *_SEPARABLE)
_NORMALIZATION = keras.layers.BatchNormalization


def fold_batch_norm(encoder):
    """Returns a copy of an image encoder whose convolutions do their normalisation themselves.

    A `BatchNormalization` in inference mode is linear per channel, and so is the convolution in
    front of it, so that one convolution can do the work of both:

        s  = γ / sqrt(σ² + ε)                      (C,)
        W' = W · s, over the output channels
        b' = β + (b − μ) · s                       (C,)

    The arithmetic is done in float64 and rounded once to the dtype of the weights. Folded are the
    layers `Conv1D` to `Conv3D`, `DepthwiseConv` and `SeparableConv`, wherever they stand in the
    network, whose output a `BatchNormalization` and nothing else reads; every other
    `BatchNormalization` (before a convolution, behind an addition or an activation, behind an
    output that is read twice) stays as it is.

    Args:
        encoder: an `Encoder`, which is left as it is.

    Returns:
        An encoder with equal outputs in inference mode, up to float32 rounding. It is frozen, and
        made to be called: it must not be saved nor unfrozen, and its `digest()` is its own. Where
        there is nothing to fold, the given encoder itself.

    Example:

    >>> import numpy as np
    >>> from tatl_keras import encoders
    >>> encoder, _ = encoders.build_image("test_image")
    >>> folded = encoders.fold_batch_norm(encoder)
    >>> images = np.ones((2, 32, 32, 3), "float32")
    >>> np.allclose(folded(images)["pooled"], encoder(images)["pooled"], atol=1e-6)
    True

    Reference: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference", section 3.2, https://arxiv.org/abs/1712.05877.
    """
    if not _layers_of(encoder, (_NORMALIZATION,)):
        return encoder
    copy = inference_copy(encoder)
    return copy if fold_in_place(copy) else encoder


def fold_in_place(encoder):
    """Folds a frozen encoder that nobody else uses; returns how many layers were folded."""
    values, shifts = folded(encoder)
    for variable, value in values:
        variable.assign(value)
    for normalization, shift in shifts:
        normalization.call = adding(shift)
    return len(shifts)


def folded(encoder):
    """What folding changes; the encoder is left as it is.

    Returns:
        A list of pairs (variable, its new value), and a list of pairs (`BatchNormalization`, what
        is left for it to add, (C,), or `None` where the bias of the convolution holds that), all
        values float64.
    """
    if not isinstance(encoder, ImageEncoder) or not _layers_of(encoder, (_NORMALIZATION,)):
        return [], []
    values, shifts = [], []
    for convolution, normalization in _find_pairs(encoder):
        found, shift = _fold(convolution, normalization)
        values += found
        shifts.append((normalization, shift))
    return values, shifts


def adding(shift):
    """The `call` of a layer that adds a constant (C,), or nothing if it is `None`."""
    return _pass_on if shift is None else functools.partial(_add, shift)


def inference_copy(encoder, dtype=None):
    """A frozen encoder of its own with the same weights, computing in `dtype` if it is given."""
    config = encoder.get_config() | {"frozen": True, "unfrozen_last_n": None}
    if dtype is not None:
        config["dtype"] = dtype
        if "backbone" in config:
            inner = config["backbone"]["config"] | {"dtype": dtype}
            config["backbone"] = config["backbone"] | {"config": inner}
    with initializer_seed_scope(0):
        copy = type(encoder).from_config(config)
    if encoder.built and not copy.built:
        copy.build_from_config(encoder.get_build_config())
    for mine, theirs in zip(copy.weights, encoder.weights, strict=True):
        mine.assign(theirs)
    return copy


def _layers_of(encoder, types):
    return [layer for layer in encoder._flatten_layers() if type(layer) in types]


def _find_pairs(encoder):
    """(convolution, normalisation) where only the second reads the output of the first.

    One trace of the network tells: every operation of the graph that reads the convolution's
    output was made while the normalisation ran. Layers that are called more than once are left out.
    """
    calls = collections.defaultdict(list)

    def record(layer, call, inputs, *args, **kwargs):
        graph = tf.compat.v1.get_default_graph()
        before = len(graph.get_operations())
        outputs = call(inputs, *args, **kwargs)
        calls[layer].append((inputs, outputs, graph.get_operations()[before:]))
        return outputs

    layers = _layers_of(encoder, (*_CONVOLUTIONS, _NORMALIZATION))
    for layer in layers:
        # An attribute of the object goes before the method of its class.
        layer.call = functools.partial(record, layer, layer.call)
    try:
        with tf.__internal__.FuncGraph("fold").as_default():
            encoder(tf.compat.v1.placeholder("float32", encoder.backbone.input.shape))
    finally:
        for layer in layers:
            del layer.call
    once = {layer: records[0] for layer, records in calls.items() if len(records) == 1}
    makers = {id(once[layer][1]): layer for layer in once if _is_linear_convolution(layer)}
    found = []
    for layer, (inputs, _, operations) in once.items():
        convolution = makers.get(id(inputs))
        if convolution is None or not _normalizes_channels(layer, inputs):
            continue
        if set(inputs.consumers()) <= set(operations):
            found.append((convolution, layer))
    return found


def _is_linear_convolution(layer):
    return (
        type(layer) in _CONVOLUTIONS
        and layer.data_format == "channels_last"
        and layer.activation in (None, keras.activations.linear)
        and not getattr(layer, "lora_enabled", False)
    )


def _normalizes_channels(layer, inputs):
    return type(layer) is _NORMALIZATION and layer.axis in (-1, len(inputs.shape) - 1)


def _fold(convolution, normalization):
    """New values of the convolution's variables, and the shift that no bias takes up, or `None`."""
    mean, variance = _float64(normalization.moving_mean), _float64(normalization.moving_variance)
    scale = 1 / np.sqrt(variance + normalization.epsilon)
    if normalization.scale:
        scale = scale * _float64(normalization.gamma)
    shift = -mean * scale
    if normalization.center:
        shift = shift + _float64(normalization.beta)
    if isinstance(convolution, _SEPARABLE):
        kernel = convolution.pointwise_kernel
    else:
        kernel = convolution.kernel
    channels = kernel.shape[-1:]
    if isinstance(convolution, _DEPTHWISE):
        channels = kernel.shape[-2:]  # output channel = input channel · multiplier + index
    values = [(kernel, _float64(kernel) * scale.reshape(channels))]
    if not convolution.use_bias:
        return values, shift
    return [*values, (convolution.bias, _float64(convolution.bias) * scale + shift)], None


def _float64(variable):
    return np.asarray(ops.convert_to_numpy(variable), "float64")


def _add(shift, inputs, training=None, mask=None):
    return ops.add(inputs, ops.convert_to_tensor(shift, inputs.dtype))


def _pass_on(inputs, training=None, mask=None):
    return inputs
