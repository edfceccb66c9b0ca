"""Cases of `tatl_keras.layers`."""

import keras
import numpy as np

from tatl_keras import layers
from tests.conformance import twins
from tests.conformance.case import Case, public_layers

PUBLIC = public_layers("tatl_keras.layers")
EXEMPT = {}


def _seeded(seed):
    return keras.initializers.GlorotUniform(seed=seed)


def _pair(rng):
    return {
        "query": rng.normal(size=(3, 5, 7)),
        "value": rng.normal(size=(3, 11, 13)),
        "value_mask": np.arange(11) < np.array([[4], [11], [2]]),
    }


def _attention_twin(weights, arrays):
    value = arrays["value"]
    key = value @ weights["key_kernel"]
    mask = arrays.get("value_mask")
    return twins.attend(arrays["query"], key, value @ weights["value_kernel"], mask)[0]


def _sequence(rng):
    mask = np.array([[1, 0, 1, 1, 0], [1, 1, 1, 1, 1], [0, 0, 1, 0, 1]], "int32")
    return {"inputs": rng.normal(size=(3, 5, 7)), "padding_mask": mask}


def _self_attention_twin(weights, arrays, causal=False):
    x = arrays["inputs"]
    query, key, value = (x @ weights[f"{name}_kernel"] for name in ("query", "key", "value"))
    return twins.attend(query, key, value, arrays["padding_mask"], causal)[0]


def _call_self_attention(layer, arrays, causal=False):
    return layer(arrays["inputs"], padding_mask=arrays["padding_mask"], use_causal_mask=causal)


def _self_attention(name, causal):
    return Case(
        name=name,
        covers="layers.SelfAttention",
        make=lambda seed=None, dtype=None: layers.SelfAttention(
            3, 2, kernel_initializer=_seeded(seed), dtype=dtype
        ),
        arrays=_sequence,
        call=lambda layer, arrays: _call_self_attention(layer, arrays, causal),
        twin=lambda weights, arrays: _self_attention_twin(weights, arrays, causal),
        sequences=("inputs", "padding_mask"),
        hidden=lambda arrays: {"inputs": arrays["padding_mask"] == 0},
        # a masked position still asks for its own row: only there its value counts, and only
        # there it may overflow
        extreme=1e30,
        observe=lambda arrays, y: keras.ops.where(arrays["padding_mask"][:, :, None] > 0, y, 0),
        permuted=() if causal else (("inputs", "padding_mask"),),
        permuted_outputs=lambda y, order: keras.ops.convert_to_numpy(y)[:, order],
        empty=lambda arrays: {**arrays, "padding_mask": _no_first_row(arrays["padding_mask"])},
    )


def _no_first_row(mask):
    return mask * (np.arange(len(mask)) > 0)[:, None].astype(mask.dtype)


CASES = [
    Case(
        name="attention",
        covers="layers.Attention",
        make=lambda seed=None, dtype=None: layers.Attention(
            3, kernel_initializer=_seeded(seed), dtype=dtype
        ),
        arrays=_pair,
        call=lambda layer, arrays: layer(
            arrays["query"], arrays["value"], value_mask=arrays["value_mask"]
        ),
        twin=_attention_twin,
        sequences=("query", "value", "value_mask"),
        hidden=lambda arrays: {"value": ~arrays["value_mask"]},
        permuted=(("value", "value_mask"),),
        empty=lambda arrays: {**arrays, "value_mask": _no_first_row(arrays["value_mask"])},
    ),
    Case(
        name="attention_without_mask",
        covers="layers.Attention",
        make=lambda seed=None, dtype=None: layers.Attention(
            kernel_initializer=_seeded(seed), dtype=dtype
        ),
        arrays=lambda rng: {k: v for k, v in _pair(rng).items() if k != "value_mask"},
        call=lambda layer, arrays: layer(arrays["query"], arrays["value"]),
        twin=_attention_twin,
        sequences=("query", "value"),
        permuted=(("value",),),
    ),
    _self_attention("self_attention", causal=False),
    _self_attention("self_attention_causal", causal=True),
    Case(
        name="masked_average_pooling",
        covers="layers.MaskedAveragePooling",
        make=lambda seed=None, dtype=None: layers.MaskedAveragePooling(dtype=dtype),
        arrays=lambda rng: {
            "inputs": rng.normal(size=(3, 5, 7)),
            "mask": np.arange(5) < np.array([[4], [5], [1]]),
        },
        call=lambda layer, arrays: layer(arrays["inputs"], mask=arrays["mask"]),
        twin=lambda weights, arrays: twins.average(arrays["inputs"], arrays["mask"]),
        sequences=("inputs", "mask"),
        hidden=lambda arrays: {"inputs": ~arrays["mask"]},
        permuted=(("inputs", "mask"),),
        empty=lambda arrays: {**arrays, "mask": _no_first_row(arrays["mask"])},
    ),
]
