"""A no-harm model from `fit` to the exported file."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import data, fusion, training, zoo

CLASSES = 3
LABELS = np.resize([0, 1, 2, 1], 24)


@pytest.fixture(scope="module")
def raw():
    x = [row for row, _ in data.synthetic.examples(CLASSES, len(LABELS), seed=1)]
    x = {name: [row[name].numpy() for row in x] for name in ("image", "text")}
    return x | {"text": [text or b"words" for text in x["text"]]}


def _build(**kwargs):
    name = "test_efficientnet_bert_no_harm"
    return zoo.build(name, CLASSES, seed=0, sequence_length=11, **kwargs)


@pytest.fixture(scope="module")
def solved(raw):
    """A solved model, and the features of the examples."""
    model = _build()
    training.solve_head(model, raw, LABELS, solver="exact", verbose=0)
    examples = tf.data.Dataset.from_tensor_slices(raw)
    return model, training.encode(examples, model, verbose=0).arrays()[0]


def test_fit_trains_every_expert(raw):
    model = _build()
    model.fit(raw, LABELS, epochs=2, feature_cache="memory", verbose=0)
    assert len(model.head.trainable_weights) == 7
    assert all(weight.numpy().any() for weight in model.head.trainable_weights)
    assert model.head.corruption == pytest.approx(0.1)


def test_fit_goes_on_from_a_solution_and_modality_dropout_is_harmless(solved):
    model, x = solved
    again = _build(modality_dropout=0.5)
    again.set_weights(model.get_weights())
    before = again.evaluate(x, LABELS, verbose=0)[0]
    again.fit(x, LABELS, epochs=2, verbose=0)
    assert again.evaluate(x, LABELS, verbose=0)[0] < before + 0.2


def test_it_is_saved_exported_and_kept_as_a_preset(raw, solved, tmp_path):
    model, x = solved
    model.head.corruption = 0.3
    rows = {name: [value[0]] * 4 for name, value in raw.items()}
    rows["text"][1] = rows["image"][2] = rows["text"][3] = rows["image"][3] = b""
    expected = model.predict(rows, verbose=0)
    assert len(np.unique(expected.round(4), axis=0)) == 4
    model.save(tmp_path / "model.keras")
    model.save_to_preset(tmp_path / "preset")
    for again in (
        keras.saving.load_model(tmp_path / "model.keras"),
        zoo.from_preset(tmp_path / "preset"),
    ):
        assert isinstance(again.head, fusion.NoHarmHead)
        assert again.head.corruption == pytest.approx(0.3)
        np.testing.assert_allclose(again(x), model(x), atol=1e-6)
    model.export(tmp_path / "1")
    serve = tf.saved_model.load(str(tmp_path / "1")).signatures["serving_default"]
    answer = serve(image_bytes=tf.constant(rows["image"]), text=tf.constant(rows["text"]))
    np.testing.assert_allclose(answer["logits"], expected, atol=1e-5)
    assert answer["evidence"].numpy().tolist() == [b"image+text", b"image", b"text", b"none"]


def test_mixed_precision_answers_in_float32(solved):
    model, x = solved
    expected = model(x)
    keras.config.set_dtype_policy("mixed_bfloat16")
    half = _build()
    half.set_weights(model.get_weights())
    found = half(x)
    assert found.dtype == "float32" and half.fusion.compute_dtype == "bfloat16"
    assert half.fusion.fusion.compute_dtype == "bfloat16" and half.head.compute_dtype == "float32"
    np.testing.assert_allclose(np.exp(found), np.exp(expected), atol=0.05)
    assert np.isfinite(half.train_on_batch(x, LABELS)).all()


def test_an_inner_fusion_with_weights_learns(solved):
    _, x = solved
    inner = fusion.NoHarmFusion("gated", seed=1)
    model = zoo.compose(CLASSES, image="test_image", text="test_text", fusion=inner, seed=0)
    before = [w.numpy() for w in inner.fusion.trainable_weights]
    model.fit(x, LABELS, epochs=2, verbose=0)
    for weight, old in zip(inner.fusion.trainable_weights, before, strict=True):
        assert (weight.numpy() != old).any(), weight.path
    missing = {name: np.zeros_like(x[name]) for name in ("has_image", "has_text")}
    assert np.isfinite(model(x | {"has_text": missing["has_text"]})).all()
    frequencies = (2 * np.bincount(LABELS) + 1) / (2 * len(LABELS) + CLASSES)
    nothing = np.exp(model(x | missing))
    np.testing.assert_allclose(nothing, np.tile(frequencies, (24, 1)), rtol=1e-5)
