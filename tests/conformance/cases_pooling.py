"""Cases of attention pooling."""

import math

import numpy as np

from tatl_keras import layers
from tests.conformance.case import Case

PUBLIC = {}
EXEMPT = {}


def _twin(weights, arrays):
    query, mask = weights["query"], arrays["mask"]
    key, value = (
        np.einsum("btx,xhd->bhtd", arrays["inputs"], weights[f"{name}_kernel"])
        for name in ("key", "value")
    )
    pooled = np.zeros((*value.shape[:2], value.shape[3]))
    for b, h in np.ndindex(value.shape[:2]):
        seen = np.flatnonzero(mask[b])
        powers = [math.exp(query[h] @ key[b, h, t] / query.shape[1] ** 0.5) for t in seen]
        for t, power in zip(seen, powers, strict=True):
            pooled[b, h] += power / sum(powers) * value[b, h, t]
    return np.concatenate([pooled[:, h] for h in range(len(query))], axis=-1)


def _without_first(mask):
    return mask & (np.arange(len(mask)) > 0)[:, None]


def _case(name, *arguments):
    return Case(
        name=name,
        covers="layers.AttentionPooling",
        make=lambda seed=None, dtype=None: layers.AttentionPooling(
            *arguments, seed=seed, dtype=dtype
        ),
        arrays=lambda rng: {
            "inputs": rng.normal(size=(3, 11, 6)),
            "mask": np.arange(11) < np.array([[7], [11], [2]]),
        },
        call=lambda layer, arrays: layer(arrays["inputs"], mask=arrays["mask"]),
        twin=_twin,
        sequences=("inputs", "mask"),
        hidden=lambda arrays: {"inputs": ~arrays["mask"]},
        permuted=(("inputs", "mask"),),
        empty=lambda arrays: {**arrays, "mask": _without_first(arrays["mask"])},
    )


CASES = [_case("attention_pooling"), _case("attention_pooling_heads", 2, 5, 7)]
