"""SigLIP's towers against KerasHub's own model, from a tiny local preset."""

import keras
import keras_hub
import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import data, encoders, zoo
from tatl_keras.encoders.catalog import ARCHITECTURES
from tatl_keras.features.keys import describe, identify
from tatl_keras.models.preset import from_preset
from tatl_keras.training.packing import pack, unpack
from tests.encoders.cases import eagerly
from tests.encoders.pairs import LENGTH, save_siglip, siglip_vocabulary

TEXTS = ["a Red, fly!", "", "BUTTERFLY  a-a a a a a", "\t#red\u00c4 (a)."]


@pytest.fixture(scope="module")
def proto():
    return siglip_vocabulary()


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    return save_siglip(tmp_path_factory.mktemp("siglip"))


def test_texts_become_the_ids_of_kerashub(proto):
    words = keras_hub.models.SigLIPTokenizer(proto)
    theirs = keras_hub.models.SigLIPPreprocessor(words, sequence_length=8)
    expected = theirs({"prompts": TEXTS, "images": None})
    preprocessor = data.Preprocessor(tokenizer=words, sequence_length=8)
    for seed in (1, 2):  # a seed destroys KerasHub's own tokenizer (tensorflow/text#570)
        found = preprocessor({"text": TEXTS})
        np.testing.assert_array_equal(found["token_ids"], expected["token_ids"])
        present = np.array([[1], [0], [1], [1]])
        np.testing.assert_array_equal(found["padding_mask"], expected["padding_mask"] * present)
        keras.utils.set_random_seed(seed)
    assert len(set(np.asarray(found["token_ids"])[0])) > 4  # not all unknown


