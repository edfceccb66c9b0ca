"""How much a network computes, from the shapes of its layers."""

import math

import keras

from tatl_keras.encoders.backbones import deserialize_backbone, serialize_backbone
from tatl_keras.encoders.base import Encoder
from tatl_keras.encoders.freezing import children
from tatl_keras.encoders.siglip import SigLIPImageTower, SigLIPTextTower
from tatl_keras.layers import (
    AttentionStem,
    LocalSelfAttention2D,
    MultiHeadAttention,
    TransformerEncoderBlock,
)

_FREE = (
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.Embedding,
)
# KerasHub's layers, by what is inside; some have no public name.
_LOOKUPS = ("PositionEmbedding", "TokenAndPositionEmbedding", "SigLIPTextEmbedding")
_SEQUENCES = ("TransformerEncoder", "ViTEncoder", "CLIPEncoderLayer", "SigLIPEncoderLayer")
_PATCHES = ("ViTPatchingAndEmbedding", "CLIPVisionEmbedding", "SigLIPVisionEmbedding")
_PROBES = ("SigLIPMultiHeadAttentionPooling",)
_INVERTED = ("MBConvBlock",)


def count_flops(model, *, image_size=None, sequence_length=None):
    """Floating point operations for one example, a multiplication and an addition counting two.

    Counted is what the equations of the layers say, however they are executed (P positions of the
    input or, for convolutions, of the output; C channels in, F out; T tokens, L text length):

    | layer | multiplications |
    |---|---|
    | `Conv2D` | P · kernel height · kernel width · C / groups · F |
    | `DepthwiseConv2D` | P · kernel height · kernel width · F |
    | `MBConvBlock` | of the convolutions inside, the first one at the places of the input |
    | `Dense` | P · C · F |
    | `LSTM` | L · 4 F · (C + F) |
    | `LocalSelfAttention2D` | P · F · (3 C for q, k and v, and k² each for q · k, q · r and A v) |
    | `AttentionStem` | P · F · ((2 + M) C for q, k and M values, M to mix, k² for q · k and A v) |
    | transformer layers | T · (all kernels) + T² · (width of the keys + width of the values) |
    | patches of a ViT | as the `Conv2D` inside |
    | SigLIP's probe | as a transformer layer with one query |

    Windows, causal masks and padding count in full. Looking up embeddings, normalisation,
    activations, the softmax, pooling and additions count nothing, as in the tables of papers.

    Args:
        model: a functional `keras.Model`, or an encoder, of which only what its outputs depend on
            is counted.
        image_size: (height, width), for image networks that take any size.
        sequence_length: int, L, for text networks. SigLIP's reads texts filled up to its own.

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
    >>> encoder = encoders.LSTMTextEncoder(11, embedding_dim=5, units=3)
    >>> encoders.count_flops(encoder, sequence_length=2)
    768
    """
    unread = ()
    if isinstance(model, Encoder):
        unread, model = model._unread_layers, getattr(model, "backbone", model)
    if isinstance(model, SigLIPTextTower):
        sequence_length = model.max_sequence_length
    if isinstance(model, SigLIPImageTower):  # KerasHub's symbolic shapes have one patch too many
        sequence_length = math.prod(side // model.patch_size for side in model.image_shape[:2])
    if image_size is not None and None in model.input_shape[1:3]:
        model = _of_one_size(model, image_size)
    layers = [layer for layer in children(model) if layer.weights and layer.name not in unread]
    return 2 * sum(_multiplications(layer, sequence_length) for layer in layers)


def _of_one_size(backbone, image_size):
    """The network for pictures of one size, with other weights."""
    config = serialize_backbone(backbone)
    name = "input_shape" if "input_shape" in config["config"] else "image_shape"
    changed = {name: (*image_size, backbone.input_shape[-1])}
    return deserialize_backbone({**config, "config": config["config"] | changed})


def _multiplications(layer, length):
    name = type(layer).__name__
    if isinstance(layer, _FREE) or name in _LOOKUPS:
        return 0
    shape, output = _shapes(layer)
    if isinstance(layer, keras.layers.LSTM):
        tokens = shape[0] or length
        _check_known(layer, (tokens,))
        return tokens * 4 * layer.units * (layer.cell.kernel.shape[0] + layer.units)
    tokens = length if name.startswith("SigLIP") else shape[0] or length
    if name in _SEQUENCES or _is_own_block(layer):
        _check_known(layer, (tokens,))
        return tokens * _kernels(layer) + tokens**2 * _widths(layer)
    if len(shape) == 2 and shape[0] is None:
        shape, output = (length, shape[1]), (length, *output[1:])
    _check_known(layer, shape)
    if name in _PATCHES:
        (conv,) = (one for one in _parts(layer) if isinstance(one, keras.layers.Conv2D))
        patches = math.prod(side // step for side, step in zip(shape, conv.strides, strict=False))
        return patches * math.prod(conv.kernel.shape)
    if name in _PROBES:
        read = _kernels(layer, ("key", "value"))
        return tokens * (read + _widths(layer)) + _kernels(layer) - read
    if name in _INVERTED:
        return _of_inverted_bottleneck(layer, math.prod(shape[:2]), math.prod(output[:2]))
    return _of_a_layer(layer, shape, output)


def _of_inverted_bottleneck(layer, before, after):
    """The multiplications of a block from `before` to `after` positions."""
    positions = {
        layer.conv1: before if layer.expand_ratio != 1 else 0,
        layer.depthwise: after,
        layer.se_conv1: 1 if layer.se_ratio else 0,
        layer.se_conv2: 1 if layer.se_ratio else 0,
        layer.output_conv: after,
    }
    return sum(n * math.prod(conv.kernel.shape) for conv, n in positions.items() if n)


def _of_a_layer(layer, shape, output):
    """The multiplications of a layer with one known input (…, C) and output (…, F)."""
    positions, channels, filters = math.prod(shape[:-1]), shape[-1], output[-1]
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return math.prod(output) * math.prod(layer.kernel_size)
    if isinstance(layer, keras.layers.Conv2D):
        return math.prod(output) * math.prod(layer.kernel_size) * channels // layer.groups
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


def _shapes(layer):
    """Of the first input and output, in a functional model; nothing is known of other layers."""
    if not layer._inbound_nodes:
        return (None,), (None,)
    node = layer._inbound_nodes[-1]  # a tower calls layers that KerasHub has called already
    return tuple(tuple(ends[0].shape[1:]) for ends in (node.input_tensors, node.outputs))


def _check_known(layer, sizes):
    if None in sizes:
        raise ValueError(
            f"`model` must have known sizes. Received: layer {layer.name!r} with input "
            f"{tuple(sizes)}. Pass `image_size` or `sequence_length`."
        )


def _parts(layer):
    return layer._flatten_layers(include_self=False)


def _is_own_block(layer):
    """Whether a layer is this library's block with the attention of all to all in it."""
    attention = getattr(layer, "self_attention", None)
    return isinstance(layer, TransformerEncoderBlock) and isinstance(attention, MultiHeadAttention)


def _kernels(layer, names=None):
    """How many weights each position is multiplied by; of the parts called `names`, or of all."""
    kinds = (keras.layers.Dense, keras.layers.EinsumDense, MultiHeadAttention)
    parts = [part for part in _parts(layer) if isinstance(part, kinds)]
    kernels = (w for p in parts if names is None or p.name in names for w in p.weights)
    return sum(math.prod(w.shape) for w in kernels if w.name.endswith("kernel"))


def _widths(layer):
    """Channels of all heads' keys and values of the attentions inside."""
    kinds = (keras.layers.MultiHeadAttention, MultiHeadAttention)
    found = [part.get_config() for part in _parts(layer) if isinstance(part, kinds)]
    return sum(each["num_heads"] * (each["key_dim"] + each["value_dim"]) for each in found)
