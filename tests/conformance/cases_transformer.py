"""Cases of attention with several heads and of the Transformer blocks."""

import keras
import numpy as np

from tatl_keras import layers
from tests.conformance import twins
from tests.conformance.case import Case

PUBLIC = {}
EXEMPT = {}

QUERY_MASK = np.array([[1, 1, 0, 1, 0], [1, 1, 1, 1, 1], [0, 1, 1, 1, 1]], "int32")
VALUE_MASK = np.arange(11) < np.array([[4], [11], [2]])


def _heads(weights, prefix, query, value, key=None, mask=None, sees=None, causal=False):
    """Attention head by head, each with matrices of its own; scores beside the output."""
    key = value if key is None else key
    outputs, scores = [], []
    w = {name[len(prefix) :]: x for name, x in weights.items() if name.startswith(prefix)}
    for h in range(w["query_kernel"].shape[1]):
        q, k, v = (
            x @ w[f"{name}_kernel"][:, h] + (w[f"{name}_bias"][h] if f"{name}_bias" in w else 0)
            for name, x in (("query", query), ("key", key), ("value", value))
        )
        y, a = np.zeros((*q.shape[:2], v.shape[2])), np.zeros((*q.shape[:2], v.shape[1]))
        for t in range(q.shape[1]):
            row = slice(t, t + 1)
            allowed = _allowed(mask, sees, a.shape, t, causal)
            y[:, row], a[:, row] = twins.attend(q[:, row], k, v, allowed)
        outputs.append(y)
        scores.append(a)
    if "output_kernel" not in w:
        return np.concatenate(outputs, -1), np.stack(scores, 1)
    total = sum(y @ w["output_kernel"][h] for h, y in enumerate(outputs))
    return total + w.get("output_bias", 0), np.stack(scores, 1)


def _allowed(mask, sees, shape, t, causal):
    """What query t of the scores' shape (B, T, S) may attend to, (B, S)."""
    batch, _, length = shape
    allowed = np.ones((batch, length), bool)
    if mask is not None:
        allowed &= mask.astype(bool)
    if sees is not None:
        allowed &= sees(t, np.arange(length))
    if causal:
        allowed &= np.arange(length) <= t
    return allowed


def _three(rng):
    return {
        "query": rng.normal(size=(3, 5, 7)),
        "value": rng.normal(size=(3, 11, 13)),
        "key": rng.normal(size=(3, 11, 2)),
        "query_mask": QUERY_MASK,
        "value_mask": VALUE_MASK,
    }


def _multi_head_twin(weights, arrays):
    y, a = _heads(
        weights, "", arrays["query"], arrays["value"], arrays["key"], arrays["value_mask"]
    )
    keep = arrays["query_mask"] > 0
    return y * keep[:, :, None], a * keep[:, None, :, None]


def _no_first_row(mask):
    return mask * (np.arange(len(mask)) > 0)[:, None].astype(mask.dtype)


def _call_three(layer, arrays):
    masks = {name: arrays[name] for name in ("query_mask", "value_mask")}
    return layer(arrays["query"], arrays["value"], key=arrays["key"], **masks)


def _multi_head(name, twin, **arguments):
    return Case(
        name=name,
        covers="layers.MultiHeadAttention",
        make=lambda seed=None, dtype=None: layers.MultiHeadAttention(
            3, 17, 19, seed=seed, dtype=dtype, **arguments
        ),
        arrays=_three,
        call=_call_three,
        twin=twin,
        sequences=("query", "value", "key", "query_mask", "value_mask"),
        hidden=lambda arrays: {
            "query": arrays["query_mask"] == 0,
            "value": ~arrays["value_mask"],
            "key": ~arrays["value_mask"],
        },
        permuted=(("value", "key", "value_mask"),),
        empty=lambda arrays: {**arrays, "value_mask": _no_first_row(arrays["value_mask"])},
    )


def _branch(weights, name, x, function, first):
    """A branch with its residual connection and its norm."""
    gamma, beta = (weights[f"{name}_layer_norm/{part}"] for part in ("gamma", "beta"))
    if first:
        return x + function(twins.layer_norm(x, gamma, beta))
    return twins.layer_norm(x + function(x), gamma, beta)


def _feedforward(weights, x):
    w = {key.removeprefix("feedforward_"): value for key, value in weights.items()}
    hidden = np.maximum(0, x @ w["intermediate_dense/kernel"] + w["intermediate_dense/bias"])
    return hidden @ w["output_dense/kernel"] + w["output_dense/bias"]


