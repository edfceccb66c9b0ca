"""Maps cut into tiles with the surroundings that their windows reach."""

from typing import NamedTuple

import numpy as np
from keras import ops

from tatl_keras.layers.maps import extended, part

# The longest side of a tile. Larger ones compare more positions that are too far from each other,
# smaller ones copy more of the surroundings and make matrices too small to multiply fast.
LARGEST_SIDE = 8


class Cut(NamedTuple):
    """How one axis of a map is cut: `tiles` tiles of `side`, the halo of each `before` it.

    A halo has `reach` positions. An axis that is no longer than a halo would be is one tile, and
    its halo the axis itself.
    """

    length: object
    tiles: object
    side: int
    reach: int
    before: int


class LocalTiles:
    """The tiles of maps (B, H, W, C) and, of each, the halo that windows of k × k reach.

    There are N tiles of T positions with halos of S positions. What of a tile or a halo lies
    outside of the map is zero.

    Args:
        height, width: H and W, integers or scalar tensors.
        kernel_size: k, odd integer.
        largest_side: the longest side of a tile.
    """

    def __init__(self, height, width, kernel_size, largest_side=LARGEST_SIDE):
        self.kernel_size = kernel_size
        self.rows = _cut(height, kernel_size, largest_side)
        self.columns = _cut(width, kernel_size, largest_side)
        self.count = self.rows.tiles * self.columns.tiles

    def tiles(self, x, heads):
        """(B, H, W, heads · D) as (rows of a tile, its columns, B · heads · N, D)."""
        rows, columns = self.rows, self.columns
        x = extended(x, 1, 0, rows.tiles * rows.side, rows.side)
        x = extended(x, 2, 0, columns.tiles * columns.side, columns.side)
        channels = x.shape[-1] // heads
        shape = (-1, rows.tiles, rows.side, columns.tiles, columns.side, heads, channels)
        x = ops.transpose(ops.reshape(x, shape), (2, 4, 0, 5, 1, 3, 6))
        return ops.reshape(x, (rows.side, columns.side, -1, channels))

    def by_tile(self, x, heads):
        """(rows of a tile, its columns, B · heads · N, D) as (B, heads, N, T, D)."""
        positions = self.rows.side * self.columns.side
        x = ops.transpose(ops.reshape(x, (positions, -1, x.shape[-1])), (1, 0, 2))
        return ops.reshape(x, (-1, heads, self.count, positions, x.shape[-1]))

    def from_tiles(self, x):
        """(B, heads, N, T, D) as (B, H, W, heads, D)."""
        rows, columns = self.rows, self.columns
        heads, channels = x.shape[1], x.shape[-1]
        x = ops.reshape(x, (-1, columns.tiles, rows.side, columns.side * channels))
        x = ops.transpose(x, (0, 2, 1, 3))
        x = ops.reshape(
            x, (-1, heads, rows.tiles * rows.side, columns.tiles * columns.side, channels)
        )
        x = part(part(x, 2, 0, rows.length), 3, 0, columns.length)
        return ops.transpose(x, (0, 2, 3, 1, 4))

    def halos(self, x, heads):
        """(B, H, W, heads · D) as (B, heads, N, S, D)."""
        rows, columns, channels = self.rows, self.columns, x.shape[-1] // heads
        x = ops.reshape(x, (-1, rows.length, columns.length, heads, channels))
        x = ops.reshape(
            ops.transpose(x, (0, 3, 1, 2, 4)), (-1, rows.length, columns.length, channels)
        )
        x = _overlapping(x, 1, rows)
        x = _overlapping(ops.reshape(x, (-1, rows.reach, columns.length, channels)), 2, columns)
        x = ops.reshape(x, (-1, rows.reach, columns.tiles, columns.reach * channels))
        x = ops.transpose(x, (0, 2, 1, 3))
        return ops.reshape(x, (-1, heads, self.count, rows.reach * columns.reach, channels))

    def inside(self):
        """Which positions of the halos lie in the map, booleans (1, 1, N, S)."""
        rows, columns = _inside(self.rows), _inside(self.columns)
        inside = ops.logical_and(rows[:, None, :, None], columns[None, :, None, :])
        return ops.reshape(inside, (1, 1, self.count, -1))

    def windows(self):
        """Which positions of a halo each position of a tile reaches, an array (T, S)."""
        rows, columns = (
            np.isin(_offsets(cut, self.kernel_size), range(self.kernel_size))
            for cut in (self.rows, self.columns)
        )
        near = rows[:, None, :, None] & columns[None, :, None, :]
        return near.reshape(rows.shape[0] * columns.shape[0], -1)

    def from_windows(self, scores):
        """(…, T, S) as (…, T, k · k): what belongs to each position of the window of each row."""
        k = self.kernel_size
        places = []
        for cut in (self.rows, self.columns):
            place = np.arange(cut.side)[:, None] + np.arange(k) - k // 2 + cut.before
            places.append(np.where((place >= 0) & (place < cut.reach), place, -1))
        rows, columns = places[0][:, None, :, None], places[1][None, :, None, :]
        positions, reached = self.rows.side * self.columns.side, scores.shape[-1]
        flat = np.where((rows < 0) | (columns < 0), reached, rows * self.columns.reach + columns)
        flat = flat.reshape(positions, k * k) + np.arange(positions)[:, None] * (reached + 1)
        scores = extended(scores, -1, 0, reached + 1, 1)
        leading = ops.shape(scores)[:-2]
        scores = ops.reshape(scores, (*leading, positions * (reached + 1)))
        return ops.reshape(ops.take(scores, flat, axis=-1), (*leading, positions, k * k))


def _cut(length, kernel_size, largest_side):
    around = kernel_size - 1
    if not isinstance(length, int):
        count = -(-length // largest_side)
        return Cut(length, count, largest_side, largest_side + around, around // 2)
    if length <= largest_side + around:
        return Cut(length, 1, length, length, 0)
    count = -(-length // largest_side)
    side = -(-length // count)
    return Cut(length, count, side, side + around, around // 2)


def _offsets(cut, kernel_size):
    """Where in the window of each position of a tile each position of its halo stands."""
    halo, places = np.arange(cut.reach)[None] - cut.before, np.arange(cut.side)[:, None]
    return halo - places + kernel_size // 2


def _inside(cut):
    starts = ops.expand_dims(ops.arange(cut.tiles, dtype="int32") * cut.side, 1)
    places = starts + ops.arange(cut.reach, dtype="int32") - cut.before
    return ops.logical_and(places >= 0, places < cut.length)


def _overlapping(x, axis, cut):
    """Cuts an axis into its halos: two axes in the place of one."""
    more = -(-(cut.reach - cut.side) // cut.side)
    x = extended(x, axis, cut.before, (cut.tiles + more) * cut.side, (1 + more) * cut.side)
    sizes = list(ops.shape(x))
    sizes[axis : axis + 1] = [cut.tiles + more, cut.side]
    x = ops.reshape(x, [-1, *sizes[1:]])
    parts = [
        part(part(x, axis, i, cut.tiles), axis + 1, 0, min(cut.side, cut.reach - i * cut.side))
        for i in range(1 + more)
    ]
    return ops.concatenate(parts, axis + 1) if more else parts[0]
