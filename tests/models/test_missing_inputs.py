"""One model for rows with both, one and none of image and text."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import data, training, zoo
from tatl_keras.models.evidence import EVIDENCE, evidence
from tatl_keras.models.prior import ClassPrior

CLASSES = 3
LABELS = [0, 0, 0, 0, 1, 2, 2, 0]
FREQUENCIES = np.array([6, 2, 3]) / 11  # (5 + 1, 1 + 1, 2 + 1) of 8 + 3


@pytest.fixture(scope="module")
def raw():
    x = [row for row, _ in data.synthetic.examples(CLASSES, len(LABELS), seed=1)]
    return {name: [row[name].numpy() for row in x] for name in ("image", "text")}


def _build(name="test_efficientnet_bert_concat", **kwargs):
    return zoo.build(name, num_classes=CLASSES, seed=0, sequence_length=11, **kwargs)


def _softmax(x):
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


@pytest.mark.parametrize("cache", [None, "memory"])
def test_a_row_without_anything_gets_the_frequencies_of_the_classes(raw, cache):
    model = _build("test_efficientnet_bert_gated")
    model.fit(raw, LABELS, epochs=1, feature_cache=cache, verbose=0)
    nothing = {"image": [b"", raw["image"][0]], "text": ["", ""]}
    probabilities = _softmax(model.predict(nothing, verbose=0).astype("float64"))
    np.testing.assert_allclose(probabilities[0], FREQUENCIES, rtol=1e-6)
    assert np.abs(probabilities[1] - FREQUENCIES).max() > 1e-3


def test_solving_a_head_counts_the_classes_too(raw):
    model = _build()
    training.solve_head(model, raw, LABELS, verbose=0)
    probabilities = _softmax(model.predict({"image": [b""], "text": [""]}, verbose=0))
    np.testing.assert_allclose(probabilities[0], FREQUENCIES, rtol=1e-6)


def test_the_prior_of_a_control_looks_at_its_own_modality(raw):
    model = _build("test_efficientnet_image_only")
    training.solve_head(model, raw, LABELS, verbose=0)
    row = {"image": [b""], "text": ["a text that nobody reads"]}
    np.testing.assert_allclose(_softmax(model.predict(row, verbose=0))[0], FREQUENCIES, rtol=1e-6)


def test_the_prior_is_saved(raw, tmp_path):
    model = _build()
    training.solve_head(model, raw, LABELS, verbose=0)
    model.save(tmp_path / "model.keras")
    model.save_to_preset(tmp_path / "preset")
    for again in (
        keras.saving.load_model(tmp_path / "model.keras"),
        zoo.from_preset(tmp_path / "preset"),
    ):
        np.testing.assert_array_equal(again.prior.counts.numpy(), [5, 1, 2])


@pytest.mark.parametrize(
    "labels",
    [np.array([2, 0]), np.array([[2], [0]]), np.array([[0.0, 0, 1], [1, 0, 0]], "float32")],
)
def test_counts_labels_of_every_form(labels):
    prior = ClassPrior(CLASSES)
    prior.count(labels)
    prior.count(labels, np.array([0.5, 2.0]))
    np.testing.assert_array_equal(prior.counts.numpy(), [3.0, 0.0, 1.5])


def test_a_row_without_anything_gives_no_gradient():
    prior = ClassPrior(2)
    logits = tf.Variable([[1.0, 2.0], [np.inf, 4.0]])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(prior(logits, tf.constant([1, 0])) * [[3.0, 5.0], [7.0, 11.0]])
    np.testing.assert_array_equal(tape.gradient(loss, logits), [[3.0, 5.0], [0.0, 0.0]])


def test_an_export_says_what_its_answers_rest_on(raw, tmp_path):
    model = _build()
    training.solve_head(model, raw, LABELS, verbose=0)
    model.export(tmp_path / "1")
    serve = tf.saved_model.load(str(tmp_path / "1")).signatures["serving_default"]
    image = raw["image"][0]
    answer = serve(
        image_bytes=tf.constant([image, image, b"", b""]), text=tf.constant(["a", "", "a", ""])
    )
    assert [e.decode() for e in answer["evidence"].numpy()] == [
        "image+text", "image", "text", "none",
    ]  # fmt: skip
    assert answer["valid"].numpy().tolist() == [True, True, True, False]
    np.testing.assert_allclose(tf.nn.softmax(answer["logits"][3]), FREQUENCIES, rtol=1e-6)
    np.testing.assert_allclose(tf.reduce_sum(answer["probabilities"], 1), [1, 1, 1, 0], rtol=1e-6)


def test_a_modality_that_is_not_read_is_no_evidence():
    found = evidence({"has_text": np.array([0, 1])})
    assert [EVIDENCE[place] for place in found] == ["none", "text"]


def test_modality_dropout_reaches_training_alone(raw):
    keras.utils.set_random_seed(0)
    model = _build(modality_dropout=0.9)
    seen = []
    inner = model.fusion.call

    def call(features, training=None):
        seen.append((training, features["has_image"], features["has_text"]))
        return inner(features, training=training)

    model.fusion.call = call
    model.compile(run_eagerly=True)
    model.fit(raw, LABELS, epochs=1, verbose=0)
    model.predict(raw, verbose=0)
    (_, image, text), (training, *untouched) = seen[0], seen[-1]
    assert (np.asarray(image) * np.asarray(text)).mean() < 0.5
    assert not training
    whole = [[bool(x) for x in raw[name]] for name in ("image", "text")]
    np.testing.assert_array_equal(untouched, whole)


def test_modality_dropout_is_saved(raw, tmp_path):
    model = _build(modality_dropout=0.25)
    model.fit(raw, LABELS, epochs=1, verbose=0)
    model.save(tmp_path / "model.keras")
    assert keras.saving.load_model(tmp_path / "model.keras").modality_dropout.rate == 0.25
