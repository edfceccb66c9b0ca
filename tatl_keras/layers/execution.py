"""The one place where attention is computed."""

import math

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tatl_keras.layers.implementation import (
    IMPLEMENTATIONS,
    LARGEST_DENSE,
    Attended,
    attention_spec,
    is_tiled,
)
from tatl_keras.layers.keep import keep_mask
from tatl_keras.layers.masking import allowed_places, slice_masks
from tatl_keras.layers.recompute import recomputed
from tatl_keras.layers.tiled_masks import TiledMasks
from tatl_keras.layers.tiling import Tiling, scan, size

__all__ = ["IMPLEMENTATIONS", "Attended", "attention_spec", "dot_product_attention", "merge"]

# The most columns of a tile, a bound for very long sequences.
LARGEST_COLUMNS = 2**15
# Rows with known limits are computed in parts, so that what they cannot see costs less.
MOST_PARTS, FEWEST_PART_ROWS = 4, 512


def dot_product_attention(
    query,
    key,
    value,
    *,
    value_mask=None,
    attention_mask=None,
    limits=None,
    dropout=0.0,
    seed=None,
    implementation="auto",
    return_attention_scores=False,
    return_log_sum_exp=False,
):
    """Softmax attention over the last-but-one axis of `key` and `value`.

        E = query @ key^T / sqrt(Dq)         (…, T, S)
        L = log sum over allowed S of exp(E) (…, T)
        A = exp(E - L) where allowed, or 0   rows sum to 1, or are 0 where nothing is allowed
        Y = dropout(A) @ value               (…, T, Dv)

    The softmax is computed in float32 (float64 for float64 inputs).

    "dense" makes A whole and works under every Keras backend. "chunked" (TensorFlow) makes A in
    tiles and again in its gradient, so that memory grows with T + S and not with T S; values and
    gradients are the same. "auto" is "dense" for small known sizes, where A is wanted and under
    other backends, else "chunked".

    Args:
        query: floats (…, T, Dq).
        key: floats (…, S, Dq).
        value: floats (…, S, Dv).
        value_mask: optional booleans or integers, broadcastable to (…, S); nonzero = may be
            attended.
        attention_mask: optional booleans or integers, broadcastable to (…, T, S).
        limits: optional integers (T,): row t may attend to the first `limits[t]` positions only.
        dropout: fraction of the entries of A that are dropped, the others scaled by
            1 / (1 - dropout); which ones is a function of `seed` and of the place alone.
        seed: two integers in a tensor, if `dropout` > 0.
        implementation: "dense", "chunked" or "auto".
        return_attention_scores, return_log_sum_exp: whether to return A (before dropout), and L.

    Returns:
        `Attended`: Y, A and L; A and L in float32 (float64 for float64 inputs).

    Raises:
        ValueError: "chunked" is asked for with A, or under another backend than TensorFlow.

    Reference:
        Rabe and Staats, "Self-attention Does Not Need O(n²) Memory", 2021,
        https://arxiv.org/abs/2112.05682; Dao et al., "FlashAttention", 2022,
        https://arxiv.org/abs/2205.14135 (recomputation in the gradient, section 3).
    """
    query = query / math.sqrt(query.shape[-1])
    masks = dict(value_mask=value_mask, attention_mask=attention_mask, limits=limits)
    if is_tiled(implementation, query, key, return_attention_scores):
        return _chunked(query, key, value, masks, dropout, seed, return_log_sum_exp)
    scores = ops.matmul(query, ops.swapaxes(key, -2, -1))
    scores = ops.cast(scores, _precise(scores))
    allowed = allowed_places(scores, **masks)
    if allowed is not None:
        scores = ops.where(allowed, scores, _lowest(scores))
    one = scores.shape[-1] == 1  # of which Keras would warn
    weights = ops.exp(scores - ops.logsumexp(scores, -1, True)) if one else ops.softmax(scores)
    if allowed is not None:
        weights = ops.where(allowed, weights, 0)
    kept = weights
    if dropout:
        kept = ops.where(keep_mask(ops.shape(weights), dropout, seed), weights / (1 - dropout), 0)
    outputs = ops.matmul(ops.cast(kept, value.dtype), value)
    sums = ops.logsumexp(scores, axis=-1) if return_log_sum_exp else None
    return Attended(outputs, weights if return_attention_scores else None, sums)