def _encoder_twin(weights, arrays, first, causal):
    keep = (arrays["padding_mask"] > 0)[:, :, None]
    x = arrays["inputs"] * keep

    def attend(x):
        mask = arrays["padding_mask"]
        return _heads(weights, "self_attention/", x, x, mask=mask, causal=causal)[0]

    x = _branch(weights, "self_attention", x, attend, first)
    return _branch(weights, "feedforward", x, lambda x: _feedforward(weights, x), first) * keep


def _sequence(rng):
    return {"inputs": rng.normal(size=(3, 5, 6)), "padding_mask": QUERY_MASK}


def _encoder(name, first=False, causal=False, **arguments):
    return Case(
        name=name,
        covers="layers.TransformerEncoderBlock",
        make=lambda seed=None, dtype=None: layers.TransformerEncoderBlock(
            7, 2, normalize_first=first, seed=seed, dtype=dtype, **arguments
        ),
        arrays=_sequence,
        call=lambda layer, arrays: layer(
            arrays["inputs"], padding_mask=arrays["padding_mask"], use_causal_mask=causal
        ),
        twin=lambda weights, arrays: _encoder_twin(weights, arrays, first, causal),
        sequences=("inputs", "padding_mask"),
        hidden=lambda arrays: {"inputs": arrays["padding_mask"] == 0},
        permuted=() if causal else (("inputs", "padding_mask"),),
        permuted_outputs=lambda y, order: keras.ops.convert_to_numpy(y)[:, order],
        empty=lambda arrays: {**arrays, "padding_mask": _no_first_row(arrays["padding_mask"])},
    )


def _pair(rng):
    return {
        "inputs": rng.normal(size=(3, 5, 6)),
        "padding_mask": QUERY_MASK,
        "memory": rng.normal(size=(3, 11, 13)),
        "memory_mask": VALUE_MASK,
    }


def _decoder_twin(weights, arrays, first):
    keep = (arrays["padding_mask"] > 0)[:, :, None]
    x, scores = arrays["inputs"] * keep, {}

    def attend_self(x):
        mask = arrays["padding_mask"]
        y, scores["self"] = _heads(weights, "self_attention/", x, x, mask=mask, causal=True)
        return y

    def attend_other(x):
        memory, mask = arrays["memory"], arrays["memory_mask"]
        y, scores["cross"] = _heads(weights, "cross_attention/", x, memory, mask=mask, sees=_sees)
        return y

    x = _branch(weights, "self_attention", x, attend_self, first)
    x = _branch(weights, "cross_attention", x, attend_other, first)
    return _branch(weights, "feedforward", x, lambda x: _feedforward(weights, x), first) * keep


def _sees(row, column):
    return (row * 2 + column) % 3 > 0


def _call_decoder(layer, arrays):
    rows, columns = (
        keras.ops.cumsum(keras.ops.ones_like(arrays[name], dtype="int32"), axis=1) - 1
        for name in ("padding_mask", "memory_mask")
    )
    sees = _sees(keras.ops.expand_dims(rows, 2), keras.ops.expand_dims(columns, 1))
    return layer(
        arrays["inputs"],
        arrays["memory"],
        decoder_padding_mask=arrays["padding_mask"],
        encoder_padding_mask=arrays["memory_mask"],
        encoder_attention_mask=sees,
    )


def _decoder(name, first=False, **arguments):
    return Case(
        name=name,
        covers="layers.TransformerDecoderBlock",
        make=lambda seed=None, dtype=None: layers.TransformerDecoderBlock(
            7, 2, normalize_first=first, seed=seed, dtype=dtype, **arguments
        ),
        arrays=_pair,
        call=_call_decoder,
        twin=lambda weights, arrays: _decoder_twin(weights, arrays, first),
        sequences=("inputs", "padding_mask", "memory", "memory_mask"),
        hidden=lambda arrays: {
            "inputs": arrays["padding_mask"] == 0,
            "memory": ~arrays["memory_mask"],
        },
        empty=lambda arrays: {**arrays, "padding_mask": _no_first_row(arrays["padding_mask"])},
    )


CASES = [
    _multi_head("multi_head", lambda w, a: _multi_head_twin(w, a)[0]),
    _multi_head(
        "multi_head_joined", lambda w, a: _multi_head_twin(w, a)[0], use_output_projection=False
    ),
    _multi_head("multi_head_output_shape", lambda w, a: _multi_head_twin(w, a)[0], output_shape=23),
    _encoder("encoder_block"),
    _encoder("encoder_block_first_biased", first=True, use_bias=True),
    _encoder("encoder_block_causal", causal=True),
    _decoder("decoder_block"),
    _decoder("decoder_block_first_biased", first=True, use_bias=True),
]
