"""CLIP's towers against KerasHub's own model, from a tiny local preset."""

import functools

import keras_hub
import numpy as np
import pytest

from tatl_keras import data, encoders, training, zoo
from tatl_keras.features.keys import describe, identify
from tatl_keras.models.preset import from_preset
from tatl_keras.training.packing import pack, unpack
from tests.encoders.cases import eagerly
from tests.encoders.pairs import clip_tokenizer, save_clip

TEXTS = ["a Red fly", "", "BUTTERFLY a a a a a a a a"]


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    return save_clip(tmp_path_factory.mktemp("clip"))


@pytest.mark.parametrize("pad_with_end_token", [False, True])
def test_texts_become_the_ids_of_kerashub(pad_with_end_token):
    words = clip_tokenizer(pad_with_end_token=pad_with_end_token)
    preprocessor = data.Preprocessor(tokenizer=words, sequence_length=9)
    found = eagerly(preprocessor, text=TEXTS)
    theirs = keras_hub.models.CLIPPreprocessor(words, sequence_length=9)
    expected = theirs({"prompts": TEXTS, "images": None})
    np.testing.assert_array_equal(found["token_ids"], expected["token_ids"])
    present = np.array([[1], [0], [1]])
    np.testing.assert_array_equal(found["padding_mask"], expected["padding_mask"] * present)
    assert len(set(np.asarray(found["token_ids"])[0])) > 4  # not all unknown
    if pad_with_end_token:  # the same in a graph, as training and predicting run it
        for name, value in preprocessor({"text": TEXTS}).items():
            np.testing.assert_array_equal(value, found[name])


def test_towers_give_kerashubs_embeddings(preset, rng):
    whole = keras_hub.models.Backbone.from_preset(preset)
    image_encoder, converter = encoders.build_image(preset)
    text_encoder, words = encoders.build_text(preset)
    assert (image_encoder.grid, converter.image_size) == ((3, 3), (24, 24))
    assert (image_encoder.num_blocks, text_encoder.num_blocks) == (2, 1)
    assert text_encoder.pooling == "end" and image_encoder.frozen and text_encoder.frozen
    pictures = rng.normal(size=(3, 24, 24, 3)).astype("float32")
    found = image_encoder(pictures)
    expected = whole.get_vision_embeddings(pictures)
    np.testing.assert_allclose(found["pooled"], expected, rtol=1e-5, atol=1e-6)
    patches = whole.vision_projection(whole.vision_encoder({"images": pictures}))[:, 1:]
    np.testing.assert_allclose(found["tokens"], patches, rtol=1e-5, atol=1e-6)
    inputs = eagerly(data.Preprocessor(tokenizer=words, sequence_length=9), text=TEXTS)
    found = np.asarray(text_encoder(inputs)["pooled"])
    expected = np.asarray(whole.get_text_embeddings(inputs["token_ids"]))
    np.testing.assert_allclose(found[[0, 2]], expected[[0, 2]], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found[1], np.zeros(7))
    assert text_encoder.backbone.logit_scale == pytest.approx(1 / 0.07, rel=1e-6)
    assert encoders.build_image(preset)[0].digest() == image_encoder.digest()


def test_the_last_block_learns_with_what_follows(preset):
    encoder, _ = encoders.build_image(preset)
    encoder.unfreeze(last_n=1)
    layers = {weight.path.split("/")[0] for weight in encoder.trainable_weights}
    assert layers == {"encoder_block_1", "layer_norm", "vision_projection"}


def test_a_name_with_a_preset(preset):
    encoder, _ = encoders.build_text("clip_text_b16", preset=preset)
    assert encoder.digest() == encoders.build_text(preset)[0].digest()
    with pytest.raises(ValueError, match="must hold a BertBackbone.*holds a CLIPTextTower"):
        encoders.build_text("bert_base", preset=preset)


def test_patches_of_a_random_tower_have_places():
    encoder, _ = encoders.build_image("test_clip")
    picture = np.zeros((1, 32, 32, 3), "float32")
    tokens = np.asarray(encoder(picture)["tokens"])[0]
    assert np.abs(tokens - tokens[0]).max(axis=1)[1:].min() > 1e-4


def test_features_know_their_merges_and_travel_packed(preset):
    encoder, words = encoders.build_text(preset)
    preprocessor = data.Preprocessor(tokenizer=words, sequence_length=9)
    again, packed, _ = unpack(pack(encoder, preprocessor))
    assert again.digest() == encoder.digest()
    expected, found = (eagerly(one, text=TEXTS) for one in (preprocessor, packed))
    np.testing.assert_array_equal(found["token_ids"], expected["token_ids"])
    names = {identify(describe("text", encoder, one)) for one in (preprocessor, packed)}
    assert len(names) == 1
    words.set_vocabulary_and_merges(words.vocabulary, words.merges[:-1])
    assert identify(describe("text", encoder, preprocessor)) not in names


def test_from_texts_to_classes_without_a_picture(preset, tmp_path):
    model = zoo.compose(2, image=preset, text=preset, fusion="concat", sequence_length=9)
    prepare = functools.partial(eagerly, model.preprocessor)
    texts = model.text_encoder(prepare(text=["red fly", "a butterfly", "red"]))["pooled"]
    classes = training.class_embeddings(texts, [0, 1, 0])
    pictures = np.random.default_rng(0).uniform(0, 255, (4, 24, 24, 3)).astype("uint8")
    inputs = prepare(image=pictures, text=["red", "", "fly", "a"])
    features = model.image_encoder(inputs["images"])["pooled"]
    logits = training.zero_shot_logits(features, classes)
    assert logits.shape == (4, 2) and np.abs(logits).max() <= 100 + 1e-9
    with pytest.raises(ValueError, match="tokenizer=CLIPTokenizer.*grows"):
        model.export(str(tmp_path / "1"))
    model.head.set_weights([np.ones((14, 2)) * [1, -2], np.array([0.5, 1.0])])
    model.save_to_preset(tmp_path / "preset")
    loaded = from_preset(tmp_path / "preset")
    expected = model(inputs)
    assert np.ptp(expected, axis=0).min() > 1e-3
    np.testing.assert_allclose(loaded(inputs), expected, atol=1e-6)
    again = eagerly(loaded.preprocessor, text=["red", "", "fly", "a"])
    np.testing.assert_array_equal(again["token_ids"], inputs["token_ids"])
