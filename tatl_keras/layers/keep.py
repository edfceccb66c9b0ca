"""Dropout of attention scores that does not depend on how they are computed."""

import keras
import numpy as np
from keras import ops


def keep_mask(shape, rate, seed, starts=(0, 0, 0)):
    """Which entries of a tensor are kept, as a function of seed and place alone.

        keep = hash(seed, n, t, s) >= rate * 2^32

    for entry (…, t, s), n the position of (…) in row-major order. A part of the tensor gets the
    same entries as the whole, so every execution of attention drops the same scores.

    Args:
        shape: the tensor's shape, or (n, t, s) of a part of it.
        rate: fraction dropped.
        seed: tensor of two integers.
        starts: (n, t, s) of the part's first entry.

    Returns:
        Booleans of `shape`.
    """
    *leading, rows, columns = shape
    count = 1
    for size in leading:
        count = count * size
    first, second = _words(seed[0]), _words(seed[1])
    heads = _mix(_range(starts[0], count) ^ _mix(first) ^ second)
    rows = _mix(ops.expand_dims(heads, 1) ^ _range(starts[1], rows))
    columns = _mix(_range(starts[2], columns) ^ _words(0x9E3779B9))
    bits = _mix(ops.expand_dims(rows, 2) ^ columns)
    return ops.reshape(bits >= _words(int(rate * 2**32)), shape)


def _words(x):
    """Integers as 32-bit words; in 64 bits under PyTorch, which cannot multiply unsigned ones."""
    if isinstance(x, int):
        x = np.uint32(x)
    if keras.backend.backend() != "torch":
        return ops.cast(x, "uint32")
    return ops.bitwise_and(ops.cast(x, "int64"), 2**32 - 1)


def _range(start, count):
    return _words(start + ops.arange(count, dtype="int32"))


def _mix(bits):
    """A bijection of 32-bit words whose output bits each depend on every input bit.

    Reference: C. Wellons, "Prospecting for Hash Functions", 2018, the constants of `lowbias32`.
    """
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        bits = (bits ^ ops.right_shift(bits, shift)) * _words(factor)
        if keras.backend.backend() == "torch":
            bits = _words(bits)
    return bits ^ ops.right_shift(bits, 16)
