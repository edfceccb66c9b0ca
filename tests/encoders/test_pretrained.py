"""The two real encoders in the repository: right numbers, right provenance, really frozen."""

import hashlib
import json
import re
import unicodedata

import keras
import keras_hub
import numpy as np
import pytest

from tatl_keras import encoders
from tests.encoders.cases import changed, values

FOLDERS = {"efficientnet_lite0": "efficientnet_lite0", "minilm": "minilm_l6"}


def numpy(features):
    return {name: keras.ops.convert_to_numpy(value) for name, value in features.items()}


def cosines(vectors):
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit @ unit.T


def pictures(rng, count=3):
    """Blurred noise: smooth coloured blobs, 0..255."""
    coarse = rng.uniform(0, 255, (count, 7, 7, 3)).astype("float32")
    return keras.ops.convert_to_numpy(keras.ops.image.resize(coarse, (96, 96), "bicubic"))


def test_image_features_agree_with_the_backbone_and_numpy(lite0, repo, rng):
    encoder, converter = lite0
    raw = pictures(rng)
    images = converter(raw)
    assert images.shape == (3, 224, 224, 3)
    features = numpy(encoder(images))
    folder = str(repo / "saved_models/encoders/efficientnet_lite0")
    backbone = keras_hub.models.EfficientNetBackbone.from_preset(folder)
    output = backbone.predict(images, verbose=0).astype("float64")
    assert output.shape == (3, 7, 7, 1280)
    np.testing.assert_allclose(
        features["tokens"], output.reshape(3, 49, 1280), rtol=1e-3, atol=1e-4
    )
    np.testing.assert_allclose(features["pooled"], output.mean((1, 2)), rtol=1e-3, atol=1e-4)
    assert encoder.grid == (7, 7) and encoder.num_blocks == 16


def test_pictures_are_normalised_as_in_training(lite0):
    image = np.zeros((1, 224, 224, 3), "float32")
    image[..., 0], image[..., 1], image[..., 2] = 0, 127, 255
    np.testing.assert_allclose(np.array(lite0[1](image))[0, 5, 5], [-127 / 128, 0, 1], atol=1e-6)


def test_image_features_follow_the_picture(lite0, rng):
    """A picture is nearer to its mirror and to a darker copy than to another picture."""
    encoder, converter = lite0
    first, other = pictures(rng, 2)
    variants = np.stack([first, first[:, ::-1], 0.8 * first, other])
    near = cosines(numpy(encoder(converter(variants)))["pooled"])[0]
    assert min(near[1], near[2]) > near[3] + 0.02


def test_half_precision_costs_little(lite0, shared, rng):
    full = keras_hub.models.Backbone.from_preset(
        str(shared / "presets/efficientnet_lite0_imagenet")
    )
    images = lite0[1](pictures(rng, 4))
    ours = numpy(lite0[0](images))["pooled"].astype("float64")
    theirs = full.predict(images, verbose=0).astype("float64").mean((1, 2))
    cosine = (ours * theirs).sum(1)
    cosine /= np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    assert cosine.min() >= 0.99998


def test_sentence_similarities_are_the_published_ones(minilm, tokenize):
    """Sentence Transformers' documentation prints these for all-MiniLM-L6-v2."""
    texts = [
        "The weather is lovely today.",
        "It's so sunny outside!",
        "He drove to the stadium.",
    ]
    similar = cosines(numpy(minilm[0](tokenize(texts)))["pooled"])
    published = [[1.0, 0.6660, 0.1046], [0.6660, 1.0, 0.1411], [0.1046, 0.1411, 1.0]]
    np.testing.assert_allclose(similar, published, atol=2e-3)


