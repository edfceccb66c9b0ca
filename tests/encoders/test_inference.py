"""A compiled encoder gives what the encoder gives, whatever the options."""

import random

import keras
import numpy as np
import pytest

from tatl_keras import encoders
from tests.encoders.cases import ALL, SIZES, inputs_of, ready, values
from tests.rounding import assert_same_features


def reference(encoder, inputs):
    return {name: np.asarray(value) for name, value in encoder(inputs, training=False).items()}


def assert_close(features, expected, tolerance):
    for name in ("tokens", "pooled"):
        atol = tolerance * np.abs(expected[name]).max()
        np.testing.assert_allclose(features[name], expected[name], rtol=0, atol=atol)


def rows(inputs, chosen):
    if isinstance(inputs, dict):
        return {name: value[chosen] for name, value in inputs.items()}
    return inputs[chosen]


@pytest.mark.parametrize("name", ALL)
def test_every_encoder(name):
    inputs, (length, channels) = inputs_of(name), SIZES[name]
    features = encoders.inference_function(ready(name))(inputs)
    kinds = {key: (tuple(value.shape), value.dtype.name) for key, value in features.items()}
    assert kinds == {
        "tokens": ((3, length, channels), "float32"),
        "pooled": ((3, channels), "float32"),
        "mask": ((3, length), "int32"),
    }
    expected = reference(ready(name), inputs)
    assert_close(features, expected, 1e-5)
    np.testing.assert_array_equal(features["mask"], expected["mask"])


@pytest.mark.parametrize("name", ["test_image", "test_vit", "test_text", "lstm"])
def test_bfloat16_is_close_but_rounded(name):
    inputs = inputs_of(name)
    function = encoders.inference_function(ready(name), dtype="bfloat16")
    features, expected = function(inputs), reference(ready(name), inputs)
    assert features["pooled"].dtype == "float32"
    assert_close(features, expected, 0.1)
    # The rounding errors of 8 bits are 2e-3 of a value, those of float32 6e-8.
    error = np.abs(features["tokens"] - expected["tokens"]).max()
    assert error > 1e-4 * np.abs(expected["tokens"]).max()


@pytest.mark.parametrize("name", ["resnet", "test_vit", "test_text"])
def test_xla_gives_the_same(name):
    inputs = inputs_of(name)
    function = encoders.inference_function(ready(name), jit_compile=True)
    assert_close(function(inputs), reference(ready(name), inputs), 1e-5)


def test_dtype_none_follows_the_encoder():
    encoder, _ = encoders.build_image("test_image", dtype="mixed_bfloat16")
    images = inputs_of("test_image")
    own, single = (
        encoders.inference_function(encoder, dtype=dtype)(images) for dtype in (None, "float32")
    )
    full = reference(ready("test_image"), images)
    assert_close(single, full, 1e-5)
    assert np.abs(own["tokens"] - full["tokens"]).max() > 1e-4 * np.abs(full["tokens"]).max()


def test_learning_encoders_run_in_inference_mode():
    encoder = ALL["test_image"](frozen=False)
    images = inputs_of("test_image")
    before = values(encoder)
    features = encoders.inference_function(encoder)(images)
    assert_close(features, reference(encoder, images), 1e-5)
    assert {key: value.tobytes() for key, value in before.items()} == {
        key: value.tobytes() for key, value in values(encoder).items()
    }
    assert not encoder.frozen


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_global_state_and_the_encoder_are_untouched(dtype):
    encoder = ALL["resnet"]()
    digest, policy, state = encoder.digest(), keras.config.dtype_policy(), random.getstate()
    encoders.inference_function(encoder, dtype=dtype)(inputs_of("resnet"))
    assert encoder.digest() == digest
    assert keras.config.dtype_policy() == policy
    assert random.getstate() == state


def test_outputs_are_those_asked_for():
    images = inputs_of("test_vit")
    features = encoders.inference_function(ready("test_vit"), outputs=("pooled", "mask"))(images)
    assert list(features) == ["pooled", "mask"]
    np.testing.assert_allclose(
        features["pooled"], ready("test_vit")(images)["pooled"], rtol=0, atol=1e-5
    )


def test_inputs_of_other_dtypes():
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3))
    function = encoders.inference_function(ready("test_image"))
    given = function(images.astype("uint8")), function(images.astype("float32"))
    np.testing.assert_array_equal(given[0]["tokens"], given[1]["tokens"])
    texts = inputs_of("test_text")
    function = encoders.inference_function(ready("test_text"))
    wide = {
        "token_ids": texts["token_ids"].astype("int64"),
        "padding_mask": texts["padding_mask"].astype("bool"),
        "has_text": np.ones(3),
    }
    np.testing.assert_array_equal(function(wide)["tokens"], function(texts)["tokens"])


@pytest.mark.parametrize("kind", ["lite0", "minilm"])
def test_a_row_has_the_same_features_in_every_batch_of_eight(kind, request):
    encoder, _ = request.getfixturevalue(kind)
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(24, 64, 64, 3)).astype("float32")
    if kind == "minilm":
        mask = np.arange(13) < rng.integers(1, 14, (24, 1))
        inputs = {"token_ids": rng.integers(1, 30000, (24, 13)) * mask, "padding_mask": mask}
    function = encoders.inference_function(encoder)

    def in_eights(order):
        parts = [function(rows(inputs, order[i : i + 8])) for i in range(0, 24, 8)]
        return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}

    expected = in_eights(np.arange(24))
    for _ in range(3):
        order = rng.permutation(24)
        for key, value in in_eights(order).items():
            assert_same_features(value, expected[key][order], key)


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        (dict(dtype="float16"), "dtype='float16'"),
        (dict(dtype=["float32"]), r"dtype=\['float32'\]"),
        (dict(jit_compile="auto"), "jit_compile='auto'"),
        (dict(outputs=()), r"outputs=\(\)"),
        (dict(outputs="pooled"), "outputs='pooled'"),
        (dict(outputs=("pooled", "logits")), "outputs=.*'logits'"),
    ],
)
def test_wrong_arguments_are_named(arguments, received):
    with pytest.raises(ValueError, match=f"Received: {received}"):
        encoders.inference_function(ready("test_vit"), **arguments)


def test_a_backbone_is_no_encoder():
    with pytest.raises(ValueError, match="`encoder` must be an Encoder. Received: encoder=<"):
        encoders.inference_function(ready("test_vit").backbone)


def test_missing_inputs_are_named():
    function = encoders.inference_function(ready("test_text"))
    with pytest.raises(ValueError, match=r"Received: inputs=\['token_ids'\]"):
        function({"token_ids": np.ones((1, 3))})
