"""Cases of the layers on maps."""

import keras

from tatl_keras import layers
from tests.conformance import twins_local
from tests.conformance.case import Case

PUBLIC = {}
EXEMPT = {}


def _map(rng):
    return {
        "inputs": rng.normal(size=(3, 11, 5, 7)),
        "mask": (rng.random(size=(3, 11, 5)) < 0.6).astype("int32"),
    }


def _without_mask(rng):
    return {"inputs": _map(rng)["inputs"]}


def _no_first_row(arrays):
    mask = arrays["mask"].copy()
    mask[0] = 0
    return {**arrays, "mask": mask}


def _call(layer, arrays):
    return layer(arrays["inputs"], mask=arrays.get("mask"))


def _case(name, cls, twin, *args, masked=True, exempt=None, **kwargs):
    def make(seed=None, dtype=None):
        start = keras.initializers.GlorotUniform(seed=seed)
        initializers = {"kernel_initializer": start, "embeddings_initializer": start}
        return cls(*args, **initializers, **kwargs, dtype=dtype)

    return Case(
        name=name,
        covers=f"layers.{cls.__name__}",
        make=make,
        arrays=_map if masked else _without_mask,
        call=_call,
        twin=lambda weights, arrays: twin(weights, arrays["inputs"], mask=arrays.get("mask"))[0],
        sequences=("inputs", "mask") if masked else ("inputs",),
        hidden=(lambda arrays: {"inputs": arrays["mask"] == 0}) if masked else lambda arrays: {},
        empty=_no_first_row if masked else None,
        exempt=exempt or {},
    )


def _local(name, k, heads, filters, **arguments):
    numbers = {key: arguments[key] for key in ("scale", "strides") if key in arguments}

    def twin(weights, x, mask):
        return twins_local.local_attention(weights, x, k, heads, mask=mask, **numbers)

    layer = layers.LocalSelfAttention2D
    reason = "a map smaller than the window is refused; tests/layers goes through the other sizes"
    arguments["exempt"] = {"any_sizes": reason}
    return _case(name, layer, twin, filters, k, num_heads=heads, **arguments)


def _stem(name, k, heads, **arguments):
    def twin(weights, x, mask):
        return twins_local.attention_stem(weights, x, k, heads, mask=mask)

    return _case(name, layers.AttentionStem, twin, 6, k, num_heads=heads, **arguments)


CASES = [
    _local("local_self_attention", 3, 3, 12),
    _local("local_self_attention_without_mask", 5, 2, 12, scale=0.3, masked=False),
    _local("local_self_attention_strided", 3, 1, 6, strides=2),
    _stem("attention_stem", 4, 2, num_mixtures=3),
    _stem("attention_stem_without_mask", 3, 1, embedding_dim=5, masked=False),
]
