"""The one place where attention is computed."""

import math

import keras
import numpy as np
from keras import ops


def dot_product_attention(query, key, value, value_mask=None, use_causal_mask=False):
    """Softmax attention over the last-but-one axis of `key` and `value`.

        E = query @ key^T / sqrt(Dq)         (…, T, S)
        A = softmax(E) over allowed S        rows sum to 1, or are 0 where nothing is allowed
        Y = A @ value                        (…, T, Dv)

    The softmax is computed in float32 (float64 for float64 inputs).

    Args:
        query: floats (…, T, Dq).
        key: floats (…, S, Dq).
        value: floats (…, S, Dv).
        value_mask: optional booleans or integers (…, S); nonzero = may be attended.
        use_causal_mask: whether position t may attend only to positions s ≤ t.

    Returns:
        Y in the dtype of `value`, and A in float32 (or float64).
    """
    scores = ops.matmul(query / math.sqrt(query.shape[-1]), ops.swapaxes(key, -2, -1))
    scores = ops.cast(scores, keras.backend.result_type(scores.dtype, "float32"))
    weights = _masked_softmax(scores, _allowed(scores, value_mask, use_causal_mask))
    return ops.matmul(ops.cast(weights, value.dtype), value), weights


def attention_spec(dtype, shape, scores_shape, return_attention_scores):
    """The symbolic result of attention that runs in `dtype`: Y, or the pair Y, A."""
    outputs = keras.KerasTensor(shape, dtype=dtype)
    if not return_attention_scores:
        return outputs
    precise = keras.backend.result_type(dtype, "float32")
    return outputs, keras.KerasTensor(scores_shape, dtype=precise)


def _allowed(scores, value_mask, use_causal_mask):
    """The boolean mask to apply to `scores`, broadcastable to (…, T, S), or None."""
    allowed = None
    if value_mask is not None:
        allowed = ops.expand_dims(ops.cast(value_mask, "bool"), -2)
    if use_causal_mask:
        rows, columns = ops.shape(scores)[-2:]
        causal = ops.expand_dims(ops.arange(rows), 1) >= ops.expand_dims(ops.arange(columns), 0)
        allowed = causal if allowed is None else ops.logical_and(allowed, causal)
    return allowed


def _masked_softmax(scores, allowed):
    if allowed is None:
        return ops.softmax(scores, axis=-1)
    lowest = float(np.finfo(keras.backend.standardize_dtype(scores.dtype)).min)
    weights = ops.softmax(ops.where(allowed, scores, lowest), axis=-1)
    return ops.where(allowed, weights, 0)
