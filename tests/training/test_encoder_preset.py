"""An image encoder as a preset: what is written is what is loaded, frozen; nothing else goes."""

import os

import keras
import keras_hub
import numpy as np
import pytest

from tatl_keras import encoders, training, zoo

OTHER = "test_efficientnet_image_only"
IMAGES = np.random.default_rng(3).uniform(-1, 1, (3, 32, 32, 3)).astype("float32")


@pytest.fixture(scope="module")
def captioner():
    """A captioner whose encoder learns, moved off its first weights and statistics."""
    model = zoo.build("test_efficientnet_transformer_caption", frozen=False, seed=1, compile=False)
    rng = np.random.default_rng(4)
    for weight in model.image_encoder.weights:
        weight.assign(weight + np.abs(rng.normal(size=weight.shape)) / 10)
    return model


@pytest.mark.parametrize("unfrozen", [None, 1])
def test_the_loaded_encoder_is_the_same_and_frozen(unfrozen, captioner, tmp_path):
    captioner.image_encoder.unfreeze(last_n=unfrozen)
    folder = str(tmp_path / "deep" / "encoder")
    training.save_encoder(captioner, folder)
    assert os.listdir(tmp_path / "deep") == ["encoder"]
    loaded = zoo.build(OTHER, 2, image_preset=folder, compile=False).image_encoder
    assert loaded.frozen and not loaded.trainable_weights and loaded.preset == folder
    assert loaded.digest() == captioner.image_encoder.digest()
    expected = captioner.image_encoder.backbone(IMAGES, training=False)
    np.testing.assert_array_equal(loaded.backbone(IMAGES, training=False), expected)
    for _ in range(2):  # whatever is asked for, its statistics stay
        np.testing.assert_array_equal(
            loaded(IMAGES, training=True)["tokens"], np.reshape(expected, (3, 16, 24))
        )
    assert len(captioner.image_encoder.trainable_weights) > 0  # writing changes no state


def test_the_preset_stands_alone(captioner, tmp_path):
    training.save_encoder(captioner, tmp_path / "encoder")
    encoder, converter = encoders.build_image(str(tmp_path / "encoder"))
    assert converter.get_config() == captioner.preprocessor.image_converter.get_config()
    assert converter.image_size == (32, 32) and encoder.grid == (4, 4)
    pixels = np.full((1, 9, 9, 3), 255, np.uint8)
    np.testing.assert_allclose(converter(pixels), np.ones((1, 32, 32, 3)), atol=1e-6)
    backbone = keras_hub.models.Backbone.from_preset(str(tmp_path / "encoder"))
    np.testing.assert_array_equal(backbone.get_weights()[0], encoder.backbone.get_weights()[0])


def test_a_vision_transformer_and_bfloat16(tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = zoo.compose(2, image="test_vit", seed=2, compile=False)
    training.save_encoder(model, tmp_path / "vit")
    keras.config.set_dtype_policy("float32")
    encoder, _ = encoders.build_image(str(tmp_path / "vit"))
    assert encoder.digest() == model.image_encoder.digest()
    assert encoder.compute_dtype == "float32" and encoder.num_prefix_tokens == 1


def test_what_is_there_is_replaced_only_when_asked_and_if_it_is_a_preset(captioner, tmp_path):
    folder = tmp_path / "encoder"
    training.save_encoder(captioner, folder)
    before = captioner.image_encoder.digest()
    other = zoo.build(OTHER, 2, compile=False)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        training.save_encoder(other, folder)
    assert encoders.build_image(str(folder))[0].digest() == before
    training.save_encoder(other, folder, overwrite=True)
    assert encoders.build_image(str(folder))[0].digest() == other.image_encoder.digest() != before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("kept")
    with pytest.raises(FileExistsError, match="never replaced"):
        training.save_encoder(other, tmp_path / "mine", overwrite=True)
    assert sorted(os.listdir(tmp_path)) == ["encoder", "mine"]


def test_models_without_a_preset_of_their_encoder_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"with encoders \['text'\]"):
        training.save_encoder(
            zoo.build("test_bert_text_only", 2, compile=False), tmp_path / "encoder"
        )
    with pytest.raises(ValueError, match="with a SASAResNet"):
        training.save_encoder(
            zoo.compose(2, image="test_sasa", compile=False), tmp_path / "encoder"
        )
    assert not os.listdir(tmp_path)