def test_image_tower_gives_kerashubs_embeddings(preset, rng):
    whole = keras_hub.models.Backbone.from_preset(preset)
    encoder, converter = encoders.build_image(preset)
    assert (encoder.grid, encoder.num_prefix_tokens, encoder.num_blocks) == ((3, 3), 1, 2)
    assert converter.image_size == (24, 24) and encoder.frozen
    pictures = rng.normal(size=(3, 24, 24, 3)).astype("float32")
    found = encoder(pictures)
    expected = whole.get_vision_embeddings(pictures)
    np.testing.assert_allclose(found["pooled"], expected, rtol=1e-5, atol=1e-5)
    vision = whole.vision_encoder
    x = vision.embedding(pictures)
    for layer in vision.encoder_layers:
        x = layer(x)
    x = vision.post_layer_norm(x)
    np.testing.assert_allclose(found["tokens"], x, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(vision.head(found["tokens"]), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("length", [LENGTH, 7])
def test_text_tower_gives_kerashubs_embeddings(preset, length):
    whole = keras_hub.models.Backbone.from_preset(preset)
    encoder, words = encoders.build_text(preset)
    assert (encoder.pooling, encoder.num_blocks, encoder.output_dim) == ("own", 2, 10)
    inputs = eagerly(data.Preprocessor(tokenizer=words, sequence_length=length), text=TEXTS)
    inputs["token_ids"] += (1 - inputs["padding_mask"]) * 5  # what is masked does not count
    filled = np.ones((4, LENGTH), "int32")
    filled[:, :length] = np.where(inputs["padding_mask"], inputs["token_ids"], 1)
    found = encoder(inputs)
    expected = np.asarray(whole.get_text_embeddings(filled))
    real = [0, 2, 3]
    np.testing.assert_allclose(
        np.asarray(found["pooled"])[real], expected[real], rtol=1e-5, atol=1e-5
    )
    np.testing.assert_array_equal(found["pooled"][1], np.zeros(10))
    text = whole.text_encoder
    x = text.embedding(filled)
    for layer in text.encoder_layers:
        x = layer(x)
    x = text.head(text.post_layer_norm(x))[:, :length]
    mask = np.asarray(inputs["padding_mask"])[..., None]
    np.testing.assert_allclose(found["tokens"], x * mask, rtol=1e-5, atol=1e-5)


def test_the_learned_scale_and_bias_are_kept(preset, rng):
    whole = keras_hub.models.Backbone.from_preset(preset)
    image, (text, _) = encoders.build_image(preset)[0], encoders.build_text(preset)
    pictures = rng.normal(size=(2, 24, 24, 3)).astype("float32")
    ids = rng.integers(2, 24, (3, LENGTH)).astype("int32")
    logits = whole({"images": pictures, "token_ids": ids})["vision_logits"]
    x, e = image(pictures)["pooled"], text({"token_ids": ids, "padding_mask": 0 * ids + 1})
    units = [np.asarray(one) / np.linalg.norm(one, axis=1)[:, None] for one in (x, e["pooled"])]
    tower = encoders.TransformerTextEncoder.from_config(text.get_config()).backbone
    found = tower.logit_scale * units[0] @ units[1].T + tower.logit_bias
    np.testing.assert_allclose(found, logits, rtol=1e-4, atol=1e-4)
    assert tower.logit_bias == pytest.approx(float(whole.siglip_head.logit_bias))


def test_the_last_block_learns_with_what_follows(preset):
    encoder, _ = encoders.build_image(preset)
    encoder.unfreeze(last_n=1)
    layers = {weight.path.split("/")[0] for weight in encoder.trainable_weights}
    assert layers == {"encoder_block_1", "post_layer_norm", "head"}


def test_a_name_with_a_preset(preset):
    encoder, _ = encoders.build_text("siglip_text_b16", preset=preset)
    assert encoder.digest() == encoders.build_text(preset)[0].digest()
    with pytest.raises(ValueError, match="must hold a CLIPImageTower.*holds a SigLIPImageTower"):
        encoders.build_image("clip_vit_b16", preset=preset)
    with pytest.raises(ValueError, match="`pooling` must be .*pooling='own'"):
        encoders.build_text("test_text", pooling="own")


def test_features_know_their_vocabulary_and_travel_packed(preset):
    encoder, words = encoders.build_text(preset)
    preprocessor = data.Preprocessor(tokenizer=words, sequence_length=LENGTH)
    again, packed, _ = unpack(pack(encoder, preprocessor))
    assert again.digest() == encoder.digest()
    expected, found = (eagerly(one, text=TEXTS) for one in (preprocessor, packed))
    np.testing.assert_array_equal(found["token_ids"], expected["token_ids"])
    names = {identify(describe("text", encoder, one)) for one in (preprocessor, packed)}
    assert len(names) == 1
    words.set_proto(siglip_vocabulary(["a red fly", "a butterfly", "a red letter"]))
    assert identify(describe("text", encoder, preprocessor)) not in names


def test_exported_and_saved_models_answer_as_before(preset, tmp_path):
    model = zoo.compose(2, image=preset, text=preset, fusion="concat", sequence_length=LENGTH)
    kernel = np.random.default_rng(1).normal(size=(20, 2))
    model.head.set_weights([kernel, np.array([0.1, 0.2])])
    pixels = np.random.default_rng(0).integers(0, 256, (2, 24, 24, 3)).astype("uint8")
    pictures = [tf.io.encode_png(one).numpy() for one in pixels] + [b"", b""]
    texts = [TEXTS[0], "", TEXTS[2], ""]
    expected = model(eagerly(model.preprocessor, image=pictures, text=texts))
    model.export(str(tmp_path / "1"))
    keras.utils.set_random_seed(3)
    serve = tf.saved_model.load(str(tmp_path / "1")).signatures["serving_default"]
    served = serve(image_bytes=tf.constant(pictures), text=tf.constant(texts))
    np.testing.assert_allclose(served["logits"], expected, rtol=1e-5, atol=1e-5)
    model.save_to_preset(tmp_path / "preset")
    loaded = from_preset(tmp_path / "preset")
    again = loaded(eagerly(loaded.preprocessor, image=pictures, text=texts))
    np.testing.assert_allclose(again, expected, rtol=1e-5, atol=1e-5)


def block(dim, width):
    """Parameters of a transformer block: attention, two normalisations, an MLP."""
    return 4 * (dim * dim + dim) + 4 * dim + 2 * dim * width + width + dim


@pytest.mark.parametrize("name", ["b16", "l16"])
def test_sizes_are_those_of_the_presets(name):
    image, text = (ARCHITECTURES[f"siglip_{kind}_{name}"] for kind in ("vit", "text"))
    a, b = image.config, text.config
    dim, width, patches = a["hidden_dim"], a["intermediate_dim"], (image.image_size[0] // 16) ** 2
    vision = 16 * 16 * 3 * dim + dim + patches * (dim + 1) + 2 * dim
    vision += a["num_layers"] * block(dim, width) + dim + block(dim, width) - 2 * dim
    dim, width = b["hidden_dim"], b["intermediate_dim"]
    words = b["vocabulary_size"] * dim + 64 * (dim + 1) + 2 * dim + (dim + 1) * b["projection_dim"]
    words += b["num_layers"] * block(dim, width)
    expected = keras_hub.models.SigLIPBackbone.presets[image.preset]["metadata"]["params"]
    assert vision + words + 2 == expected and text.preset == image.preset
