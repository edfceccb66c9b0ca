"""The one place where attention is computed."""

import math
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from tatl_keras.layers.keep import keep_mask

IMPLEMENTATIONS = ("auto", "dense", "chunked")


class Attended(NamedTuple):
    """What attention returns.

    Attributes:
        outputs: Y (…, T, Dv) in the dtype of the values.
        log_sum_exp: L (…, T) in float32 (float64 for float64), log of the sum over allowed S of
            exp(E); the lowest finite number where nothing is allowed.
        scores: A (…, T, S) in the dtype of L, or None if they were not asked for.
    """

    outputs: object
    log_sum_exp: object
    scores: object = None


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
):
    """Softmax attention over the last-but-one axis of `key` and `value`.

        E = query @ key^T / sqrt(Dq)         (…, T, S)
        L = log sum over allowed S of exp(E) (…, T)
        A = exp(E - L) where allowed, or 0   rows sum to 1, or are 0 where nothing is allowed
        Y = dropout(A) @ value               (…, T, Dv)

    The softmax is computed in float32 (float64 for float64 inputs).

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
        return_attention_scores: whether to return A, before dropout.

    Returns:
        `Attended`: Y, L and A.
    """
    scores = ops.matmul(query / math.sqrt(query.shape[-1]), ops.swapaxes(key, -2, -1))
    scores = ops.cast(scores, keras.backend.result_type(scores.dtype, "float32"))
    allowed = _allowed(scores, value_mask, attention_mask, limits)
    lowest = float(np.finfo(keras.backend.standardize_dtype(scores.dtype)).min)
    if allowed is not None:
        scores = ops.where(allowed, scores, lowest)
    peaks = ops.max(scores, axis=-1, keepdims=True, initial=lowest)
    peaks = ops.stop_gradient(ops.where(peaks > lowest, peaks, 0))
    powers = ops.exp(scores - peaks)
    sums = ops.sum(powers, axis=-1, keepdims=True)
    empty = ops.equal(sums, 0)
    sums = ops.where(empty, 1, sums)
    weights = powers / sums
    log_sum_exp = ops.where(empty, lowest, peaks + ops.log(sums))[..., 0]
    kept = weights
    if dropout:
        kept = ops.where(keep_mask(ops.shape(weights), dropout, seed), weights / (1 - dropout), 0)
    outputs = ops.matmul(ops.cast(kept, value.dtype), value)
    return Attended(outputs, log_sum_exp, weights if return_attention_scores else None)


def merge(parts):
    """Attention over the union of disjoint sets of keys, from the attention over each.

        L = log sum_i exp(L_i)
        Y = sum_i exp(L_i - L) Y_i

    Args:
        parts: list of `Attended` with equal shapes, without scores.

    Returns:
        `Attended`.
    """
    stacked = ops.stack([part.log_sum_exp for part in parts])
    lowest = float(np.finfo(keras.backend.standardize_dtype(stacked.dtype)).min)
    peak = ops.stop_gradient(ops.max(stacked, axis=0))
    peak = ops.where(peak > lowest, peak, 0)
    powers = ops.exp(stacked - peak)
    total = ops.sum(powers, axis=0)
    empty = ops.equal(total, 0)
    total = ops.where(empty, 1, total)
    shares = powers / total
    outputs = sum(
        ops.cast(ops.expand_dims(share, -1), part.outputs.dtype) * part.outputs
        for share, part in zip(ops.unstack(shares), parts, strict=True)
    )
    return Attended(outputs, ops.where(empty, lowest, peak + ops.log(total)))


def causal_limits(length, start=0):
    """Limits (T,) with which each of `length` rows, the first at `start`, sees itself and before.

    Example:

    >>> causal_limits(3).numpy().tolist()
    [1, 2, 3]
    """
    return start + 1 + ops.arange(length, dtype="int32")


def attention_spec(dtype, shape, scores_shape, return_attention_scores):
    """The symbolic result of attention that runs in `dtype`: Y, or the pair Y, A."""
    outputs = keras.KerasTensor(shape, dtype=dtype)
    if not return_attention_scores:
        return outputs
    precise = keras.backend.result_type(dtype, "float32")
    return outputs, keras.KerasTensor(scores_shape, dtype=precise)


def _allowed(scores, value_mask, attention_mask, limits):
    """The boolean mask to apply to `scores`, broadcastable to (…, T, S), or None."""
    masks = []
    if value_mask is not None:
        masks.append(ops.expand_dims(ops.cast(value_mask, "bool"), -2))
    if attention_mask is not None:
        masks.append(ops.cast(attention_mask, "bool"))
    if limits is not None:
        columns = ops.arange(ops.shape(scores)[-1], dtype="int32")
        masks.append(columns < ops.expand_dims(ops.cast(limits, "int32"), -1))
    allowed = None
    for mask in masks:
        allowed = mask if allowed is None else ops.logical_and(allowed, mask)
    return allowed
