"""Large attention in small pieces: where the pieces lie, and loops over them (TensorFlow)."""

import tensorflow as tf

# Entries of one piece of scores. On a CPU pieces should fit into the caches together with their
# copies; twice as many took as long and more memory.
TILE_ENTRIES = 2**20
# The fewest rows of a piece: with less, products of matrices are slow. So a piece has at least
# 256 S entries where the keys are not tiled.
FEWEST_ROWS = 256
# How many tiles that do not wait for each other are computed at a time.
TILES_AT_A_TIME = 2


class Tiling:
    """N heads × T rows × S columns of scores, cut into tiles of heads × rows × columns.

    The last tiles are padded. Sizes are integers where they are known, else scalar tensors.

    Args:
        query: tensor (N, T, D).
        key: tensor (N, S, D).
        largest_columns: the most columns of a tile, or None for all.
        whole: whether to make one tile of everything.
    """

    def __init__(self, query, key, largest_columns=None, whole=False):
        self.shape = self.heads, self.rows, self.columns = (
            size(query, 0),
            size(query, 1),
            size(key, 1),
        )
        self.head_tiles = self.row_tiles = self.column_tiles = 1
        if whole:
            return
        if largest_columns is not None:
            self.column_tiles, self.columns = _split(self.columns, largest_columns)
        each = at_least(1, self.columns)
        rows = at_least(FEWEST_ROWS, TILE_ENTRIES // each)
        self.row_tiles, self.rows = _split(self.rows, rows)
        heads = at_least(1, TILE_ENTRIES // (self.rows * each))
        self.head_tiles, self.heads = _split(self.heads, heads)

    @property
    def whole_rows(self):
        """Whether each tile has all columns, so that the softmax of a tile is final."""
        return isinstance(self.column_tiles, int) and self.column_tiles == 1

    def by_rows(self, x):
        """(N, T, D) as (head tiles, row tiles, heads, rows, D)."""
        return _tiled(x, self.head_tiles, self.heads, self.row_tiles, self.rows)

    def by_columns(self, x):
        """(N, S, D) as (head tiles, column tiles, heads, columns, D)."""
        return _tiled(x, self.head_tiles, self.heads, self.column_tiles, self.columns)

    def from_rows(self, x):
        """The inverse of `by_rows`."""
        return _untiled(x)[: self.shape[0], : self.shape[1]]

    def from_columns(self, x):
        """The inverse of `by_columns`."""
        return _untiled(x)[: self.shape[0], : self.shape[2]]

    def starts(self, head, row, column):
        """The first head, row and column of a tile."""
        return head * self.heads, row * self.rows, column * self.columns


def scan(count, body, carry, dtypes=()):
    """Runs `carry, outputs = body(i, carry)` for i below `count`.

    Args:
        count: integer or scalar tensor of at least 1; with the integer 1 there is no loop.
        body: function of the index and the carry.
        carry: structure of tensors whose shapes stay as they are; () if nothing is carried over.
        dtypes: of each of the outputs.

    Returns:
        The last carry, and a list of the outputs, stacked along a new first axis.
    """
    if isinstance(count, int) and count == 1:
        carry, outputs = body(0, carry)
        return carry, [x[tf.newaxis] for x in outputs]

    def step(index, carry, arrays):
        new, outputs = body(index, carry)
        new = tf.nest.map_structure(lambda x, old: tf.ensure_shape(x, old.shape), new, carry)
        written = [a.write(index, x) for a, x in zip(arrays, outputs, strict=True)]
        return index + 1, new, written

    arrays = [tf.TensorArray(dtype, count) for dtype in dtypes]
    _, carry, arrays = tf.while_loop(
        lambda index, *_: index < count,
        step,
        (tf.constant(0), carry, arrays),
        parallel_iterations=1 if tf.nest.flatten(carry) else TILES_AT_A_TIME,
        maximum_iterations=count,  # XLA needs it for gradients
    )
    return carry, [array.stack() for array in arrays]


def size(x, axis):
    """The size of an axis: an integer if it is known, else a scalar tensor."""
    known = x.shape[axis]
    return tf.shape(x)[axis] if known is None else known


def padded(x, axis, length):
    """`x` with zeros behind, so that the axis has `length` entries."""
    missing = length - size(x, axis)
    if isinstance(missing, int) and missing == 0:
        return x
    return tf.pad(x, [[0, missing if i == axis else 0] for i in range(len(x.shape))])


def at_least(least, value):
    """The larger of two sizes, of which the second may be a tensor."""
    return max(least, value) if isinstance(value, int) else tf.maximum(least, value)


def _split(total, largest):
    """How many parts of about `largest` at most make `total`, and the size of each.

    Up to twice as many parts are taken where they need no padding.
    """
    count = at_least(1, -(-total // largest))
    if isinstance(count, int):
        even = (n for n in range(count, 2 * count) if total % n == 0)
        count = next(even, count)
    return count, at_least(1, -(-total // count))


def _tiled(x, head_tiles, heads, tiles, length):
    x = padded(padded(x, 0, head_tiles * heads), 1, tiles * length)
    if isinstance(tiles, int) and tiles == 1:  # a reshape copies nothing
        return tf.reshape(x, (head_tiles, 1, heads, length, x.shape[2]))
    x = tf.reshape(x, (head_tiles, heads, tiles, length, x.shape[2]))
    return tf.transpose(x, (0, 2, 1, 3, 4))


def _untiled(x):
    head_tiles, tiles, heads, length, channels = (size(x, axis) for axis in range(5))
    if x.shape[1] != 1:
        x = tf.transpose(x, (0, 2, 1, 3, 4))
    return tf.reshape(x, (head_tiles * heads, tiles * length, channels))
