"""What is particular to each fusion; the common properties are in conformance/."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import fusion

ALL = sorted(fusion.registry.NAMES)


def features(rng, rows=2):
    """Features of rows that have everything."""
    return {
        "image_tokens": rng.normal(size=(rows, 5, 3)).astype("float32"),
        "image_pooled": rng.normal(size=(rows, 3)).astype("float32"),
        "image_mask": np.ones((rows, 5), "int32"),
        "has_image": np.ones(rows, "int32"),
        "text_tokens": rng.normal(size=(rows, 7, 2)).astype("float32"),
        "text_pooled": rng.normal(size=(rows, 2)).astype("float32"),
        "text_mask": np.ones((rows, 7), "int32"),
        "has_text": np.ones(rows, "int32"),
    }


def without(values, *modalities):
    """The features with modalities absent in every row."""
    values = dict(values)
    for modality in modalities:
        for name in (f"{modality}_mask", f"has_{modality}"):
            values[name] = np.zeros_like(values[name])
    return values


def pooled(image, text):
    """One row of pooled features; None for a missing modality."""
    return {
        "image_pooled": np.array([image or [9.0, 9.0]]),
        "has_image": np.array([int(image is not None)]),
        "text_pooled": np.array([text or [7.0, 7.0]]),
        "has_text": np.array([int(text is not None)]),
    }


# (1, 0) and (0, 1) of two channels are brought to the length 16
R = 16.0
X, Y = [3.0, 0.0], [0.0, 0.5]


def test_normalisation_by_hand():
    layer = fusion.PooledNormalization()
    vectors = np.array([[3.0, 4.0], [0.0, 0.0], [3.0, 4.0]])
    expected = [[0.6 * R, 0.8 * R], [0, 0], [0, 0]]
    np.testing.assert_allclose(layer(vectors, np.array([1, 1, 0])), expected, rtol=1e-6)


def test_a_zero_vector_has_a_finite_gradient():
    vectors = tf.zeros((1, 3))
    with tf.GradientTape() as tape:
        tape.watch(vectors)
        outputs = fusion.PooledNormalization()(vectors, np.array([1]))
    assert np.isfinite(tape.gradient(outputs, vectors)).all()


@pytest.mark.parametrize(
    ("image", "text", "expected"),
    [
        (X, Y, [R, 0, 0, R]),
        (X, None, [R, 0, 0, 0]),
        (None, Y, [0, 0, 0, R]),
        (None, None, [0, 0, 0, 0]),
    ],
)
def test_concat_by_hand(image, text, expected):
    np.testing.assert_allclose(fusion.ConcatFusion()(pooled(image, text))[0], expected, rtol=1e-6)


def test_concat_with_a_hidden_layer_by_hand():
    layer = fusion.ConcatFusion(1, activation="relu")
    layer(pooled(X, Y))
    layer.hidden.set_weights([np.array([[2.0], [0], [0], [-1.0]]), np.array([0.5])])
    np.testing.assert_allclose(layer(pooled(X, Y)), [[R + 0.5]], rtol=1e-6)
    np.testing.assert_allclose(layer(pooled(None, Y)), [[0.0]], atol=1e-6)


@pytest.mark.parametrize(
    ("image", "text", "expected"),
    [
        # z = sigmoid(ln 3) = 3/4 weighs tanh(1) against tanh(-2)
        (X, Y, 0.75 * np.tanh(1) - 0.25 * np.tanh(2)),
        (X, None, np.tanh(1)),
        (None, Y, -np.tanh(2)),
        (None, None, 0),
    ],
)
def test_gated_by_hand(image, text, expected):
    layer = fusion.GatedFusion(1)
    layer(pooled(X, Y))
    layer.image.set_weights([np.array([[1 / R], [0]])])
    layer.text.set_weights([np.array([[0], [-2 / R]])])
    layer.gate.set_weights([np.array([[np.log(3) / R], [0], [0], [0]])])
    np.testing.assert_allclose(layer(pooled(image, text))[0], [expected], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("image", "text", "expected"),
    [
        # gamma = 1 + 2 + 1 = 4 and beta = 3 + 0.5 on the first channel; 1.5 and 0.25 on the second
        (X, Y, [4 * R + 3.5, 0.25]),
        (X, None, [R, 0]),
        (None, Y, [3.5, 0.25]),
        (None, None, [0, 0]),
    ],
)
def test_film_by_hand(image, text, expected):
    layer = fusion.FiLMFusion()
    layer(pooled(X, Y))
    layer.scale.set_weights([np.array([[5.0, 5.0], [2 / R, 0]]), np.array([1.0, 0.5])])
    layer.shift.set_weights([np.array([[5.0, 5.0], [3 / R, 0]]), np.array([0.5, 0.25])])
    np.testing.assert_allclose(layer(pooled(image, text))[0], expected, rtol=1e-6, atol=1e-7)


def test_film_starts_as_a_sum(rng):
    layer = fusion.FiLMFusion(seed=1)
    values = features(rng)
    fused = layer(values)
    image = layer.pooled(values, "image")
    shift = layer.shift(layer.pooled(values, "text"))
    np.testing.assert_allclose(fused, image + shift, rtol=1e-5)


@pytest.mark.parametrize(
    ("image", "text", "expected"),
    [
        # (2 + 1) * (4 - 1): each factor passes where the other is missing
        (X, Y, 9),
        (X, None, 3),
        (None, Y, 3),
        (None, None, 1),
    ],
)
def test_bilinear_by_hand(image, text, expected):
    layer = fusion.BilinearFusion(1)
    layer(pooled(X, Y))
    assert [w.tolist() for w in layer.get_weights()[1::2]] == [[1.0], [1.0]]
    layer.image.set_weights([np.array([[2 / R], [0]]), np.array([1.0])])
    layer.text.set_weights([np.array([[0], [4 / R]]), np.array([-1.0])])
    np.testing.assert_allclose(layer(pooled(image, text))[0], [expected], rtol=1e-6)


@pytest.mark.parametrize("name", ["cross", "joint"])
def test_attention_fusions_hold_what_concat_gives(rng, name):
    values = features(rng)
    plain = fusion.ConcatFusion()(values)
    np.testing.assert_array_equal(fusion.get(name)(values)[:, :5], plain)


def test_cross_attention_scores(rng):
    values = features(rng)
    values["image_mask"][0, 3:] = 0
    values["text_mask"][0, 4:] = 0
    layer = fusion.CrossAttentionFusion(seed=1)
    fused, scores = layer(values, return_attention_scores=True)
    np.testing.assert_array_equal(fused, layer(values))
    seen, read = scores["text_to_image"].numpy(), scores["image_to_text"].numpy()
    assert seen.shape == (2, 7, 5) and read.shape == (2, 5, 7)
    assert not seen[0, :, 3:].any() and not read[0, :, 4:].any()
    np.testing.assert_allclose(seen.sum(-1), 1, atol=1e-6)
    np.testing.assert_allclose(read.sum(-1), 1, atol=1e-6)


def test_joint_attention_scores(rng):
    values = without(features(rng), "text")
    layer = fusion.JointAttentionFusion(11, seed=1)
    fused, scores = layer(values, return_attention_scores=True)
    np.testing.assert_array_equal(fused, layer(values))
    joint = scores["joint"].numpy()
    assert joint.shape == (2, 12, 12) and not joint[:, :, 5:].any()
    np.testing.assert_allclose(joint.sum(-1), 1, atol=1e-6)


@pytest.mark.parametrize("name", ["cross", "joint"])
def test_scores_of_a_functional_model(rng, name):
    keras.config.set_dtype_policy("mixed_bfloat16")
    values = features(rng)
    inputs = {
        key: keras.Input(
            (None, *array.shape[2:]) if "tokens" in key or "mask" in key else array.shape[1:],
            dtype=array.dtype.name,
            name=key,
        )
        for key, array in values.items()
    }
    outputs = fusion.get(name)(inputs, return_attention_scores=True)
    results = keras.Model(inputs, outputs)(values)
    pairs = zip(keras.tree.flatten(outputs), keras.tree.flatten(results), strict=True)
    for symbol, tensor in pairs:
        assert symbol.dtype == keras.backend.standardize_dtype(tensor.dtype)
        assert len(symbol.shape) == len(tensor.shape) and symbol.shape[0] is None
    assert results[0].dtype == "bfloat16"
    assert all(scores.dtype == "float32" for scores in results[1].values())


def test_masks_need_not_be_multiplied_by_presence(rng):
    values = features(rng)
    values["has_text"] = np.array([1, 0], "int32")
    exact = {**values, "text_mask": values["text_mask"] * values["has_text"][:, None]}
    for name in ALL:
        layer = fusion.get(name, seed=1)
        np.testing.assert_array_equal(layer(values), layer(exact))


@pytest.mark.parametrize("name", ALL)
def test_dropout_acts_in_training_only_and_follows_its_seed(rng, name):
    values = features(rng, rows=40)
    layers = [fusion.get(name, dropout=0.5, seed=seed) for seed in (1, 1, 2)]
    plain = layers[0](values)
    np.testing.assert_array_equal(layers[0](values, training=False), plain)
    first, same, other = (layer(values, training=True).numpy() for layer in layers)
    assert 0.3 < (first == 0).mean() < 0.7
    np.testing.assert_array_equal(first, same)
    assert ((first == 0) != (other == 0)).any()
    np.testing.assert_array_equal(layers[0](values), plain)


@pytest.mark.parametrize("name", ALL)
def test_only_the_features_in_uses_are_needed(rng, name):
    values = features(rng)
    layer = fusion.get(name)
    needed = {key: values[key] for key in layer.uses}
    np.testing.assert_array_equal(layer(needed), layer(values))
    assert layer.compute_output_shape({k: v.shape for k, v in needed.items()})[0] == 2


@pytest.mark.parametrize(
    ("name", "softmax"), [("cross", {"float32"}), ("joint", {"float32"}), ("gated", set())]
)
def test_softmax_and_norms_run_in_float32(rng, name, softmax):
    keras.config.set_dtype_policy("mixed_bfloat16")
    layer = fusion.get(name)
    values = {key: tf.constant(array) for key, array in features(rng).items()}
    graph = tf.function(lambda tensors: layer(tensors))
    assert graph(values).dtype == "bfloat16"
    found = {"Softmax": set(), "Rsqrt": set()}
    for operation in graph.get_concrete_function(values).graph.get_operations():
        if operation.type in found:
            found[operation.type].add(operation.get_attr("T").name)
    assert found == {"Softmax": softmax, "Rsqrt": {"float32"}}


@pytest.mark.parametrize("name", ALL)
def test_one_seed_gives_every_kernel_its_own_values(rng, name):
    values = features(rng)
    values["text_tokens"] = values["image_tokens"]
    values["text_pooled"] = values["image_pooled"]
    values["text_mask"] = values["image_mask"]
    layer = fusion.get(name, seed=1)
    layer(values)
    kernels = [w.numpy() for w in layer.trainable_weights if np.ptp(w.numpy()) > 0]
    for i, kernel in enumerate(kernels):
        for other in kernels[:i]:
            assert kernel.shape != other.shape or (kernel != other).any()
