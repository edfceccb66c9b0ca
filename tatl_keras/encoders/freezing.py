"""Which weights of a network may learn, and a fingerprint of all of them."""

import hashlib
import json
import re

import keras
import numpy as np

# Residual blocks of flat KerasHub models: "stack2_block0_1_conv", "block3a_expand_conv".
_BLOCK = re.compile(r"(stack\d+_block\d+|block\d+[^_\d]*)_")


def children(layer):
    """The layers directly inside `layer`, in the order of the computation."""
    if isinstance(layer, keras.Model):
        return list(layer.layers)
    return list(layer._flatten_layers(recursive=False, include_self=False))


def split_blocks(backbone):
    """Divides a backbone into its blocks, as `unfreeze(last_n=…)` counts them.

    1. A list `transformer_layers` of the backbone (BERT and its relatives) or `encoder_layers` of
       one of its layers (ViT): each transformer layer is a block.
    2. Else the layers whose names begin alike, "stack<i>_block<j>" (ResNet) or
       "block<i><letter>" (EfficientNet): each residual block is a block.

    Returns:
        (blocks, tail): a list of lists of layers, first block first, and the layers behind the last
        block (final normalisation, top convolution). No blocks: ([], []).
    """
    for container, attribute in _containers(backbone):
        blocks = [[layer] for layer in getattr(container, attribute)]
        inner = children(container)
        last = max(inner.index(layer) for (layer,) in blocks)
        return blocks, inner[last + 1 :]
    groups, tail = {}, []
    for layer in backbone.layers:
        match = _BLOCK.match(layer.name)
        if match:
            groups.setdefault(match.group(1), []).append(layer)
            tail = []
        else:
            tail.append(layer)
    return (list(groups.values()), tail) if groups else ([], [])


def _containers(backbone):
    if getattr(backbone, "transformer_layers", None):
        yield backbone, "transformer_layers"
    for layer in backbone.layers:
        if getattr(layer, "encoder_layers", None):
            yield layer, "encoder_layers"


def set_trainable(layer, chosen, never=()):
    """Lets exactly the layers in `chosen`, wherever inside `layer`, learn; none named in `never`.

    Assigning `trainable` the value it already has does nothing in Keras on TensorFlow, not even to
    the layers inside, and a model that was deserialised as frozen says False while its variables
    say True. So every flag is raised before all are lowered. Layers around a chosen one are
    marked trainable too, without their own variables.
    """
    for one in layer._flatten_layers():
        one.trainable = True
    layer.trainable = False
    _raise_flags(layer, {id(one) for one in chosen})
    for one in layer._flatten_layers():
        if one.name in never:
            one.trainable = False


def _raise_flags(layer, chosen):
    if id(layer) in chosen:
        layer.trainable = True
    elif chosen & {id(one) for one in layer._flatten_layers(include_self=False)}:
        layer.trainable = True
        for variable in layer.weights:
            variable.trainable = False
        for child in children(layer):
            child.trainable = False
            _raise_flags(child, chosen)


def digest(name, config, weights):
    """SHA-256 over a name, a JSON config and every weight's shape, dtype and bytes.

    The order is that of `weights`; names of variables and places of files do not count.
    """
    total = hashlib.sha256()
    total.update(json.dumps([name, config], sort_keys=True, default=str).encode())
    for weight in weights:
        array = np.ascontiguousarray(keras.ops.convert_to_numpy(weight))
        total.update(f"|{array.dtype.name}{list(array.shape)}|".encode())
        total.update(array.tobytes())
    return total.hexdigest()
