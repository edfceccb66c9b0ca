"""Cases of sparse self-attention."""

import math

import keras
import numpy as np

from tatl_keras import layers
from tests.conformance.case import Case

PUBLIC = {}
EXEMPT = {}

STRIDED = {"pattern": "strided", "block_size": 3}
FIXED = {"pattern": "fixed", "block_size": 4, "summary_size": 2}


def _sequence(rng):
    mask = np.ones((3, 11), "int32")
    mask[0, 7:] = 0
    mask[2, [0, 4, 5]] = 0
    return {"inputs": rng.normal(size=(3, 11, 7)), "padding_mask": mask}


def _sees(t, s, *, pattern, block_size, summary_size=8, causal=False):
    """Whether t attends to s: the two sets of the paper, section 4.3."""
    if pattern == "strided":
        near, far = abs(t - s) <= block_size, (t - s) % block_size == 0
    else:
        near = t // block_size == s // block_size
        far = s % block_size in range(block_size - summary_size, block_size)
    return (near or far) and not (causal and s > t)


def _twin(weights, arrays, **pattern):
    query, key, value = (
        np.einsum("btx,xhd->bhtd", arrays["inputs"], weights[f"{name}_kernel"])
        for name in ("query", "key", "value")
    )
    mask = arrays["padding_mask"]
    attended = np.zeros(value.shape)
    for b, h, t in np.ndindex(value.shape[:3]):
        seen = [s for s in range(mask.shape[1]) if mask[b, s] and _sees(t, s, **pattern)]
        powers = [math.exp(query[b, h, t] @ key[b, h, s] / query.shape[3] ** 0.5) for s in seen]
        for s, power in zip(seen, powers, strict=True):
            attended[b, h, t] += power / sum(powers) * value[b, h, s]
    return np.einsum("bhtv,hvo->bto", attended, weights["output_kernel"])


def _call(layer, arrays, causal):
    return layer(arrays["inputs"], padding_mask=arrays["padding_mask"], use_causal_mask=causal)


def _case(name, pattern, causal, **settings):
    return Case(
        name=name,
        covers="layers.SparseSelfAttention",
        make=lambda seed=None, dtype=None: layers.SparseSelfAttention(
            2, 5, 3, **pattern, **settings, seed=seed, dtype=dtype
        ),
        arrays=_sequence,
        call=lambda layer, arrays: _call(layer, arrays, causal),
        twin=lambda weights, arrays: _twin(weights, arrays, **pattern, causal=causal),
        sequences=("inputs", "padding_mask"),
        hidden=lambda arrays: {"inputs": arrays["padding_mask"] == 0},
        # a masked position still asks for its own row: only there its value counts
        extreme=1e30,
        observe=lambda arrays, y: keras.ops.where(arrays["padding_mask"][:, :, None] > 0, y, 0),
        empty=lambda arrays: {**arrays, "padding_mask": _without_first(arrays["padding_mask"])},
    )


def _without_first(mask):
    return mask * (np.arange(len(mask)) > 0)[:, None].astype(mask.dtype)


CASES = [
    _case("sparse_strided", STRIDED, causal=False),
    _case("sparse_strided_causal", STRIDED, causal=True, output_shape=2),
    _case("sparse_fixed", FIXED, causal=False, output_shape=2),
    _case("sparse_fixed_causal", FIXED, causal=True),
]
