"""Parts, margins, blocks and averages of maps (B, H, W, C)."""

from keras import ops


def part(x, axis, start, length):
    """`length` entries of an axis. In TensorFlow its gradient is much faster than an index's."""
    if start == 0 and isinstance(length, int) and x.shape[axis] == length:
        return x
    axis = axis % len(x.shape)
    sizes = list(ops.shape(x))
    sizes[axis] = length
    return ops.slice(x, [start if i == axis else 0 for i in range(len(sizes))], sizes)


def extended(x, axis, before, total, most):
    """Zeros before and behind, so that the axis has `total` entries.

    Where `total` is a tensor, at most `most` zeros are put behind.
    """
    behind = total - x.shape[axis] - before if isinstance(total, int) else most
    if before or behind:
        axis = axis % len(x.shape)
        x = ops.pad(x, [(before, behind) if i == axis else (0, 0) for i in range(len(x.shape))])
    return x if isinstance(total, int) else part(x, axis, 0, total)


def to_blocks(x, size):
    """(B, H, W, C) in blocks of size × size, zero behind the edges: (B · blocks, size², C)."""
    channels = x.shape[-1]
    rows, columns = (-(-n // size) for n in ops.shape(x)[1:3])
    x = extended(extended(x, 1, 0, rows * size, size), 2, 0, columns * size, size)
    x = ops.reshape(x, (ops.shape(x)[0] * rows, size, columns, size * channels))
    x = ops.transpose(x, (0, 2, 1, 3))
    return ops.reshape(x, (ops.shape(x)[0] * columns, size**2, channels))


def from_blocks(x, size, sizes):
    """The inverse of `to_blocks`: (B, H, W, C) with `sizes` = (B, H, W)."""
    batch, height, width = sizes
    rows, columns, channels = -(-height // size), -(-width // size), x.shape[-1]
    x = ops.reshape(x, (batch * rows, columns, size, size * channels))
    x = ops.reshape(ops.transpose(x, (0, 2, 1, 3)), (batch, rows * size, columns * size, channels))
    return part(part(x, 1, 0, height), 2, 0, width)


def average_blocks(x, size, mask=None):
    """Averages of blocks of size × size positions, (B, ⌈H / size⌉, ⌈W / size⌉, C).

    Only what lies in the map and, with a mask (B, H, W), only what is marked there counts; a block
    with nothing gives zeros.
    """
    if size == 1:
        return x
    sizes = ops.shape(x)[1:3]
    if mask is None and all(isinstance(n, int) and n % size == 0 for n in sizes):
        return _pooled(x, size)
    if mask is None:
        mask = ops.ones((1, *sizes), dtype="int32")
    shares = _pooled(ops.cast(ops.expand_dims(ops.cast(mask, "bool"), -1), x.dtype), size)
    return _pooled(x, size) / ops.maximum(shares, 0.5 / size**2)


def any_in_blocks(mask, size):
    """Whether anything is marked in each block of size × size, (B, ⌈H / size⌉, ⌈W / size⌉)."""
    return _pooled(ops.cast(ops.expand_dims(mask, -1), "float32"), size)[..., 0] > 0


def _pooled(x, size):
    """Sums over blocks divided by size²; what lies outside of the map counts as zero."""
    x = ops.pad(x, [(0, 0), (0, size - 1), (0, size - 1), (0, 0)])
    return ops.average_pool(x, size, size, padding="valid", data_format="channels_last")
