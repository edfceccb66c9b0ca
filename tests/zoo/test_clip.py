"""Models of class texts on CLIP and SigLIP: zero shots, against KerasHub's own logits."""

import keras
import keras_hub
import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import data, zoo
from tests.encoders.pairs import LENGTH, save_clip, save_siglip

NAMES = ["red fly", "butterfly", "tree"]
SAVE = {"clip": save_clip, "siglip": save_siglip}


@pytest.fixture(scope="module", params=sorted(SAVE))
def case(request, tmp_path_factory):
    """(kind, folder of a tiny preset, pictures, pictures as the preset's converter gives them)."""
    folder = SAVE[request.param](tmp_path_factory.mktemp(request.param))
    pictures = np.random.default_rng(0).integers(0, 256, (4, 24, 24, 3)).astype("uint8")
    converted = np.asarray(keras_hub.layers.ImageConverter.from_preset(folder)(pictures))
    return request.param, folder, pictures, converted


def build(case, **options):
    kind, folder, *_ = case
    options = {"class_names": NAMES, "sequence_length": LENGTH} | options
    presets = {"image_preset": folder, "text_preset": folder}
    return zoo.build(f"{kind}_b16_class_texts", len(NAMES), **presets, **options)


def answers(model, pictures):
    """Logits, without tracing a graph."""
    return np.asarray(
        model(model.preprocessor.tensors({"image": tf.constant(pictures)}, ["image"]))
    )


def ids(model, texts):
    tensors = model.preprocessor.text_tensors(tf.constant(texts))
    return np.asarray(tensors["token_ids"])


def test_zero_shots_are_those_of_kerashub(case):
    kind, folder, pictures, converted = case
    texts = ["a red fly", "butterfly", "a tree at a fly"]
    model = build(case, class_texts=dict(zip(NAMES, texts, strict=True)))
    whole = keras_hub.models.Backbone.from_preset(folder)
    inputs = {"images": converted, "token_ids": ids(model, texts)}
    expected = np.asarray(whole(inputs)["vision_logits"])
    bias = float(whole.siglip_head.logit_bias) if kind == "siglip" else 0.0
    found = answers(model, pictures)
    assert np.ptp(found, axis=1).min() > 0.01
    np.testing.assert_allclose(found + bias, expected, rtol=1e-4, atol=1e-4)


def test_prompts_are_averaged(case):
    _, folder, pictures, converted = case
    prompts = data.prompt_ensemble(NAMES, ["a {}", "{} ferry", "a blue {} fled"])  # known letters
    model = build(case, class_texts=prompts)
    whole = keras_hub.models.Backbone.from_preset(folder)
    x = np.asarray(whole.get_vision_embeddings(converted))
    found = answers(model, pictures) / model.head.scale.numpy()
    for label, texts in enumerate(prompts.values()):
        units = np.asarray(whole.get_text_embeddings(ids(model, texts)))
        mean = (units / np.linalg.norm(units, axis=1, keepdims=True)).mean(axis=0)
        cosines = x @ mean / np.linalg.norm(x, axis=1) / np.linalg.norm(mean)
        np.testing.assert_allclose(found[:, label], cosines, rtol=1e-4, atol=1e-5)


def test_saved_and_exported_models_answer_as_before(case, tmp_path):
    *_, pictures, _ = case
    model = build(case)
    assert model.class_texts == dict(enumerate(data.prompt_ensemble(NAMES).values()))
    expected = answers(model, pictures)
    model.save_to_preset(tmp_path / "preset")
    loaded = zoo.from_preset(tmp_path / "preset")
    np.testing.assert_allclose(answers(loaded, pictures), expected, rtol=1e-5, atol=1e-5)
    loaded.add_classes({"letter": ["a letter", "red letter"]})
    again = answers(loaded, pictures)
    assert again.shape == (4, 4) and loaded.class_names == [*NAMES, "letter"]
    np.testing.assert_allclose(again[:, :3], expected, rtol=1e-5, atol=1e-5)
    model.export(str(tmp_path / "1"))  # pictures alone are read: no tokenizer is in the graph
    serve = tf.saved_model.load(str(tmp_path / "1")).signatures["serving_default"]
    encoded = [tf.io.encode_png(one).numpy() for one in pictures]
    served = serve(image_bytes=tf.constant(encoded), text=tf.constant([""] * 4))
    np.testing.assert_allclose(served["logits"], expected, rtol=1e-4, atol=1e-4)
    assert set(np.asarray(served["evidence"])) == {b"image"}


@pytest.mark.parametrize("name", ["test_clip_class_texts", "test_siglip_class_texts"])
def test_random_towers_read_letters(name):
    model = zoo.build(name, 3, class_names=NAMES, seed=1)
    pictures = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype("uint8")
    assert np.ptp(answers(model, pictures), axis=1).min() > 1e-3  # texts are told apart
    later = zoo.build(name, 3, seed=1)
    assert later.class_texts == "prompts" and not answers(later, pictures).any()
    later.class_names = NAMES
    np.testing.assert_allclose(answers(later, pictures), answers(model, pictures), atol=1e-4)


def test_training_goes_on_from_zero_shots():
    model = zoo.build("test_siglip_class_texts", 3, class_names=NAMES, seed=1)
    before = model.head.embeddings.numpy()
    x = {"image": np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3)).astype("uint8")}
    start = model.evaluate(x, [0, 1, 2] * 2, verbose=0)[0]
    model.compile(keras.optimizers.SGD(0.1))
    model.fit(x, [0, 1, 2] * 2, epochs=5, verbose=0)
    assert model.evaluate(x, [0, 1, 2] * 2, verbose=0)[0] < start
    np.testing.assert_array_equal(model.head.embeddings, before)
