"""What the files beside a SavedModel say, against the model and the files themselves."""

import hashlib
import json
import subprocess
import types

import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import zoo
from tatl_keras.models.artifact.class_names import served_class_names, write_class_names
from tatl_keras.models.artifact.manifest import write_manifest
from tests.data import nasty

NAMES = ["cat", "Hündchen", "猫"]


@pytest.fixture(scope="module")
def model():
    """Not trained, of pictures and texts."""
    model = zoo.build("test_efficientnet_bert_concat", 3, seed=0, class_names=NAMES)
    model.preprocessor.adapt(tf.data.Dataset.from_tensors("a cat a dog a star"), 40)
    return model


@pytest.fixture
def folder(tmp_path):
    """A SavedModel of two signatures, not of that model: what is read off it must be its own."""
    module = tf.Module()
    rows = tf.TensorSpec([None, 3], tf.float32, name="x")
    module.one = tf.function(lambda x: {"y": 2 * x, "b": x[:, 0] > 0}, input_signature=[rows])
    texts = tf.TensorSpec([None, None], tf.string, name="t")
    module.two = tf.function(lambda t: {"n": tf.strings.length(t)}, input_signature=[texts])
    module.words = tf.Variable(["a", "b"])
    signatures = {"serving_default": module.one, "two": module.two}
    tf.saved_model.save(module, str(tmp_path / "1"), signatures=signatures)
    return tmp_path / "1"


def write(folder, model, **options):
    write_manifest(str(folder), model, max_pixels=1000, **options)
    return json.loads((folder / "MANIFEST.json").read_text(encoding="utf-8"))


def test_files_are_those_that_are_there(folder, model):
    (folder / "assets.extra").mkdir(exist_ok=True)
    (folder / "assets.extra" / "notes").write_bytes(b"")
    found = write(folder, model)
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "MANIFEST.json"]
    lines = subprocess.run(["sha256sum", *files], capture_output=True, text=True, check=True).stdout
    sums = {path: total for total, path in (line.split("  ") for line in lines.splitlines())}
    assert found["sha256"] == {
        path.relative_to(folder).as_posix(): sums[str(path)] for path in files
    }
    assert {"saved_model.pb", "assets.extra/notes"} < set(found["sha256"]) and len(files) >= 5
    assert found["total_bytes"] == sum(path.stat().st_size for path in files)


def test_signatures_are_those_of_the_file(folder, model):
    found = write(folder, model)["signatures"]
    assert found == {
        "serving_default": {
            "inputs": {"x": {"dtype": "float32", "shape": [None, 3]}},
            "outputs": {
                "y": {"dtype": "float32", "shape": [None, 3]},
                "b": {"dtype": "bool", "shape": [None]},
            },
            "method": "tensorflow/serving/predict",
        },
        "two": {
            "inputs": {"t": {"dtype": "string", "shape": [None, None]}},
            "outputs": {"n": {"dtype": "int32", "shape": [None, None]}},
            "method": "tensorflow/serving/predict",
        },
    }


def test_pixels_follow_from_its_constants(folder, model):
    """Of a picture that has the right size already."""
    image = write(folder, model)["preprocessing"]["image"]["image_converter"]["config"]
    assert image["image_size"] == [32, 32] and image["interpolation"] == "bilinear"
    picture = nasty.noise(size=(32, 32))
    made = model.preprocessor({"image": [nasty.encode(picture, "PNG")], "text": ["a"]})["images"][0]
    np.testing.assert_allclose(
        made, np.asarray(picture) * image["scale"] + image["offset"], atol=1e-5
    )


def test_tokens_follow_from_its_constants(folder, model):
    found = write(folder, model)
    text, limits = found["preprocessing"]["text"], found["limits"]
    vocabulary = json.dumps(model.preprocessor.tokenizer.get_vocabulary()).encode()
    assert text["vocabulary"] == hashlib.sha256(vocabulary).hexdigest()
    assert text["tokenizer"]["class"] == "BertTokenizer"
    assert text["tokenizer"]["config"]["lowercase"] is True
    assert limits["sequence_length"] == text["sequence_length"] == 64
    most = limits["max_characters"]
    ids = [
        model.preprocessor({"text": [" " * (most - 3) + word]})["has_text"].numpy().tolist()
        for word in ("  a", "   a")
    ]
    assert ids == [[1], [0]]


def test_what_it_was_made_with(folder, model):
    given = {"options": {"freeze": True}, "training_config": {"epochs": 3}, "metrics": {"acc": 0.5}}
    found = write(folder, model, top_k=2, temperature=1.5, **given)
    assert found["format_version"] == 1 and found["versions"]["tensorflow"] == tf.__version__
    assert sorted(found["versions"]) == [
        "keras", "keras-hub", "python", "tatl_keras", "tensorflow", "tensorflow-text",
    ]  # fmt: skip
    assert found["temperature"] == 1.5 and found["options"] == {"freeze": True}
    assert found["training"] == {"epochs": 3} and found["metrics"] == {"acc": 0.5}
    assert found["limits"]["top_k"] == 2 and found["limits"]["max_pixels"] == 1000
    about = found["model"]
    assert about["num_classes"] == 3 and about["fusion"]["class"] == "ConcatFusion"
    assert about["head"]["class"] == "Dense" and about["head"]["config"]["units"] == 3
    digests = {name: encoder["digest"] for name, encoder in about["encoders"].items()}
    assert digests == {name: encoder.digest() for name, encoder in model.encoders.items()}


def test_top_k_is_at_most_the_classes_and_pictures_alone_have_no_text_limits(folder):
    model = zoo.build("test_efficientnet_image_only", 3)
    found = write(folder, model)
    assert found["limits"] == {"max_pixels": 1000, "top_k": 3}
    assert list(found["preprocessing"]) == list(found["model"]["encoders"]) == ["image"]


def test_the_same_files_give_the_same_bytes_in_short_lines(folder, model):
    write(folder, model, metrics={"b": [0.5, -1e-9, None], "a": ["x", {"y": [1]}]})
    first = (folder / "MANIFEST.json").read_bytes()
    write(folder, model, metrics={"a": ["x", {"y": [1]}], "b": [0.5, -1e-9, None]})
    assert (folder / "MANIFEST.json").read_bytes() == first
    lines = first.decode().splitlines()
    assert '    "b": [ 0.5, -1e-09, null ]' in lines
    assert json.loads(first)["metrics"]["a"] == ["x", {"y": [1]}]


def test_no_path_of_this_machine(folder, model):
    encoder = model.image_encoder
    try:
        encoder.preset = "/data/presets/lite0/"
        found = write(folder, model)["model"]["encoders"]["image"]["preset"]
    finally:
        encoder.preset = None
    assert found == "lite0"


@pytest.mark.parametrize("value", [{"loss": float("nan")}, {"model": object()}])
def test_what_json_cannot_hold_is_refused(folder, model, value):
    with pytest.raises(ValueError, match="`metrics` must be a dict of JSON values. Received: metr"):
        write(folder, model, metrics=value)
    assert not (folder / "MANIFEST.json").exists()


@pytest.mark.parametrize(
    ("names", "expected"), [(NAMES, NAMES), (None, ["0", "1", "2"])], ids=["names", "none"]
)
def test_class_names(tmp_path, names, expected):
    model = types.SimpleNamespace(class_names=names, num_classes=3)
    write_class_names(tmp_path, model)
    text = (tmp_path / "class_names.json").read_text(encoding="utf-8")
    assert json.loads(text) == served_class_names(model) == expected
    assert names is None or "猫" in text
