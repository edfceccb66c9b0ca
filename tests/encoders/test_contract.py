"""What every encoder does: tokens, pooled and mask of the right shapes, and saving."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tatl_keras.encoders.catalog import LEARNED_TEXT
from tests.encoders.cases import (
    ALL,
    IMAGE,
    SIZES,
    TEXT,
    inputs_of,
    ready,
    symbolic_inputs_of,
)


def arrays(features):
    return {name: keras.ops.convert_to_numpy(value) for name, value in features.items()}


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("name", ALL)
def test_shapes_and_dtypes(name, policy):
    keras.config.set_dtype_policy(policy)
    encoder = ALL[name]()
    length, channels = SIZES[name]
    features = encoder(inputs_of(name))
    assert list(features) == ["tokens", "pooled", "mask"]
    assert {key: tuple(value.shape) for key, value in features.items()} == {
        "tokens": (3, length, channels),
        "pooled": (3, channels),
        "mask": (3, length),
    }
    dtypes = [keras.backend.standardize_dtype(value.dtype) for value in features.values()]
    assert dtypes == ["float32", "float32", "int32"]
    assert encoder.output_dim == channels
    assert all(np.isfinite(value).all() for value in arrays(features).values())


@pytest.mark.parametrize("name", ALL)
def test_mask(name):
    inputs = inputs_of(name)
    mask = arrays(ready(name)(inputs))["mask"]
    if name in IMAGE:
        np.testing.assert_array_equal(mask, np.ones((3, SIZES[name][0])))
    else:
        np.testing.assert_array_equal(mask, inputs["padding_mask"])


@pytest.mark.parametrize("name", ALL)
def test_symbolic_call_agrees_with_eager_call(name):
    encoder = ready(name)
    inputs = inputs_of(name)
    symbolic = symbolic_inputs_of(name)
    outputs = encoder(symbolic)
    eager = encoder(inputs)
    for key, value in outputs.items():
        assert value.dtype == keras.backend.standardize_dtype(eager[key].dtype)
        assert all(s in (None, e) for s, e in zip(value.shape, eager[key].shape, strict=True)), key
    model = keras.Model(symbolic, outputs)
    got = arrays(model(inputs))
    for key, value in arrays(eager).items():
        np.testing.assert_allclose(got[key], value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["test_image", "test_text", "lstm"])
def test_compiled_with_xla(name):
    encoder, inputs = ready(name), inputs_of(name)
    eager = arrays(encoder(inputs))
    compiled = arrays(tf.function(encoder, jit_compile=True)(inputs))
    for key, value in eager.items():
        np.testing.assert_allclose(compiled[key], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_config_round_trip(name):
    encoder = ALL[name](frozen=False, **({} if name.startswith("test_") else {"preset": "p"}))
    encoder.unfreeze(last_n=1)
    config = encoder.get_config()
    again = type(encoder).from_config(config)
    assert again.get_config() == config
    assert (again.frozen, again.unfrozen_last_n, again.preset) == (False, 1, encoder.preset)
    assert [w.shape for w in again.weights] == [w.shape for w in encoder.weights]
    learning, expected = ([w.trainable for w in one.weights] for one in (again, encoder))
    assert learning == expected and any(learning)
    assert encoder.get_config() == config  # from_config left the dict alone


@pytest.mark.parametrize("name", ALL)
def test_keras_file_round_trip(name, tmp_path):
    encoder, inputs = ready(name), inputs_of(name)
    symbolic = symbolic_inputs_of(name)
    model = keras.Model(symbolic, encoder(symbolic))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    again = loaded.get_layer(encoder.name)
    assert again.digest() == encoder.digest()
    assert again.frozen is encoder.frozen is (name not in LEARNED_TEXT)
    assert len(again.trainable_weights) == len(encoder.trainable_weights)
    assert getattr(again, "grid", None) == getattr(encoder, "grid", None)
    first, second = arrays(model(inputs)), arrays(loaded(inputs))
    for key, value in first.items():
        np.testing.assert_array_equal(second[key], value)


@pytest.mark.parametrize("name", TEXT)
def test_bad_text_inputs_are_refused(name):
    encoder = ready(name)
    with pytest.raises(ValueError, match=r"'token_ids' and 'padding_mask'.*inputs=\['ids'\]"):
        encoder({"ids": np.ones((2, 3), "int32")})
    with pytest.raises(ValueError, match=r"inputs=a tensor \(2, 3\)"):
        encoder(np.ones((2, 3), "int32"))
    with pytest.raises(ValueError, match=r"token_ids.shape=\(2, 3\), padding_mask.shape=\(2, 5\)"):
        encoder({"token_ids": np.ones((2, 3), "int32"), "padding_mask": np.ones((2, 5), "int32")})
    with pytest.raises(ValueError, match=r"token_ids.shape=\(3,\)"):
        encoder({"token_ids": np.ones(3, "int32"), "padding_mask": np.ones(3, "int32")})


@pytest.mark.parametrize("name", IMAGE)
def test_bad_pictures_are_refused(name):
    with pytest.raises(ValueError, match=r"\(B, H, W, C\).*images.shape=\(32, 32, 3\)"):
        ready(name)(np.ones((32, 32, 3), "float32"))


@pytest.mark.parametrize("name", TEXT)
def test_ids_under_the_mask_have_no_effect(name):
    encoder, inputs = ready(name), inputs_of(name)
    other = dict(inputs)
    hidden = inputs["padding_mask"] == 0
    other["token_ids"] = np.where(hidden, 30 - inputs["token_ids"], inputs["token_ids"])
    assert (other["token_ids"] != inputs["token_ids"]).sum() >= 8
    first, second = arrays(encoder(inputs)), arrays(encoder(other))
    np.testing.assert_array_equal(first["pooled"], second["pooled"])
    np.testing.assert_array_equal(first["tokens"][~hidden], second["tokens"][~hidden])
    np.testing.assert_array_equal(first["pooled"][2], np.zeros(SIZES[name][1]))


@pytest.mark.parametrize("name", TEXT)
def test_padding_further_changes_nothing(name):
    encoder, inputs = ready(name), inputs_of(name)
    longer = {key: np.pad(value, [(0, 0), (0, 4)]) for key, value in inputs.items()}
    first, second = arrays(encoder(inputs)), arrays(encoder(longer))
    real = inputs["padding_mask"] == 1
    np.testing.assert_allclose(second["pooled"], first["pooled"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        second["tokens"][:, :7][real], first["tokens"][real], rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("name", TEXT)
def test_masks_may_be_boolean_and_further_inputs_are_ignored(name):
    encoder, inputs = ready(name), inputs_of(name)
    other = {
        "token_ids": inputs["token_ids"].astype("int64"),
        "padding_mask": inputs["padding_mask"] == 1,
        "has_text": np.array([1, 1, 0]),
    }
    first, second = arrays(encoder(inputs)), arrays(encoder(other))
    for key, value in first.items():
        np.testing.assert_array_equal(second[key], value)
