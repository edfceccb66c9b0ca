"""Masks of attention, tile by tile (TensorFlow)."""

import functools
import math

import tensorflow as tf

from tatl_keras.layers.tiling import at_least, padded, size


class TiledMasks:
    """What may be attended in each tile of a `Tiling`.

    Args:
        tiling: a `Tiling` of heads that are the entries of `leading` in row-major order.
        leading: sizes of the axes before rows and columns.
        value_mask, attention_mask, limits: as `dot_product_attention` takes them, or None.
    """

    def __init__(self, tiling, leading, value_mask=None, attention_mask=None, limits=None):
        self.tiling = tiling
        _, rows, columns = tiling.shape
        all_rows = tiling.row_tiles * tiling.rows
        all_columns = tiling.column_tiles * tiling.columns
        if limits is not None:
            limits = tf.broadcast_to(tf.cast(limits, tf.int32), (rows,))
        elif not (isinstance(all_columns, int) and all_columns == columns):
            limits = tf.fill((rows,), columns)  # the padding must not be attended
        if limits is not None:
            limits = tf.reshape(padded(limits, 0, all_rows), (tiling.row_tiles, tiling.rows))
        self.limits = limits
        if value_mask is not None:
            value_mask = tf.broadcast_to(tf.cast(value_mask, tf.bool), (*leading, columns))
            value_mask = tf.reshape(value_mask, (math.prod(leading), columns, 1))
            value_mask = tiling.by_columns(value_mask)
        self.value_mask = value_mask
        self.owners = self.attention_mask = None
        if attention_mask is not None:
            self._add_attention_mask(tf.cast(attention_mask, tf.bool), leading)
        self.masked = any(x is not None for x in (limits, value_mask, attention_mask))

    def allowed(self, head, row, column):
        """Booleans broadcastable to the scores of a tile, or None if all are allowed."""
        parts = []
        if self.limits is not None:
            places = self.tiling.starts(head, row, column)[2] + tf.range(self.tiling.columns)
            parts.append(places < self.limits[row][:, tf.newaxis])
        if self.value_mask is not None:
            parts.append(tf.linalg.matrix_transpose(self.value_mask[head, column]))
        if self.attention_mask is not None:
            parts.append(self._attention_mask_of(head, row, column))
        if not parts:
            return None
        return functools.reduce(tf.logical_and, parts)

    def _add_attention_mask(self, mask, leading):
        """Stores the mask by tiles, and which of its leading entries belongs to which head."""
        tiling = self.tiling
        _, rows, columns = tiling.shape
        own = (1,) * (len(leading) + 2 - len(mask.shape)) + tuple(mask.shape[:-2])
        own = tuple(
            size(mask, axis - len(own) - 2) if n is None else n for axis, n in enumerate(own)
        )
        count = math.prod(own)
        mask = tf.broadcast_to(mask, (*tf.unstack(tf.shape(mask)[:-2]), rows, columns))
        mask = tf.reshape(mask, (count, rows, columns))
        lengths = (
            at_least(1, count),
            tiling.row_tiles * tiling.rows,
            tiling.column_tiles * tiling.columns,
        )
        for axis, length in enumerate(lengths):
            mask = padded(mask, axis, length)
        mask = tf.reshape(
            mask,
            (lengths[0], tiling.row_tiles, tiling.rows, tiling.column_tiles, tiling.columns),
        )
        mask = tf.transpose(mask, (0, 1, 3, 2, 4))
        self.attention_mask = tf.reshape(
            mask, (lengths[0] * tiling.row_tiles * tiling.column_tiles, tiling.rows, tiling.columns)
        )
        if isinstance(count, int) and count == 1:
            return
        owners = tf.broadcast_to(tf.reshape(tf.range(count), own), leading)
        owners = padded(tf.reshape(owners, (-1,)), 0, tiling.head_tiles * tiling.heads)
        self.owners = tf.reshape(owners, (tiling.head_tiles, tiling.heads))

    def _attention_mask_of(self, head, row, column):
        tile = row * self.tiling.column_tiles + column
        if self.owners is None:
            return self.attention_mask[tile]
        tiles = self.tiling.row_tiles * self.tiling.column_tiles
        return tf.gather(self.attention_mask, self.owners[head] * tiles + tile)
