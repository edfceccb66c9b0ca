"""Dropout of attention scores that does not depend on how they are computed."""

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
    seed = ops.cast(seed, "uint32")
    heads = _mix(_range(starts[0], count) ^ _mix(seed[0]) ^ seed[1])
    rows = _mix(ops.expand_dims(heads, 1) ^ _range(starts[1], rows))
    columns = _mix(_range(starts[2], columns) ^ 0x9E3779B9)
    bits = _mix(ops.expand_dims(rows, 2) ^ columns)
    threshold = ops.cast(int(rate * 2**32), "uint32")
    return ops.reshape(bits >= threshold, shape)


def _range(start, count):
    return ops.cast(start + ops.arange(count, dtype="int32"), "uint32")


def _mix(bits):
    """A bijection of 32-bit words whose output bits each depend on every input bit.

    Reference: C. Wellons, "Prospecting for Hash Functions", 2018, the constants of `lowbias32`.
    """
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        bits = (bits ^ ops.right_shift(bits, shift)) * ops.cast(factor, "uint32")
    return bits ^ ops.right_shift(bits, 16)
