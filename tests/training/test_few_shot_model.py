"""Few shots on a model whose encoders share a space: its head is what `solve_few_shot` found."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import models, training, zoo
from tests.encoders.pairs import LENGTH, save_siglip

CLASSES, DIM = 3, 10
NAMES = ["red fly", "butterfly", "tree"]


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    return save_siglip(tmp_path_factory.mktemp("siglip"))


def build(preset):
    presets = {"image_preset": preset, "text_preset": preset, "sequence_length": LENGTH}
    return zoo.build("siglip_b16_class_texts", CLASSES, class_names=NAMES, **presets)


def world(model, shots, seed=0, noise=0.7):
    """Image features round the model's class texts; the last row has no picture."""
    rng = np.random.default_rng(seed)
    labels = np.arange(shots * CLASSES + 1) % CLASSES
    pooled = model.head.embeddings.numpy()[labels]
    pooled = 3 * (pooled + noise * rng.normal(size=pooled.shape) / np.sqrt(DIM))
    has = np.ones(len(labels), "int32")
    has[-1] = 0
    return {"image_pooled": pooled.astype("float32"), "has_image": has}, labels


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_the_head_adds_texts_a_cache_and_a_line():
    rng = np.random.default_rng(0)
    head = models.FewShotHead(4, num_keys=5)
    head.build((None, 7))
    e, k = unit(rng.normal(size=(4, 7))), unit(rng.normal(size=(5, 7)))
    labels, kernel, bias = rng.integers(0, 4, 5), rng.normal(size=(7, 4)), rng.normal(size=4)
    head.load(
        embeddings=e, zero_shot_scale=11.0, keys=k, key_labels=labels, cache_scale=3.0,
        sharpness=2.5, kernel=kernel, bias=bias,
    )  # fmt: skip
    u = unit(rng.normal(size=(6, 7)))
    expected = 11.0 * u @ e.T + u @ kernel + bias
    for row in range(6):
        for key, label in enumerate(labels):
            expected[row, label] += 3.0 * np.exp(-2.5 * (1 - u[row] @ k[key]))
    np.testing.assert_allclose(head(16 * u), expected, rtol=1e-5, atol=1e-5)
    again = models.FewShotHead.from_config(head.get_config())
    again.build((None, 7))
    again.set_weights(head.get_weights())
    np.testing.assert_array_equal(again(16 * u), head(16 * u))
    assert [weight.name for weight in head.trainable_weights] == ["kernel", "bias"]


@pytest.mark.parametrize(("shots", "parts"), [(1, 2), (12, 3)])
def test_the_model_answers_as_the_solution(preset, shots, parts):
    model = build(preset)
    x, labels = world(model, shots)
    zero_shot = model.predict(x, verbose=0)
    solution = training.solve_head(model, x, labels, verbose=0)
    expected = training.solve_few_shot(
        x["image_pooled"][:-1], labels[:-1], unit(model.head.embeddings.numpy())
    )
    assert solution.solver == expected.method and len(expected.method.split("+")) == parts
    assert (solution.num_examples, solution.reason) == (len(labels), expected.reason)
    tests, _ = world(model, 20, seed=1)
    found = model.predict(tests, verbose=0)
    logits = expected.logits(tests["image_pooled"][:-1])
    assert np.abs(logits - zero_shot.mean()).max() > 1
    np.testing.assert_allclose(found[:-1], logits, rtol=1e-4, atol=1e-4)
    counts = np.bincount(labels, minlength=CLASSES)
    np.testing.assert_allclose(found[-1], np.log((counts + 1) / (counts + 1).sum()), rtol=1e-5)
    assert solution.report().startswith(solution.reason)
    again = training.solve_head(model, x, labels, verbose=0)  # from a head that was solved
    assert again.log_loss == solution.log_loss or shots == 1
    np.testing.assert_array_equal(model.predict(tests, verbose=0), found)


def test_solved_models_are_saved_exported_and_trained(preset, tmp_path):
    model = build(preset)
    x, labels = world(model, 12)
    training.solve_head(model, x, labels, verbose=0)
    assert model.head.num_keys == 36
    pictures = np.random.default_rng(0).integers(0, 256, (9, 24, 24, 3)).astype("uint8")
    tensors = model.preprocessor.tensors({"image": tf.constant(pictures)}, ["image"])
    expected = np.asarray(model(tensors))
    model.save(tmp_path / "model.keras")
    model.save_to_preset(tmp_path / "preset")
    for again in (
        keras.saving.load_model(tmp_path / "model.keras"),
        zoo.from_preset(tmp_path / "preset"),
    ):
        np.testing.assert_allclose(again(tensors), expected, rtol=1e-5, atol=1e-5)
    assert again.class_texts == model.class_texts
    model.export(str(tmp_path / "1"))
    serve = tf.saved_model.load(str(tmp_path / "1")).signatures["serving_default"]
    encoded = [tf.io.encode_png(one).numpy() for one in pictures]
    served = serve(image_bytes=tf.constant(encoded), text=tf.constant([""] * 9))
    np.testing.assert_allclose(served["logits"], expected, rtol=1e-4, atol=1e-4)
    before = {weight.name: weight.numpy() for weight in model.head.weights}
    model.compile(keras.optimizers.SGD(2e-4))  # small steps on all rows: the loss is convex
    start = model.evaluate(x, labels, verbose=0)[0]
    model.fit(x, labels, epochs=3, batch_size=37, verbose=0)
    assert model.evaluate(x, labels, verbose=0)[0] < start
    changed = {
        weight.name
        for weight in model.head.weights
        if not np.array_equal(before[weight.name], weight.numpy())
    }
    assert changed == {"kernel", "bias"}


def test_what_cannot_be_solved_is_refused(preset):
    model = build(preset)
    x, labels = world(model, 2)
    with pytest.raises(ValueError, match="`sample_weight` and `class_weight` must be None.* 2"):
        training.solve_head(model, x, labels, class_weight={0: 2.0}, verbose=0)
    with pytest.raises(ValueError, match="Received: solver='logistic'"):
        training.solve_head(model, x, labels, solver="logistic", verbose=0)
    with pytest.raises(ValueError, match="`num_keys` must be .*num_keys=-1"):
        models.FewShotHead(2, num_keys=-1)
    assert type(model.head).__name__ == "ClassTextHead"