def test_text_features_agree_with_the_backbone_and_numpy(minilm, tokenize, repo):
    inputs = tokenize(["a photo of a red panda", "a cat", ""])
    inputs["padding_mask"][2] = 0
    features = numpy(minilm[0](inputs))
    folder = str(repo / "saved_models/encoders/minilm_l6")
    backbone = keras_hub.models.BertBackbone.from_preset(folder, dtype="float32")
    states = backbone.predict(
        {**inputs, "segment_ids": np.zeros_like(inputs["token_ids"])}, verbose=0
    )["sequence_output"].astype("float64")
    mask = inputs["padding_mask"][..., None]
    expected = (states * mask).sum(1) / np.maximum(mask.sum(1), 1)
    np.testing.assert_allclose(features["pooled"], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(features["pooled"][2], np.zeros(384))
    assert np.isfinite(features["tokens"]).all()


def test_words_lose_case_and_accents(minilm):
    tokenizer = minilm[1]
    plain = [int(i) for i in tokenizer("creme brulee in zurich")]
    assert [int(i) for i in tokenizer("Crème Brûlée in ZÜRICH")] == plain
    decomposed = unicodedata.normalize("NFD", "Crème Brûlée in ZÜRICH")
    assert [int(i) for i in tokenizer(decomposed)] == plain
    assert 100 not in plain  # [UNK]


def test_half_precision_files_compute_in_float32(lite0, minilm):
    for encoder in (lite0[0], minilm[0]):
        assert {w.dtype for w in encoder.weights} == {"float32"}
        inner = encoder.backbone._flatten_layers()
        assert {layer.compute_dtype for layer in inner} == {"float32"}


@pytest.mark.parametrize("name", FOLDERS)
def test_fit_on_the_real_encoder_changes_no_bit(name, lite0, minilm, tokenize, rng):
    if name == "minilm":
        encoder, inputs = minilm[0], tokenize(["a cat", "a dog", "a car"])
        symbolic = {key: keras.Input((16,), dtype="int32", name=key) for key in inputs}
    else:
        encoder, inputs = lite0[0], lite0[1](pictures(rng))
        symbolic = keras.Input((224, 224, 3))
    before, digest = values(encoder), encoder.digest()
    model = keras.Model(symbolic, keras.layers.Dense(2)(encoder(symbolic)["pooled"]))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(inputs, np.array([0, 1, 1]), epochs=2, verbose=0)
    assert changed(before, encoder) == set()
    assert encoder.digest() == digest
    assert len(model.trainable_weights) == 2


def test_real_image_encoder_comes_back_from_a_keras_file(lite0, tmp_path, rng):
    encoder, converter = lite0
    inputs = keras.Input((224, 224, 3))
    model = keras.Model(inputs, encoder(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    images = converter(pictures(rng))
    for key, value in numpy(model(images)).items():
        np.testing.assert_array_equal(numpy(loaded(images))[key], value)
    again = loaded.get_layer(encoder.name)
    assert again.digest() == encoder.digest()
    assert (again.preset, again.frozen) == ("efficientnet_lite0", True)


@pytest.mark.parametrize("folder", FOLDERS.values())
def test_provenance_is_written_down(folder, repo):
    place = repo / "saved_models/encoders" / folder
    readme = (place / "README.md").read_text(encoding="utf-8")
    weights = (place / "model.weights.h5").read_bytes()
    assert hashlib.sha256(weights).hexdigest() in readme
    assert f"{len(weights):,} bytes" in readme
    assert re.search(r"^## Provenance", readme, re.M) and re.search(r"^## Licence", readme, re.M)
    assert "Apache License 2.0" in readme
    config = json.loads((place / "config.json").read_text(encoding="utf-8"))
    assert f"{json.loads((place / 'metadata.json').read_text())['parameter_count']:,}" in readme
    assert config["registered_name"].startswith("keras_hub>")


def test_files_are_small_enough_for_a_repository(repo):
    for folder, megabytes in (("efficientnet_lite0", 8), ("minilm_l6", 46)):
        files = (repo / "saved_models/encoders" / folder).rglob("*")
        assert sum(file.stat().st_size for file in files) <= megabytes * 1e6


def test_lstm_over_real_token_embeddings(minilm):
    encoder, tokenizer = encoders.build_text("lstm", preset="minilm", units=3, seed=1)
    np.testing.assert_array_equal(
        encoder.token_embedding.embeddings.numpy(),
        minilm[0].backbone.token_embedding.embeddings.numpy(),
    )
    assert (encoder.preset, encoder.frozen, len(encoder.trainable_weights)) == ("minilm", False, 6)
    assert [int(i) for i in tokenizer("Ünï")] == [int(i) for i in minilm[1]("uni")]
