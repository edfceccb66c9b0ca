"""Where presets are looked for, and what is said when one cannot be had."""

import json
import pathlib
import shutil

import keras_hub
import pytest

from tatl_keras import encoders
from tatl_keras.encoders import presets
from tests.encoders.cases import RESNET

WAYS_OUT = ("(1) a local directory", "(2) a filled cache", "(3) `preset=None`")


def assert_helpful(error, preset, reason):
    message = str(error.value)
    assert f"preset={preset!r}" in message
    assert reason in message
    assert all(way in message for way in WAYS_OUT)
    assert "Traceback" not in message and len(message) < 900


@pytest.fixture
def no_folders(monkeypatch, tmp_path):
    """As after installing a wheel: no checkout beside the package, nothing in the folder here."""
    monkeypatch.setattr(presets, "__file__", str(tmp_path / "a/b/presets.py"))
    monkeypatch.delenv("TATL_KERAS_PRESETS", raising=False)


@pytest.mark.parametrize(
    ("build", "name", "preset"),
    [
        (encoders.build_image, "resnet50", "resnet_50_imagenet"),
        (encoders.build_image, "vit_l16", "vit_large_patch16_224_imagenet"),
        (encoders.build_text, "bert_base", "bert_base_en_uncased"),
        (encoders.build_text, "roberta_base_en", "roberta_base_en"),
        (encoders.build_image, "kaggle://a/b/keras/c", "kaggle://a/b/keras/c"),
    ],
)
def test_unreachable_hub(build, name, preset):
    with pytest.raises(encoders.PresetError) as error:
        build(name)
    assert_helpful(error, preset, "Error: ")
    assert error.value.__cause__ is not None


@pytest.mark.network
def test_unreachable_hugging_face():
    with pytest.raises(encoders.PresetError) as error:
        encoders.build_image("hf://nobody-here/nothing-there")
    assert_helpful(error, "hf://nobody-here/nothing-there", "has no config.json")


def test_hugging_face_errors_are_explained(monkeypatch):
    def fail(preset, **kwargs):
        raise ValueError(f"Preset {preset} has no config.json. Make sure " + "x" * 999)

    monkeypatch.setattr(keras_hub.models.Backbone, "from_preset", fail)
    with pytest.raises(encoders.PresetError) as error:
        encoders.build_text("hf://a/b")
    assert_helpful(error, "hf://a/b", "ValueError: Preset hf://a/b has no config.json")
    assert isinstance(error.value.__cause__, ValueError)


@pytest.mark.parametrize(
    ("preset", "suggestion"),
    [
        ("resnet_50_imagenett", "'resnet_50_imagenet'"),
        ("./somewhere/resnet50", "'resnet50'"),
        ("efficientnet_lite", "'efficientnet_lite0'"),
    ],
)
def test_unknown_presets_get_a_suggestion(preset, suggestion):
    with pytest.raises(encoders.PresetError) as error:
        encoders.build_image(preset)
    assert_helpful(error, preset, "no directory and no preset of this name")
    assert "Did you mean" in str(error.value) and suggestion in str(error.value)


def test_nothing_similar_gets_no_suggestion():
    with pytest.raises(encoders.PresetError) as error:
        encoders.build_text("qqqqqqqq")
    assert "Did you mean" not in str(error.value)


def test_directory_without_config(tmp_path):
    with pytest.raises(encoders.PresetError) as error:
        encoders.build_image(tmp_path)
    assert_helpful(error, str(tmp_path), "holds no config.json")


def test_directory_with_broken_files(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(encoders.PresetError) as error:
        encoders.build_image(str(tmp_path))
    assert_helpful(error, str(tmp_path), "JSONDecodeError")
    folder = tmp_path / "weightless"
    keras_hub.models.ResNetBackbone(**RESNET).save_to_preset(folder)
    (folder / "model.weights.h5").unlink()
    with pytest.raises(encoders.PresetError) as error:
        encoders.build_image(folder)
    assert_helpful(error, str(folder), "FileNotFoundError")


def test_missing_converter_or_tokenizer(tmp_path, monkeypatch):
    folder = str(tmp_path / "bare")
    keras_hub.models.ResNetBackbone(**RESNET).save_to_preset(folder)
    with pytest.raises(encoders.PresetError) as error:
        encoders.build_image(folder)
    assert_helpful(error, folder, "image_converter.json")
    monkeypatch.setattr(keras_hub.layers.ImageConverter, "from_preset", lambda preset: None)
    with pytest.raises(encoders.PresetError) as error:
        encoders.build_image(folder)
    assert_helpful(error, folder, "no image converter")


def test_folders_are_searched_in_order(monkeypatch, tmp_path, repo):
    here = repo / "saved_models/encoders"
    assert presets.locate("minilm") == str(here / "minilm_l6")
    other = tmp_path / "mine"
    (other / "minilm_l6").mkdir(parents=True)
    (other / "minilm_l6/config.json").write_text("{}")
    monkeypatch.setenv("TATL_KERAS_PRESETS", str(other))
    assert presets.locate("minilm") == str(other / "minilm_l6")
    assert presets.locate("efficientnet_lite0") == str(here / "efficientnet_lite0")


def test_current_directory_is_searched_last(no_folders, working_directory, repo):
    with pytest.raises(encoders.PresetError):
        presets.locate("efficientnet_lite0")
    folder = pathlib.Path("saved_models/encoders/efficientnet_lite0")
    shutil.copytree(repo / folder, folder)
    assert presets.locate("efficientnet_lite0") == str(working_directory / folder)


def test_without_folders_minilm_comes_from_the_hub(no_folders):
    assert presets.locate("minilm") == "all_minilm_l6_v2_en"


def test_without_folders_lite0_says_how_to_get_it(no_folders, monkeypatch, tmp_path):
    monkeypatch.setenv("TATL_KERAS_PRESETS", str(tmp_path / "nowhere"))
    with pytest.raises(encoders.PresetError) as error:
        encoders.build_image("efficientnet_lite0")
    assert_helpful(error, "efficientnet_lite0", "pads differently")
    assert "TATL_KERAS_PRESETS" in str(error.value) and "nowhere" in str(error.value)


def test_random_names_are_no_presets():
    with pytest.raises(encoders.PresetError) as error:
        encoders.build_image("resnet50", preset="test_image")
    assert_helpful(error, "test_image", "stands for random weights")


def test_names_stand_for_their_presets():
    assert presets.locate("resnet50") == "resnet_50_imagenet"
    assert presets.locate("hf://a/b") == "hf://a/b"


def test_home_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "net").mkdir()
    (tmp_path / "net/config.json").write_text(json.dumps({}))
    assert presets.locate("~/net") == str(tmp_path / "net")
