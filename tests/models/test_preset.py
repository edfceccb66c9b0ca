"""Saving: the whole model as .keras, or the head beside references to presets."""

import json

import keras
import keras_hub
import numpy as np
import pytest

from tatl_keras import data, zoo

CLASSES = 3


@pytest.fixture
def examples():
    return data.synthetic.examples(CLASSES, 24, seed=1)


def _trained(name, examples):
    return _fit(zoo.build(name, num_classes=CLASSES, seed=0, sequence_length=11), examples)


def _composed(image_preset, text, examples):
    return _fit(zoo.compose(CLASSES, image=image_preset, text=text, seed=0), examples)


def _fit(model, examples):
    model.fit(examples, epochs=2, verbose=0)
    return model


@pytest.fixture
def image_preset(tmp_path):
    """A local KerasHub preset of a tiny ResNet."""
    keras.utils.set_random_seed(8)
    backbone = keras_hub.models.ResNetBackbone(
        input_conv_filters=[64], input_conv_kernel_sizes=[3], stackwise_num_filters=[64, 6],
        stackwise_num_blocks=[1, 1], stackwise_num_strides=[1, 2], block_type="basic_block",
        image_shape=(None, None, 3),
    )  # fmt: skip
    converter = keras_hub.layers.ResNetImageConverter(image_size=(16, 16), scale=1 / 255)
    directory = tmp_path / "image_preset"
    backbone.save_to_preset(str(directory))
    converter.save_to_preset(str(directory))
    return directory


@pytest.mark.parametrize("name", ["test_efficientnet_lstm_concat", "test_vit_bert_cross"])
def test_keras_archive_brings_everything_back(name, examples, tmp_path):
    model = _trained(name, examples)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    want = model.predict(examples, verbose=0)
    np.testing.assert_array_equal(loaded.predict(examples, verbose=0), want)
    assert loaded.class_names == examples.class_names
    assert loaded.optimizer.iterations.numpy() == model.optimizer.iterations.numpy() > 0
    assert len(loaded.trainable_weights) == len(model.trainable_weights)
    frozen = loaded.image_encoder.digest()
    for one in (model, loaded):  # both go on alike, so the optimizer's state came back too
        keras.utils.set_random_seed(4)
        one.fit(examples, epochs=1, verbose=0)
    assert loaded.image_encoder.digest() == frozen
    after = [one.predict(examples, verbose=0) for one in (model, loaded)]
    np.testing.assert_allclose(after[0], after[1], atol=1e-6)
    assert (after[0] != want).any()


def test_preset_refers_to_frozen_encoders(examples, image_preset, tmp_path):
    model = _composed(image_preset, "embed", examples)
    model.save_to_preset(tmp_path / "saved")
    config = json.loads((tmp_path / "saved/config.json").read_text())
    assert config["encoders"] == {
        "image_encoder": {"preset": str(image_preset), "digest": model.image_encoder.digest()}
    }
    with np.load(tmp_path / "saved/weights.npz") as arrays:
        assert {key.split("/")[0] for key in arrays} == {"text_encoder", "head", "prior"}
    loaded = zoo.from_preset(tmp_path / "saved")
    want = model.predict(examples, verbose=0)
    np.testing.assert_array_equal(loaded.predict(examples, verbose=0), want)
    assert loaded.class_names == examples.class_names and loaded.image_encoder.frozen


def test_changed_encoders_are_stored_not_referred_to(examples, image_preset, tmp_path):
    model = _composed(image_preset, "test_text", examples)
    model.image_encoder.unfreeze()
    model.compile(optimizer=keras.optimizers.Adam(0.01))
    model.fit(examples, epochs=1, verbose=0)
    model.image_encoder.freeze()
    model.save_to_preset(tmp_path / "saved")
    assert json.loads((tmp_path / "saved/config.json").read_text())["encoders"] == {}
    loaded = zoo.from_preset(tmp_path / "saved")
    want = model.predict(examples, verbose=0)
    np.testing.assert_array_equal(loaded.predict(examples, verbose=0), want)


def test_another_encoder_under_the_same_name_is_refused(examples, image_preset, tmp_path):
    model = _composed(image_preset, None, examples)
    model.save_to_preset(tmp_path / "saved")
    backbone = keras_hub.models.Backbone.from_preset(str(image_preset))
    backbone.weights[0].assign(backbone.weights[0] + 1e-3)
    backbone.save_to_preset(str(image_preset))
    with pytest.raises(ValueError, match="`image_encoder` must have the weights") as error:
        zoo.from_preset(tmp_path / "saved")
    assert model.image_encoder.digest()[:12] in str(error.value)


def test_bad_presets(examples, tmp_path):
    model = zoo.build("test_efficientnet_lstm_concat", num_classes=CLASSES)
    with pytest.raises(ValueError, match="vocabulary is not learned"):
        model.save_to_preset(tmp_path / "new")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        zoo.from_preset(tmp_path / "nowhere")
    trained = _trained("test_efficientnet_image_only", examples)
    trained.save_to_preset(tmp_path / "saved")
    with pytest.raises(FileExistsError, match="saved"):
        trained.save_to_preset(tmp_path / "saved")


def test_real_encoders_make_a_small_preset(examples, tmp_path):
    model = zoo.build("efficientnet_lite0_minilm_concat", num_classes=CLASSES)
    model.fit(examples, epochs=2, feature_cache="memory", verbose=0)
    model.save_to_preset(tmp_path / "saved")
    size = sum(f.stat().st_size for f in (tmp_path / "saved").rglob("*") if f.is_file())
    assert size < 400_000
    references = json.loads((tmp_path / "saved/config.json").read_text())["encoders"]
    assert {r["preset"] for r in references.values()} == {"efficientnet_lite0", "minilm"}
    few = examples.take(4)
    want = model.predict(few, verbose=0)
    loaded = zoo.from_preset(tmp_path / "saved")
    np.testing.assert_array_equal(loaded.predict(few, verbose=0), want)
