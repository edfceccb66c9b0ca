"""The matrices of attention with several heads: from channels to heads and back."""

import math

from keras import ops

from tatl_keras.layers.masking import zero_masked
from tatl_keras.layers.seeds import split_initializer


def add_projections(layer, query_dim, value_dim, key_dim):
    """Adds kernels and biases to a `MultiHeadAttention`, in the shapes that Keras gives them."""
    heads, out = layer.num_heads, layer.output_dim or query_dim
    kernels = {
        "query_kernel": (query_dim, heads, layer.key_dim),
        "key_kernel": (key_dim, heads, layer.key_dim),
        "value_kernel": (value_dim, heads, layer.value_dim),
    }
    biases = {name.replace("kernel", "bias"): shape[1:] for name, shape in kernels.items()}
    if layer.use_output_projection:
        kernels["output_kernel"] = (heads, layer.value_dim, out)
        biases["output_bias"] = (out,)
    biases = biases if layer.use_bias else {}
    initializers = split_initializer(layer.kernel_initializer, len(kernels))
    for (name, shape), initializer in zip(kernels.items(), initializers, strict=True):
        kernel = layer.add_weight(
            name=name,
            shape=shape,
            initializer=_of_a_matrix(initializer, inputs=2 if name == "output_kernel" else 1),
            regularizer=layer.kernel_regularizer,
            constraint=layer.kernel_constraint,
        )
        setattr(layer, name, kernel)
    initializers = split_initializer(layer.bias_initializer, len(biases))
    for (name, shape), initializer in zip(biases.items(), initializers, strict=True):
        bias = layer.add_weight(
            name=name,
            shape=shape,
            initializer=initializer,
            regularizer=layer.bias_regularizer,
            constraint=layer.bias_constraint,
        )
        setattr(layer, name, bias)


def _of_a_matrix(initializer, inputs):
    """An initializer that sees a kernel as the matrix from its first `inputs` axes to the others.

    Keras takes a kernel of three axes for a convolution and would count far too many inputs.
    """

    def draw(shape, dtype=None):
        matrix = (math.prod(shape[:inputs]), math.prod(shape[inputs:]))
        return ops.reshape(initializer(matrix, dtype=dtype), shape)

    return draw


def split_heads(layer, name, inputs, mask=None, start=None):
    """Projects "query", "key" or "value" from (B, T, D) to (B, H, T, D').

    Args:
        layer: a `MultiHeadAttention`.
        name: whose matrices to use.
        inputs: floats (B, T, D).
        mask: optional (B, T); other positions are taken as zeros.
        start: the place of the first position if positions are to be brought in.
    """
    kernel = getattr(layer, f"{name}_kernel")
    channels, *heads = kernel.shape
    inputs = inputs if mask is None else zero_masked(inputs, mask)
    outputs = ops.matmul(inputs, ops.reshape(kernel, (channels, -1)))
    outputs = ops.reshape(outputs, (*ops.shape(inputs)[:2], *heads))
    if layer.use_bias:
        outputs = outputs + getattr(layer, f"{name}_bias")
    outputs = ops.transpose(outputs, (0, 2, 1, 3))
    if layer.position is None or start is None:
        return outputs
    return ops.cast(layer.position(outputs, start_index=start), outputs.dtype)


def join_heads(layer, outputs):
    """Brings (B, H, T, V) to (B, T, H V), and that to (B, T, Do) where there is a projection."""
    channels = layer.num_heads * layer.value_dim
    outputs = ops.transpose(outputs, (0, 2, 1, 3))
    outputs = ops.reshape(outputs, (*ops.shape(outputs)[:2], channels))
    if not layer.use_output_projection:
        return outputs
    outputs = ops.matmul(outputs, ops.reshape(layer.output_kernel, (channels, -1)))
    return outputs + layer.output_bias if layer.use_bias else outputs