def merge(parts):
    """Attention over the union of disjoint sets of keys, from the attention over each.

        L = log sum_i exp(L_i)
        Y = sum_i exp(L_i - L) Y_i

    Args:
        parts: list of `Attended` with equal shapes and with `log_sum_exp`.

    Returns: `Attended` with `log_sum_exp`.
    """
    sums = ops.stack([part.log_sum_exp for part in parts])
    shares = ops.softmax(sums, axis=0)
    outputs = sum(
        ops.cast(ops.expand_dims(share, -1), part.outputs.dtype) * part.outputs
        for share, part in zip(ops.unstack(shares, len(parts)), parts, strict=True)
    )
    return Attended(outputs, None, ops.logsumexp(sums, axis=0))


def _chunked(query, key, value, masks, dropout, seed, return_log_sum_exp):
    """In parts of rows, each with the columns that its limits let it see at all."""
    rest = (dropout, seed, return_log_sum_exp)
    limits = None if masks["limits"] is None else tf.get_static_value(masks["limits"])
    parts = 1 if limits is None else max(1, min(MOST_PARTS, len(limits) // FEWEST_PART_ROWS))
    if parts == 1:
        return _in_tiles(query, key, value, masks, *rest)
    found = []
    for i in range(parts):
        rows = slice(len(limits) * i // parts, len(limits) * (i + 1) // parts)
        columns = slice(0, max(0, limits[rows].max()))
        found.append(
            _in_tiles(
                query[..., rows, :],
                key[..., columns, :],
                value[..., columns, :],
                slice_masks(rows, columns, **masks),
                *rest,
                first_row=rows.start,
            )
        )
    outputs = tf.concat([part.outputs for part in found], -2)
    sums = tf.concat([part.log_sum_exp for part in found], -1) if return_log_sum_exp else None
    return Attended(outputs, None, sums)


def _in_tiles(query, key, value, masks, dropout, seed, return_log_sum_exp, first_row=0):
    leading = tuple(size(query, axis) for axis in range(len(query.shape) - 2))
    query, key, value = (
        tf.reshape(x, (math.prod(leading), size(x, -2), x.shape[-1])) for x in (query, key, value)
    )
    dropped = (dropout, seed, first_row)
    tiling = Tiling(query, key, LARGEST_COLUMNS if key.shape[1] is not None else None)
    tiled = TiledMasks(tiling, leading, **masks)
    summed = return_log_sum_exp or tiled.masked or not tiling.whole_rows
    tiles = [_Tiles(tiling, tiled, dropped, summed)]
    few = None
    if None in (*query.shape[:2], key.shape[1]):  # what is small at run time needs no loops
        whole = Tiling(query, key, whole=True)
        few = math.prod(tf.cast(x, tf.int64) for x in whole.shape) <= LARGEST_DENSE
        tiles.append(_Tiles(whole, TiledMasks(whole, leading, **masks), dropped, summed))

    def choose(compute):
        if few is None:
            return compute(tiles[0])
        return tf.cond(few, lambda: compute(tiles[1]), lambda: compute(tiles[0]))

    outputs, sums = recomputed(
        lambda *inputs: choose(lambda tiles: tiles.forward(*inputs)),
        lambda *known: choose(lambda tiles: tiles.backward(*known)),
        [query, key, value],
        'second derivatives of attention need implementation="dense"',
    )
    outputs = tf.reshape(outputs, (*leading, tiling.shape[1], value.shape[-1]))
    if not return_log_sum_exp:
        return Attended(outputs)
    return Attended(outputs, None, tf.reshape(sums, (*leading, tiling.shape[1])))


class _Tiles:
    """Attention in tiles. Where a tile holds whole rows its softmax is final, else it is merged.

    Nothing of size T S is kept for the gradient, which computes the scores of each tile again.
    """

    def __init__(self, tiling, masks, dropped, summed):
        self.tiling, self.masks, self.summed = tiling, masks, summed
        self.dropout, self.seed, self.first_row = dropped

    def forward(self, query, key, value):
        """Y (N, T, Dv) and L (N, T, 1), which means nothing unless it is needed."""
        tiling, precise = self.tiling, _precise(query)
        query, key, value = tiling.by_rows(query), tiling.by_columns(key), tiling.by_columns(value)

        def heads(n, _):
            def rows(r, _):
                def columns(c, before):
                    tile = (n, r, c)
                    return self._attend_tile(tile, query[n, r], key[n, c], value[n, c], before), []

                nothing = tf.zeros((tiling.heads, tiling.rows, value.shape[-1]), precise)
                nothing = (nothing, tf.zeros_like(nothing[..., :1]) + _lowest(nothing))
                (outputs, sums), _ = scan(tiling.column_tiles, columns, nothing)
                return (), [tf.cast(outputs, value.dtype), sums]

            return (), scan(tiling.row_tiles, rows, (), [value.dtype, precise])[1]

        _, (outputs, sums) = scan(tiling.head_tiles, heads, (), [value.dtype, precise])
        return tiling.from_rows(outputs), tiling.from_rows(sums)

    def _attend_tile(self, tile, query, key, value, before):
        """Y and L over the columns of `before` and of this tile."""
        scores = self._scores(tile, query, key)
        weights = tf.nn.softmax(scores)
        kept = tf.cast(self._drop(tile, weights), value.dtype)
        outputs = tf.cast(tf.matmul(kept, value), scores.dtype)
        if not self.summed:
            return outputs, before[1]
        peak = tf.reduce_max(scores, -1, keepdims=True)
        found = peak > _lowest(peak)
        sums = peak - tf.math.log(tf.reduce_max(weights, -1, keepdims=True))
        part = ops.where(found, outputs, 0), ops.where(found, sums, _lowest(sums))
        if self.tiling.whole_rows:
            return part
        merged = merge([Attended(y, None, total[..., 0]) for y, total in (before, part)])
        return merged.outputs, merged.log_sum_exp[..., tf.newaxis]

    def backward(self, inputs, outputs, gradients):
        """Gradients of query, key and value, from those of Y and L."""
        (query, key, value), (outputs, sums), (by_outputs, by_sums) = inputs, outputs, gradients
        tiling, precise = self.tiling, sums.dtype
        shares = tf.cast(by_outputs, precise) * tf.cast(outputs, precise)
        by_sums = by_sums - tf.reduce_sum(shares, -1, keepdims=True)
        if self.masks.masked:
            empty = tf.equal(sums, _lowest(sums))
            by_outputs, by_sums = (ops.where(empty, 0, x) for x in (by_outputs, by_sums))
        query, sums, by_outputs, by_sums = map(tiling.by_rows, (query, sums, by_outputs, by_sums))
        key, value = tiling.by_columns(key), tiling.by_columns(value)

        def heads(n, _):
            def columns(c, by_queries):
                def rows(r, sofar):
                    row = (query[n, r], sums[n, r], by_outputs[n, r], by_sums[n, r])
                    *new, by_query = self._gradient_of_tile(
                        (n, r, c), key[n, c], value[n, c], *row, sofar
                    )
                    return tuple(new), [by_query]

                nothing = [tf.zeros_like(x[n, c], precise) for x in (key, value)]
                columns_gradient, (more,) = scan(tiling.row_tiles, rows, tuple(nothing), [precise])
                return by_queries + more, columns_gradient

            nothing = tf.zeros_like(query[n], precise)
            by_query, by_columns = scan(tiling.column_tiles, columns, nothing, [precise] * 2)
            return (), [by_query, *by_columns]

        _, (by_query, by_key, by_value) = scan(tiling.head_tiles, heads, (), [precise] * 3)
        by_query = tf.cast(tiling.from_rows(by_query), query.dtype)
        by_key = tf.cast(tiling.from_columns(by_key), key.dtype)
        return by_query, by_key, tf.cast(tiling.from_columns(by_value), value.dtype)

    def _gradient_of_tile(self, tile, key, value, query, sums, by_outputs, by_sums, sofar):
        """Gradients of keys and values, added to `sofar`, and of the queries of the tile."""
        scores = self._scores(tile, query, key)
        weights = tf.nn.softmax(scores) if self.tiling.whole_rows else tf.exp(scores - sums)
        kept = tf.cast(self._drop(tile, weights), value.dtype)
        by_value = tf.matmul(kept, by_outputs, transpose_a=True)
        by_weights = tf.cast(tf.matmul(by_outputs, value, transpose_b=True), scores.dtype)
        by_scores = tf.cast(weights * (self._drop(tile, by_weights) + by_sums), query.dtype)
        by_key = tf.matmul(by_scores, query, transpose_a=True)
        by_query = tf.matmul(by_scores, key)
        found = [tf.cast(x, sums.dtype) for x in (by_key, by_value, by_query)]
        return sofar[0] + found[0], sofar[1] + found[1], found[2]

    def _scores(self, tile, query, key):
        scores = tf.cast(tf.matmul(query, key, transpose_b=True), _precise(query))
        allowed = self.masks.allowed(*tile)
        return scores if allowed is None else ops.where(allowed, scores, _lowest(scores))

    def _drop(self, tile, x):
        if not self.dropout:
            return x
        head, row, column = self.tiling.starts(*tile)
        starts = (head, self.first_row + row, column)
        keep = keep_mask(ops.shape(x), self.dropout, self.seed, starts)
        return ops.where(keep, x / (1 - self.dropout), 0)


def _precise(x):
    return keras.backend.result_type(x.dtype, "float32")


def _lowest(x):
    return float(np.finfo(keras.backend.standardize_dtype(x.dtype)).min)
