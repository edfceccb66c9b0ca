"""Cases of `tatl_keras.fusion`."""

import numpy as np

from tatl_keras import fusion
from tests.conformance import twins
from tests.conformance.case import Case, public_layers

PUBLIC = public_layers("tatl_keras.fusion")
EXEMPT = {
    "fusion.Fusion": "the interface: it has no call of its own",
    "fusion.ModalityDropout": "changes masks only; tests/fusion/test_modality_dropout.py has it",
}

TOKENS = ("image_tokens", "image_mask", "text_tokens", "text_mask")
HAS_IMAGE = np.array([1, 1, 0, 0, 1], "int32")
HAS_TEXT = np.array([1, 0, 1, 0, 1], "int32")


def features(rng):
    """Five rows: both, image only, text only, nothing, both; prime and distinct sizes."""
    image_mask = (np.arange(7) < np.array([[7], [4], [7], [7], [5]])) * HAS_IMAGE[:, None]
    text_mask = (np.arange(11) < np.array([[3], [11], [6], [2], [11]])) * HAS_TEXT[:, None]
    return {
        "image_tokens": rng.normal(size=(5, 7, 13)),
        "image_pooled": rng.normal(size=(5, 17)),
        "image_mask": image_mask.astype("int32"),
        "has_image": HAS_IMAGE,
        "text_tokens": rng.normal(size=(5, 11, 3)),
        "text_pooled": rng.normal(size=(5, 2)),
        "text_mask": text_mask.astype("int32"),
        "has_text": HAS_TEXT,
    }


def _hidden(uses):
    def hidden(arrays):
        places = {
            "image_tokens": arrays["image_mask"] == 0,
            "image_pooled": arrays["has_image"] == 0,
            "text_tokens": arrays["text_mask"] == 0,
            "text_pooled": arrays["has_text"] == 0,
        }
        unread = {name: np.ones_like(place) for name, place in places.items()}
        return {name: (places if name in uses else unread)[name] for name in places}

    return hidden


def _nothing_in_first_row(arrays):
    arrays = {name: array.copy() for name, array in arrays.items()}
    for name in ("image_mask", "has_image", "text_mask", "has_text"):
        arrays[name][0] = 0
    return arrays


def _pooled(arrays):
    image = twins.unit(arrays["image_pooled"], arrays["has_image"])
    return image, twins.unit(arrays["text_pooled"], arrays["has_text"])


def _dense(weights, name, x):
    return x @ weights[f"{name}/kernel"] + weights.get(f"{name}/bias", 0)


def _concat(weights, arrays):
    return np.concatenate(_pooled(arrays), 1)


def _concat_hidden(weights, arrays):
    return np.tanh(_dense(weights, "hidden", _concat(weights, arrays)))


def _gated(weights, arrays):
    image, text = _pooled(arrays)
    gate = twins.sigmoid(_dense(weights, "gate", np.concatenate([image, text], 1)))
    gate[arrays["has_text"] == 0] = 1
    gate[arrays["has_image"] == 0] = 0
    h_v, h_t = np.tanh(_dense(weights, "image", image)), np.tanh(_dense(weights, "text", text))
    return gate * h_v + (1 - gate) * h_t


def _film(weights, arrays):
    image, text = _pooled(arrays)
    rows = []
    for v, t, here in zip(image, text, arrays["has_text"], strict=True):
        gamma, beta = 1 + _dense(weights, "scale", t), _dense(weights, "shift", t)
        rows.append(gamma * v + beta if here else v)
    return np.stack(rows) if rows else image


def _bilinear(weights, arrays, activation=lambda x: x):
    image, text = _pooled(arrays)
    f_v = activation(_dense(weights, "image", image))
    f_t = activation(_dense(weights, "text", text))
    f_v[arrays["has_image"] == 0] = 1
    f_t[arrays["has_text"] == 0] = 1
    return f_v * f_t


def _bilinear_projected(weights, arrays):
    return _dense(weights, "project", _bilinear(weights, arrays, np.tanh))


def _normed(weights, arrays, modality):
    gamma, beta = weights[f"{modality}_norm/gamma"], weights[f"{modality}_norm/beta"]
    return twins.layer_norm(arrays[f"{modality}_tokens"], gamma, beta)


def _cross(weights, arrays):
    image, text = (_normed(weights, arrays, modality) for modality in ("image", "text"))
    seen, _ = twins.attend(
        text,
        image @ weights["text_to_image/key_kernel"],
        image @ weights["text_to_image/value_kernel"],
        arrays["image_mask"],
    )
    read, _ = twins.attend(
        image,
        text @ weights["image_to_text/key_kernel"],
        text @ weights["image_to_text/value_kernel"],
        arrays["text_mask"],
    )
    seen = twins.average(seen, arrays["text_mask"])
    read = twins.average(read, arrays["image_mask"])
    return np.concatenate([*_pooled(arrays), seen, read], 1)


