"""The SavedModel gives the model's own numbers where only TensorFlow is imported."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import data, zoo
from tatl_keras.models.lint import saved_model

CLASSES, ROWS = 3, 6
FRESH_PROCESS = """
import json, sys
import numpy as np
import tensorflow as tf
import tensorflow_text
directory, raw = sys.argv[1:]
serve = tf.saved_model.load(directory).signatures["serving_default"]
with np.load(raw, allow_pickle=False) as rows:
    lengths = rows["lengths"]
    joined = rows["image_bytes"].tobytes()
    text = rows["text"].tolist()
starts = np.cumsum(lengths) - lengths
images = [joined[a:a + n] for a, n in zip(starts, lengths)]
out = serve(image_bytes=tf.constant(images, tf.string), text=tf.constant(text, tf.string))
loaded = [name for name in ("keras", "keras_hub", "tatl_keras") if name in sys.modules]
labels = [label.decode() for label in out["label"].numpy()]
print(json.dumps({"probabilities": out["probabilities"].numpy().tolist(), "label": labels,
                  "logits": out["logits"].numpy().tolist(), "loaded": loaded}))
"""


@pytest.fixture
def examples():
    return data.synthetic.examples(CLASSES, ROWS, seed=2, missing_text=0.3, missing_image=0.2)


def _columns(examples):
    rows = [(x["image"].numpy(), x["text"].numpy()) for x, _ in examples]
    return [image for image, _ in rows], [text for _, text in rows]


def test_a_fresh_process_gives_the_same_answers(examples, tmp_path):
    model = zoo.build("efficientnet_lite0_minilm_cross", num_classes=CLASSES, seed=0)
    model.fit(examples, epochs=3, feature_cache="memory", verbose=0)
    model.export(tmp_path / "pets/1")
    images, texts = _columns(examples)
    np.savez(
        tmp_path / "raw.npz",
        lengths=[len(image) for image in images],
        image_bytes=np.frombuffer(b"".join(images), np.uint8),
        text=[text.decode() for text in texts],
    )
    done = subprocess.run(
        [sys.executable, "-c", FRESH_PROCESS, str(tmp_path / "pets/1"), str(tmp_path / "raw.npz")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    answer = json.loads(done.stdout.splitlines()[-1])
    logits = model.predict(examples, verbose=0).astype("float64")
    exponent = np.exp(logits - logits.max(-1, keepdims=True))
    probabilities = exponent / exponent.sum(-1, keepdims=True)
    assert np.ptp(probabilities) > 0.05
    np.testing.assert_allclose(answer["logits"], logits, atol=1e-4)
    np.testing.assert_allclose(answer["probabilities"], probabilities, atol=1e-5)
    assert answer["label"] == [model.class_names[i] for i in logits.argmax(-1)]
    assert "tatl_keras" not in answer["loaded"] and "keras_hub" not in answer["loaded"]


@pytest.fixture
def served(tmp_path):
    model = zoo.build("test_efficientnet_image_only", num_classes=2, seed=0)
    model.export(tmp_path / "1")
    return tf.saved_model.load(str(tmp_path / "1")).signatures["serving_default"]


def test_signature(served):
    inputs = served.structured_input_signature[1]
    assert {name: (s.dtype, s.shape.as_list()) for name, s in inputs.items()} == {
        "image_bytes": (tf.string, [None]),
        "text": (tf.string, [None]),
    }
    outputs = {"probabilities", "label", "logits", "evidence", "valid"}
    assert set(served.structured_outputs) == outputs


def test_names_of_the_classes_travel_along(tmp_path):
    model = zoo.build("test_bert_text_only", 2, class_names=["cat", "dog"])
    model.fit({"text": ["meow", "woof"]}, ["cat", "dog"], verbose=0)
    model.export(tmp_path / "1")
    loaded = tf.saved_model.load(str(tmp_path / "1"))
    assert loaded.class_names().numpy().tolist() == [b"cat", b"dog"]
    signatures = ["classify", "classify_examples", "embed", "serving_default", "tensors"]
    assert sorted(loaded.signatures) == signatures
    asked = saved_model.read(tmp_path / "1").served().signature_def["classify_examples"]
    assert asked.method_name == "tensorflow/serving/classify"
    assert json.loads((tmp_path / "1/class_names.json").read_text()) == ["cat", "dog"]


def test_unnamed_classes_are_numbered(served):
    picture = tf.io.encode_png(tf.zeros([3, 3, 3], "uint8"))
    out = served(image_bytes=[picture, b""], text=tf.constant(["", ""]))
    assert out["label"].numpy().tolist() in ([b"0", b""], [b"1", b""])


@pytest.mark.parametrize(
    ("images", "texts", "message"),
    [([b""], [b"", b""], "equally many rows"), ([], [], "at least one row")],
)
def test_bad_requests_say_what_is_wrong(served, images, texts, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        served(image_bytes=tf.constant(images, tf.string), text=tf.constant(texts, tf.string))


def test_refusals(examples, tmp_path):
    learning = zoo.build("test_efficientnet_lstm_concat", num_classes=CLASSES)
    with pytest.raises(ValueError, match="vocabulary is not learned"):
        learning.export(tmp_path / "2")
    model = zoo.build("test_efficientnet_image_only", num_classes=CLASSES)
    (tmp_path / "3").mkdir()
    with pytest.raises(FileExistsError, match="3'"):
        model.export(tmp_path / "3")
    model.export(tmp_path / "3", overwrite=True)
    assert (tmp_path / "3/saved_model.pb").exists()
    for most in (0, 1.5):
        with pytest.raises(ValueError, match=f"Received: max_pixels={most}. It is height"):
            model.export(tmp_path / "4", max_pixels=most)
        with pytest.raises(ValueError, match=f"Received: top_k={most}. It is how many"):
            model.export(tmp_path / "4", top_k=most)
    for temperature in (0, -1.0, float("nan"), float("inf"), "1"):
        with pytest.raises(ValueError, match=f"Received: temperature={temperature}. serving.fit"):
            model.export(tmp_path / "4", temperature=temperature)
    model.preprocessor = None
    with pytest.raises(ValueError, match="preprocessor=None"):
        model.export(tmp_path / "4")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["3"]
