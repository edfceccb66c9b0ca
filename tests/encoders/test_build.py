"""Names and presets to encoders: defaults, random weights, and errors that help."""

import random
import re
import warnings

import keras
import keras_hub
import numpy as np
import pytest

from tatl_keras import encoders
from tatl_keras.encoders import presets
from tatl_keras.encoders.catalog import ARCHITECTURES
from tests.encoders.cases import RESNET, TRANSFORMER

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "red", "cat", "uni"]


@pytest.fixture(scope="session")
def image_preset(tmp_path_factory):
    """A local preset of a tiny ResNet that wants 48 × 40 pixels."""
    folder = str(tmp_path_factory.mktemp("presets") / "tiny_resnet")
    keras_hub.models.ResNetBackbone(**RESNET).save_to_preset(folder)
    keras_hub.layers.ResNetImageConverter(image_size=(48, 40), scale=0.5).save_to_preset(folder)
    return folder


@pytest.fixture(scope="session")
def vit_preset(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("presets") / "tiny_vit")
    config = ARCHITECTURES["test_vit"].config
    keras_hub.models.ViTBackbone(**config).save_to_preset(folder)
    keras_hub.layers.ViTImageConverter(image_size=(32, 32)).save_to_preset(folder)
    return folder


@pytest.fixture(scope="session")
def text_preset(tmp_path_factory):
    """A local preset of a tiny BERT, stored in float16."""
    folder = str(tmp_path_factory.mktemp("presets") / "tiny_bert")
    backbone = keras_hub.models.BertBackbone(
        **{**TRANSFORMER, "vocabulary_size": len(WORDS)}, dtype="float16"
    )
    backbone.save_to_preset(folder)
    keras_hub.tokenizers.BertTokenizer(WORDS, lowercase=True).save_to_preset(folder)
    return folder


def test_every_name_is_listed_once():
    image, text = encoders.names("image"), encoders.names("text")
    assert image == sorted(
        ["clip_vit_b16", "clip_vit_b32", "clip_vit_l14", "test_clip"]
        + ["efficientnet_lite0", "resnet101", "resnet50", "test_image", "test_vit"]
        + ["vit_b16", "vit_l16", "test_sasa", "test_sasa_full"]
        + ["siglip_vit_b16", "siglip_vit_l16", "test_siglip"]
        + [f"sasa_resnet{n}{end}" for n in (26, 38, 50) for end in ("", "_full")]
    )
    assert text == sorted(
        ["bert_base", "bert_tiny", "embed", "lstm", "minilm", "test_text", "test_clip_text"]
        + ["clip_text_b16", "clip_text_b32", "clip_text_l14"]
        + ["siglip_text_b16", "siglip_text_l16", "test_siglip_text", "transformer"]
    )
    with pytest.raises(ValueError, match="kind='video'"):
        encoders.names("video")


@pytest.mark.parametrize("name", [n for n, a in ARCHITECTURES.items() if a.preset])
def test_default_presets_exist_in_kerashub(name):
    assert ARCHITECTURES[name].preset in keras_hub.models.Backbone.presets


