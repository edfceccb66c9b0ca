"""Weights and inputs that two implementations draw alike, so that no golden has to hold them.

A value depends on the parameter's PyTorch name, its PyTorch shape and its place, and on nothing
else: Philox with a key from the SHA-256 of the name, whose raw bits NumPy promises to keep.
"""

import hashlib

import numpy as np


def uniform(name, shape):
    """Float32 values from -1 to below 1, multiples of 2^-23, the same on every machine."""
    size = int(np.prod(shape))
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "little")
    bits = np.random.Philox(key=key).random_raw((size + 1) // 2).astype("<u8").view("<u4")[:size]
    values = (bits >> 8).astype(np.float32)
    values *= np.float32(2**-23)
    values -= 1
    return values.reshape(shape)


def drawn(name, shape):
    """A parameter's values, of a size at which activations stay of order 1 through all layers.

    Args:
        name: the parameter's name in PyTorch's state dict.
        shape: its shape there, outputs before inputs.

    Returns:
        A float32 array. Variances and factors of normalisations lie around 1; means, offsets and
        biases around 0; embeddings from -1 to 1. Matrices and kernels change the mean square of
        what they are applied to by `_gain`.
    """
    values = uniform(name, shape)
    what = name.rsplit(".", 1)[-1]
    if what == "running_var" or what == "weight" and len(shape) == 1:
        return 1 + values / 2
    if "embedding" in name or what == "class_token":
        return values
    if len(shape) == 1:
        return values / 8
    return values * np.float32(np.sqrt(3 * _gain(name, shape) / np.prod(shape[1:])))


def _gain(name, shape):
    """Large for queries and keys, so that attention is sharp; small where a branch is added."""
    if any(part in name for part in ("in_proj", "query", "key")):
        return 2.0
    if any(part in name for part in ("out_proj", "output", "conv3", "mlp.3")):
        return 0.25
    return 2.0 if len(shape) == 4 and "downsample" not in name else 1.0  # 2: a ReLU halves it


def pictures():
    """Two pictures (2, 224, 224, 3): noise on coarse squares."""
    coarse = np.repeat(np.repeat(uniform("pictures", (2, 14, 14, 3)), 16, axis=1), 16, axis=2)
    return coarse + uniform("noise", (2, 224, 224, 3)) / 2


def texts():
    """Two texts of 12 tokens, the second one with 5 of padding: `(token_ids, padding_mask)`."""
    token_ids = ((uniform("texts", (2, 12)) + 1) * 15000).astype(np.int32)
    padding_mask = (np.arange(12) < [[12], [7]]).astype(np.int32)
    return token_ids * padding_mask, padding_mask
