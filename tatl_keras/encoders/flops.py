"""How much a network computes, from the shapes of its layers."""

import math

import keras

from tatl_keras.layers import AttentionStem, LocalSelfAttention2D


def count_flops(model):
    """Floating point operations for one picture, a multiplication and an addition counting two.

    Counted is what the equations of the layers say, however they are executed (P positions of the
    input or, for convolutions, of the output; C channels in, F out):

    | layer | multiplications |
    |---|---|
    | `Conv2D` | P · kernel height · kernel width · C / groups · F |
    | `Dense` | P · C · F |
    | `LocalSelfAttention2D` | P · F · (3 C for q, k and v, and k² each for q · k, q · r and A v) |
    | `AttentionStem` | P · F · ((2 + M) C for q, k and M values, M to mix, k² for q · k and A v) |

    Windows count in full at the edges too. Normalisation, activations, the softmax, pooling and
    additions of residuals count nothing, as in the tables of papers.

    Args:
        model: a functional `keras.Model` with known sizes.

    Returns:
        int.

    Raises:
        ValueError: a size is unknown, or a layer has weights but no known equation.

    Example:

    >>> import keras
    >>> from tatl_keras import encoders
    >>> inputs = keras.Input((8, 6, 3))
    >>> encoders.count_flops(keras.Model(inputs, keras.layers.Conv2D(5, 3, padding="same")(inputs)))
    12960
    """
    return 2 * sum(_multiplications(layer) for layer in model.layers)


def _multiplications(layer):
    free = (keras.layers.BatchNormalization, keras.layers.LayerNormalization)
    if not layer.weights or isinstance(layer, free):
        return 0
    shape, output = layer.input.shape[1:], layer.output.shape[1:]
    if None in (*shape, *output):
        raise ValueError(
            f"`model` must have known sizes. Received: layer {layer.name!r} with input {shape}. "
            "Build it for pictures of one size."
        )
    positions, channels, filters = math.prod(shape[:-1]), shape[-1], output[-1]
    if isinstance(layer, keras.layers.Conv2D):
        kernel = math.prod(layer.kernel_size)
        return math.prod(output) * kernel * channels // layer.groups
    if isinstance(layer, keras.layers.Dense):
        return positions * channels * filters
    if isinstance(layer, LocalSelfAttention2D):
        return positions * filters * (3 * channels + 3 * layer.kernel_size**2)
    if isinstance(layer, AttentionStem):
        mixtures, window = layer.num_mixtures, layer.kernel_size**2
        return positions * filters * ((2 + mixtures) * channels + mixtures + 2 * window)
    raise ValueError(
        f"`model` must consist of layers with a known equation. Received: layer {layer.name!r} of "
        f"type {type(layer).__name__}. Count it by hand."
    )