def _joint(weights, arrays):
    image = _dense(weights, "image", _normed(weights, arrays, "image"))
    text = _dense(weights, "text", _normed(weights, arrays, "text"))
    embeddings = weights["modality_embeddings"]
    tokens = np.concatenate([image + embeddings[0], text + embeddings[1]], 1)
    mask = np.concatenate([arrays["image_mask"], arrays["text_mask"]], 1)
    query, key, value = (
        tokens @ weights[f"attention/{name}_kernel"] for name in ("query", "key", "value")
    )
    tokens = tokens + twins.attend(query, key, value, mask)[0]
    tokens = twins.layer_norm(tokens, weights["joint_norm/gamma"], weights["joint_norm/beta"])
    return np.concatenate([*_pooled(arrays), twins.average(tokens, mask)], 1)


def _no_harm(weights, arrays):
    present = np.stack([arrays["has_image"], arrays["has_text"]], 1)
    inner = {name.split("/", 1)[1]: value for name, value in weights.items()}
    return np.concatenate([_film(inner, arrays), *_pooled(arrays), present], 1)


def _rows_of_no_harm(rng):
    """Vectors of 7, 3 and 2 channels; both, image, text and nothing in turn."""
    present = np.array([[1, 1], [1, 0], [0, 1], [0, 0]])[np.arange(29) % 4]
    return {"fused": np.concatenate([rng.normal(size=(29, 12)), present], 1)}


def _hidden_of_no_harm(arrays):
    image, text = arrays["fused"][:, -2:].T == 0
    hidden = np.repeat(np.stack([image | text, image, text], 1), [7, 3, 2], 1)
    return {"fused": np.concatenate([hidden, np.zeros((len(image), 2), bool)], 1)}


def _no_harm_head(weights, arrays):
    answers = []
    prior = np.exp(weights["prior"]) / np.exp(weights["prior"]).sum()
    for row in arrays["fused"]:
        p = {}
        for name, x in zip(("joint", "image", "text"), np.split(row[:12], [7, 10]), strict=True):
            powers = np.exp(_dense(weights, name, x))
            p[name] = powers / powers.sum()
        odds = np.exp(weights["log_odds"]) * sum(p["image"] * p["text"] / prior)
        r = odds / (1 + odds)
        mixed = r * p["joint"] + (1 - r) * p["image"]
        choices = {(1, 1): mixed, (1, 0): p["image"], (0, 1): p["text"], (0, 0): prior}
        answers.append(np.log(choices[tuple(row[12:])]))
    return np.stack(answers) if answers else np.zeros((0, 5))


def _case(name, cls, twin, *args, empty_output=0.0, empty=_nothing_in_first_row, **kwargs):
    uses = cls(*args, **kwargs).uses
    return Case(
        name=name,
        covers=f"fusion.{cls.__name__}",
        make=lambda seed=None, dtype=None: cls(*args, **kwargs, seed=seed, dtype=dtype),
        arrays=features,
        call=lambda layer, arrays: layer(arrays),
        twin=twin,
        sequences=TOKENS,
        hidden=_hidden(uses),
        permuted=(("image_tokens", "image_mask"), ("text_tokens", "text_mask")),
        empty=empty,
        empty_output=empty_output,
    )


CASES = [
    Case(
        name="pooled_normalization",
        covers="fusion.PooledNormalization",
        make=lambda seed=None, dtype=None: fusion.PooledNormalization(dtype=dtype),
        arrays=lambda rng: {
            "pooled": rng.normal(size=(5, 7)),
            "present": np.array([1, 1, 0, 1, 0], "int32"),
        },
        call=lambda layer, arrays: layer(arrays["pooled"], arrays["present"]),
        twin=lambda weights, arrays: twins.unit(arrays["pooled"], arrays["present"]),
        hidden=lambda arrays: {"pooled": arrays["present"] == 0},
        empty=lambda arrays: {**arrays, "present": np.array([0, 1, 1, 1, 1], "int32")},
    ),
    _case("concat", fusion.ConcatFusion, _concat),
    _case("concat_hidden", fusion.ConcatFusion, _concat_hidden, 19, activation="tanh", empty=None),
    _case("gated", fusion.GatedFusion, _gated, 19),
    _case("film", fusion.FiLMFusion, _film),
    _case("bilinear", fusion.BilinearFusion, _bilinear, 19, empty_output=1.0),
    _case(
        "bilinear_projected",
        fusion.BilinearFusion,
        _bilinear_projected,
        19,
        output_dim=23,
        activation="tanh",
        empty=None,
    ),
    _case("cross", fusion.CrossAttentionFusion, _cross),
    _case("cross_value_dim", fusion.CrossAttentionFusion, _cross, 19),
    _case("joint", fusion.JointAttentionFusion, _joint, 19),
    _case("no_harm", fusion.NoHarmFusion, _no_harm, "film"),
    Case(
        name="no_harm_head",
        covers="fusion.NoHarmHead",
        make=lambda seed=None, dtype=None: fusion.NoHarmHead(5, 7, 3, 2, seed=seed, dtype=dtype),
        arrays=_rows_of_no_harm,
        call=lambda layer, arrays: layer(arrays["fused"]),
        twin=_no_harm_head,
        hidden=_hidden_of_no_harm,
        exempt={"seeds_fix_the_weights": "every expert starts at zero"},
    ),
    _case("image_only", fusion.SingleModality, lambda w, a: _pooled(a)[0], "image"),
    _case("text_only", fusion.SingleModality, lambda w, a: _pooled(a)[1], "text"),
]
