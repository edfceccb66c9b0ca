"""What stands in a missing picture or text reaches neither the answers nor any gradient."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import fusion, zoo

HAS_IMAGE = np.array([1, 0, 1, 0, 1], "int32")
HAS_TEXT = np.array([1, 1, 0, 0, 1], "int32")
LABELS = np.array([0, 1, 2, 0, 1])
FROM_BYTES = ("concat", "joint")  # what comes before the features is the same for all


def _model(name):
    """A model of which all weights learn and none is zero."""
    encoders = {"image": "test_image", "text": "test_text"}
    if name.endswith("_only"):
        modality = name.removesuffix("_only")
        encoders = {modality: encoders[modality]}
    model = zoo.compose(3, **encoders, fusion=name, image_size=(32, 32), frozen=False, seed=0)
    rng = np.random.default_rng(0)
    for weight in [*model.head.trainable_weights, *model.fusion.trainable_weights]:
        weight.assign(rng.normal(size=weight.shape) * 0.3)
    return model


def _tensors(model, rng):
    real = np.arange(7) < rng.integers(1, 8, (5, 1))
    tensors = {
        "images": rng.uniform(0, 255, (5, 32, 32, 3)).astype("float32"),
        "has_image": HAS_IMAGE,
        "token_ids": rng.integers(0, 20, (5, 7)).astype("int32"),
        "padding_mask": real.astype("int32"),
        "has_text": HAS_TEXT,
    }
    image = {"images", "has_image"} if "image" in model.encoders else set()
    text = set(tensors) - {"images", "has_image"} if "text" in model.encoders else set()
    return {name: value for name, value in tensors.items() if name in image | text}


def _answers(model, inputs):
    """Logits, gradients of the weights, and gradients of the inputs that are floats."""
    inputs = {name: tf.constant(value) for name, value in inputs.items()}
    floats = {name: x for name, x in inputs.items() if x.dtype.is_floating}
    with tf.GradientTape() as tape:
        tape.watch(floats)
        logits = model(inputs, training=False)
        loss = tf.reduce_sum(keras.losses.sparse_categorical_crossentropy(LABELS, logits, True))
    weights = [weight.value for weight in model.trainable_weights]
    by_weight, by_input = tape.gradient(loss, (weights, floats), unconnected_gradients="zero")
    return logits.numpy(), [tf.convert_to_tensor(x).numpy() for x in by_weight], by_input


def _absent(name):
    return (HAS_TEXT if name.startswith(("text", "token", "padding")) else HAS_IMAGE) == 0


@pytest.mark.parametrize("name", sorted(fusion.registry.NAMES))
def test_bytes_of_what_is_missing_have_no_effect(name):
    model = _model(name)
    rng = np.random.default_rng(1)
    tensors, others = _tensors(model, rng), _tensors(model, rng)
    features = {k: np.asarray(v) for k, v in model.encode(tensors, training=False).items()}
    garbage = {
        k: (rng.choice([-3e38, 7.0, 3e38], v.shape).astype(v.dtype) if v.dtype.kind == "f" else 1)
        for k, v in features.items()
    }
    cases = [(features, garbage), *([(tensors, others)] if name in FROM_BYTES else [])]
    for given, noise in cases:
        logits, by_weight, by_input = _answers(model, given)
        assert np.isfinite(logits).all() and any(np.any(x) for x in by_weight)
        changed = dict(given)
        for key in given.keys() - {"has_image", "has_text"}:
            places = _absent(key).reshape(-1, *[1] * (given[key].ndim - 1))
            changed[key] = np.where(places, noise[key], given[key]).astype(given[key].dtype)
        assert any((changed[key] != given[key]).any() for key in changed)
        found, weights_found, inputs_found = _answers(model, changed)
        np.testing.assert_array_equal(found, logits)
        for gradient, before in zip(weights_found, by_weight, strict=True):
            np.testing.assert_array_equal(gradient, before)
        for key, gradient in inputs_found.items():
            gradient = np.asarray(gradient)
            assert not gradient[_absent(key)].any(), key
            assert gradient[~_absent(key)].any(), key