def test_local_image_preset(image_preset):
    encoder, converter = encoders.build_image(image_preset)
    assert (encoder.preset, encoder.frozen, encoder.grid) == (image_preset, True, (6, 5))
    assert converter.image_size == (48, 40)
    np.testing.assert_allclose(converter(np.full((1, 48, 40, 3), 9.0)), 4.5)
    reference = keras_hub.models.Backbone.from_preset(image_preset)
    for ours, theirs in zip(encoder.weights, reference.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_presets_compute_in_the_dtype_asked_for(tmp_path):
    config = dict(ARCHITECTURES["test_image"].config)
    del config["num_features"]
    folder = str(tmp_path / "efficientnet")
    keras_hub.models.EfficientNetBackbone(**config).save_to_preset(folder)
    keras_hub.layers.EfficientNetImageConverter(image_size=(32, 32)).save_to_preset(folder)
    encoder, _ = encoders.build_image(folder, dtype="bfloat16")
    assert {w.dtype for w in encoder.weights} == {"bfloat16"}
    assert keras.config.dtype_policy().name == "float32"


def test_image_size_of_a_map_is_free(image_preset):
    encoder, converter = encoders.build_image(image_preset, image_size=[64, 32])
    assert (converter.image_size, encoder.grid) == ((64, 32), (8, 4))


def test_image_size_of_a_pretrained_vit_is_not(vit_preset):
    encoder, converter = encoders.build_image(vit_preset, image_size=(32, 32))
    assert encoder.grid == (4, 4)
    with pytest.raises(ValueError, match=r"`image_size` must be \(32, 32\).*image_size=\(64, 32\)"):
        encoders.build_image(vit_preset, image_size=(64, 32))
    encoder, converter = encoders.build_image("test_vit", image_size=(64, 32))
    assert (encoder.grid, converter.image_size) == ((8, 4), (64, 32))


@pytest.mark.parametrize("size", [224, (0, 32), (32, 32, 3), (32.0, 32), "32", (True, 32)])
def test_wrong_image_sizes_are_refused(size):
    with pytest.raises(ValueError, match=re.escape(f"image_size={size!r}")):
        encoders.build_image("test_image", image_size=size)


def test_a_converter_that_does_not_resize_needs_a_size(image_preset, monkeypatch):
    monkeypatch.setattr(
        presets, "load_image_converter", lambda preset: keras_hub.layers.ImageConverter()
    )
    with pytest.raises(ValueError, match="does not resize. Received: image_size=None"):
        encoders.build_image(image_preset)
    assert encoders.build_image(image_preset, image_size=(32, 32))[1].image_size == (32, 32)


def test_local_text_preset_stored_in_half_precision(text_preset):
    encoder, tokenizer = encoders.build_text(text_preset, frozen=False)
    assert {w.dtype for w in encoder.weights} == {"float32"}
    assert {layer.compute_dtype for layer in encoder.backbone._flatten_layers()} == {"float32"}
    assert (encoder.preset, encoder.frozen) == (text_preset, False)
    assert [int(i) for i in tokenizer("a RED cat")] == [5, 6, 7]
    half, _ = encoders.build_text(text_preset, dtype="float16")
    assert {w.dtype for w in half.weights} == {"float16"}
    keras.config.set_dtype_policy("mixed_bfloat16")
    mixed, _ = encoders.build_text(text_preset)
    assert {w.dtype for w in mixed.weights} == {"float32"}
    assert mixed.backbone.transformer_layers[0].compute_dtype == "bfloat16"


def test_a_preset_keeps_its_own_tokenizer_but_the_names_strip_accents(text_preset, monkeypatch):
    assert [int(i) for i in encoders.build_text(text_preset)[1]("ünï")] == [1]
    located = presets.locate
    monkeypatch.setattr(
        presets, "locate", lambda p: text_preset if p == "bert_tiny_en_uncased" else located(p)
    )
    for name in ("bert_tiny", "bert_tiny_en_uncased"):
        encoder, tokenizer = encoders.build_text(name)
        assert [int(i) for i in tokenizer("ünï")] == [8]
        assert encoder.preset == "bert_tiny_en_uncased"


def test_lstm_over_a_preset(text_preset):
    encoder, tokenizer = encoders.build_text("lstm", preset=text_preset, units=2, seed=1)
    assert (encoder.vocabulary_size, encoder.embedding_dim) == (len(WORDS), 14)
    assert (encoder.unfrozen_last_n, len(encoder.trainable_weights)) == (1, 6)
    assert tokenizer.vocabulary_size() == len(WORDS)
    free, _ = encoders.build_text("lstm", preset=text_preset, frozen=False)
    assert (free.unfrozen_last_n, len(free.trainable_weights)) == (None, 7)


def test_lstm_needs_a_text_preset(image_preset):
    with pytest.raises(ValueError, match=rf"preset='{image_preset}', which holds a ResNetBackbone"):
        encoders.build_text("lstm", preset=image_preset)


def test_learned_encoders_do_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        lstm, tokenizer = encoders.build_text(
            "lstm", vocabulary_size=31, embedding_dim=5, units=3, seed=1
        )
        embed, _ = encoders.build_text("embed", vocabulary_size=31, embedding_dim=5, seed=1)
        sizes = dict(hidden_dim=6, num_layers=1, num_heads=2, intermediate_dim=11, dropout=0.2)
        reader, nothing = encoders.build_text("transformer", vocabulary_size=31, **sizes, seed=1)
        encoders.build_image("test_image")
        encoders.build_text("test_text")
    assert tokenizer is None and lstm.frozen is False and embed.frozen is False
    assert (lstm.output_dim, embed.output_dim) == (6, 5)
    assert nothing is None and reader.frozen is False
    config = reader.get_config()
    assert config == config | sizes | {"vocabulary_size": 31, "seed": 1}


@pytest.mark.parametrize(
    ("build", "name"),
    [(encoders.build_image, "efficientnet_lite0"), (encoders.build_text, "bert_tiny")],
)
def test_random_weights_are_said_once(build, name):
    with pytest.warns(UserWarning, match=f"'{name}' gets random weights") as record:
        encoder, other = build(name, preset=None)
    assert len([r for r in record if "random weights" in str(r.message)]) == 1
    assert record[0].filename == __file__
    assert encoder.preset is None and encoder.frozen
    if name == "bert_tiny":
        assert other is None
    else:
        pixels = np.array(other(np.array([0, 127.5, 255]).reshape(3, 1, 1, 1).repeat(3, -1)))
        assert (pixels.min(), pixels.max()) == (-1.0, 1.0) and other.image_size == (224, 224)


@pytest.mark.filterwarnings("ignore:.*random weights")
def test_random_weights_follow_the_seed_and_nothing_else():
    state = random.getstate()
    first = encoders.build_text("bert_tiny", preset=None, seed=5, vocabulary_size=50)[0]
    assert random.getstate() == state
    second = encoders.build_text("bert_tiny", preset=None, seed=5, vocabulary_size=50)[0]
    third = encoders.build_text("bert_tiny", preset=None, seed=6, vocabulary_size=50)[0]
    assert first.digest() == second.digest() != third.digest()
    assert first.vocabulary_size == 50


@pytest.mark.parametrize("name", ["test_image", "test_vit"])
def test_test_encoders_are_the_same_every_time(name):
    digest = encoders.build_image(name)[0].digest()
    keras.utils.set_random_seed(99)
    assert encoders.build_image(name)[0].digest() == digest
    assert encoders.build_image(name, seed=1)[0].digest() != digest


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("embed", {"units": 5}), r"`units`.*'embed'.*units=5"),
        (("test_text", {"embedding_dim": 5}), r"`embedding_dim`.*embedding_dim=5"),
        (("minilm", {"vocabulary_size": 5}), r"`vocabulary_size`.*'minilm'.*vocabulary_size=5"),
        (("lstm", {"preset": "minilm", "embedding_dim": 5}), r"over minilm.*embedding_dim=5"),
        (("lstm", {"hidden_dim": 5}), r"`hidden_dim`.*'lstm'.*hidden_dim=5"),
        (("transformer", {"units": 5}), r"`units`.*'transformer'.*units=5.*'num_heads'"),
        (("transformer", {"preset": "minilm"}), r"`preset`.*'transformer'.*preset='minilm'"),
    ],
)
def test_sizes_that_are_not_free_are_refused(arguments, message):
    name, kwargs = arguments
    with pytest.raises(ValueError, match=message):
        encoders.build_text(name, **kwargs)


def test_names_of_the_other_kind_are_refused():
    with pytest.raises(
        ValueError, match="name_or_preset='minilm', which reads texts. .*build_text"
    ):
        encoders.build_image("minilm")
    with pytest.raises(ValueError, match="name_or_preset='vit_b16', which reads images"):
        encoders.build_text("vit_b16")


def test_a_preset_of_another_architecture_is_refused(image_preset, text_preset):
    with pytest.raises(ValueError, match="must hold a ViTBackbone.*which holds a ResNetBackbone"):
        encoders.build_image("vit_b16", preset=image_preset)
    with pytest.raises(ValueError, match="BertBackbone with input"):
        encoders.build_image(text_preset)
    with pytest.raises(ValueError, match="ResNetBackbone with input"):
        encoders.build_text(image_preset)


def test_preset_needs_a_known_name(image_preset):
    with pytest.raises(ValueError, match=r"name_or_preset='resnet5', preset=None.*'resnet50'"):
        encoders.build_image("resnet5", preset=None)
