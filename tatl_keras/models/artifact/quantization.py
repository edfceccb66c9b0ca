"""Weights as 8-bit integers with float32 scales."""

import keras
import numpy as np

LEAST_SIZE = 1024  # values; below, the scales would weigh as much as what is saved
_LARGEST = 127

_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
_SEPARABLE = (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)


def is_quantized(shape, dtype):
    """Whether a weight is worth it: float32, of two dimensions or more, and not small."""
    return dtype == "float32" and len(shape) >= 2 and np.prod(shape) >= LEAST_SIZE


def to_int8(weight, axes):
    """Symmetric integers and what they are to be multiplied by.

        s = max |w| / 127 over all but `axes`, 1 where that is 0
        q = round(w / s), from -127 to 127

    So q · s differs from w by at most s / 2.

    Args:
        weight: floats, any shape.
        axes: which axes have a scale for each place.

    Returns:
        int8 of the same shape, and float32 of the same number of dimensions.
    """
    weight = np.asarray(weight, np.float64)
    others = tuple(axis for axis in range(weight.ndim) if axis not in axes)
    scales = np.abs(weight).max(axis=others, keepdims=True) / _LARGEST
    scales = np.where(scales > 0, scales, 1.0).astype(np.float32)
    return np.clip(np.rint(weight / scales), -_LARGEST, _LARGEST).astype(np.int8), scales


def channel_axes(layers):
    """A dict from `id` of a variable to the axes of its output channels, where not the last alone.

    A depthwise kernel (…, C, multiplier) has C · multiplier of them, a table of embeddings one for
    each row, and the kernel of an `EinsumDense` those axes that its equation leaves in the output.
    """
    found = {}
    for layer in layers:
        if isinstance(layer, keras.layers.Embedding):
            found[id(layer.embeddings)] = (0,)
        elif isinstance(layer, _SEPARABLE):
            found[id(layer.depthwise_kernel)] = _last(layer.depthwise_kernel, 2)
        elif isinstance(layer, _DEPTHWISE):
            found[id(layer.kernel)] = _last(layer.kernel, 2)
        elif isinstance(layer, keras.layers.EinsumDense):
            inputs, output = layer.equation.split("->")
            letters = inputs.split(",")[1].strip()
            axes = tuple(axis for axis, letter in enumerate(letters) if letter in output)
            found[id(layer.kernel)] = axes
    return found


def _last(variable, count):
    dimensions = len(variable.shape)
    return tuple(range(dimensions - count, dimensions))
