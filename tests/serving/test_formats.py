"""The signature `tensors` as TFLite and as ONNX gives the numbers of SavedModel and Keras model."""

import importlib.util
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import serving
from tests.serving.questions import ask, compare, question

HAS_ONNX = all(map(importlib.util.find_spec, ("onnx", "onnxruntime", "tf2onnx")))
needs_onnx = pytest.mark.skipif(not HAS_ONNX, reason="the extra `onnx` is not installed")
# Loops that gather their results, which TFLite knows under conditions.
NOT_IN_TFLITE = [
    ("test_efficientnet_lstm_concat", 1), ("test_efficientnet_lstm_concat", 3), ("test_sasa", 1),
]  # fmt: skip


@pytest.fixture(scope="module")
def pictures_only(fitted, tmp_path_factory):
    """A model of pictures, and its export."""
    model = fitted("test_efficientnet_image_only")
    path = tmp_path_factory.mktemp("pictures") / "1"
    model.export(path)
    return model, str(path)


class Expected:
    """What the SavedModel and the Keras model answer: seven rows, some without one or both."""

    def __init__(self, model, directory):
        self._loaded = tf.saved_model.load(directory)  # keeps the variables
        signature = self._loaded.signatures["tensors"]
        self.feed = question(signature.structured_input_signature[1])
        self.answer = ask(signature, self.feed)
        logits = model(model.encode({k: tf.constant(v) for k, v in self.feed.items()}))
        self.keras = keras.ops.convert_to_numpy(keras.ops.softmax(logits))
        self.keras *= self.answer["valid"][:, None]
        assert 0 < self.answer["valid"].sum() < 7 and np.ptp(self.keras) > 0.01

    def check(self, call, sizes=(1, 3)):
        """Asks `call` for the first rows, for each row and for threes of them."""
        for size in sizes:
            for start in range(0, 7 - size + 1, size):
                rows = slice(start, start + size)
                answer = call({name: value[rows] for name, value in self.feed.items()})
                compare(answer, {k: v[rows] for k, v in self.answer.items()}, atol=1e-5)
                probabilities = answer["probabilities"]
                np.testing.assert_allclose(probabilities, self.keras[rows], atol=1e-5)


def interpreter(path):
    """A function that runs a TFLite file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # there is a package of its own for it, ai-edge-litert
        runner = tf.lite.Interpreter(str(path)).get_signature_runner("serving_default")
    return lambda feed: runner(**feed)


def session(path):
    """A function that runs an ONNX file."""
    import onnxruntime

    made = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in made.get_outputs()]
    return lambda feed: dict(zip(names, made.run(names, feed), strict=True))


def test_tflite_of_a_model_of_both(model, directory, tmp_path):
    serving.to_tflite(directory, tmp_path / "pets.tflite")
    Expected(model, directory).check(interpreter(tmp_path / "pets.tflite"), sizes=(1,))
    assert [path.name for path in tmp_path.iterdir()] == ["pets.tflite"]


@pytest.mark.parametrize("batch_size", [3, None])
def test_tflite_of_more_rows(pictures_only, batch_size, tmp_path):
    model, directory = pictures_only
    serving.to_tflite(directory, tmp_path / "pets.tflite", batch_size=batch_size)
    sizes = (1, 3) if batch_size is None else (batch_size,)
    Expected(model, directory).check(interpreter(tmp_path / "pets.tflite"), sizes)


@needs_onnx
def test_onnx(pictures_only, tmp_path):
    model, directory = pictures_only
    serving.to_onnx(directory, tmp_path / "pets.onnx")
    Expected(model, directory).check(session(tmp_path / "pets.onnx"))
    import onnx

    made = onnx.load(tmp_path / "pets.onnx")
    onnx.checker.check_model(made)
    assert {value.name: value.type.tensor_type.shape.dim[0].dim_param
            for value in (*made.graph.input, *made.graph.output)} == dict.fromkeys(
        ["images", "has_image", "probabilities", "logits", "valid"], "rows"
    )  # fmt: skip


@pytest.mark.large
@pytest.mark.parametrize(
    "name",
    [
        "test_vit_bert_cross", "test_efficientnet_lstm_concat", "test_bert_text_only",
        "test_clip_class_texts", "test_siglip_class_texts", "test_efficientnet_bert_bilinear",
        "test_efficientnet_bert_film", "test_efficientnet_bert_gated",
        "test_efficientnet_bert_joint", "test_efficientnet_bert_no_harm", "test_sasa",
    ],
)  # fmt: skip
def test_all_entries(fitted, name, tmp_path):
    model = fitted(name)
    model.export(tmp_path / "1")
    expected = Expected(model, str(tmp_path / "1"))
    for size in (1, 3):
        path = tmp_path / f"{size}.tflite"
        if (name, size) in NOT_IN_TFLITE:
            with pytest.raises(ValueError, match="with TensorListReserve. Give another `batch_si"):
                serving.to_tflite(tmp_path / "1", path, batch_size=size)
        else:
            serving.to_tflite(tmp_path / "1", path, batch_size=size)
            expected.check(interpreter(path), sizes=(size,))
    if HAS_ONNX:
        serving.to_onnx(tmp_path / "1", tmp_path / "pets.onnx")
        expected.check(session(tmp_path / "pets.onnx"))


def test_an_operation_that_is_not_there_is_named(tmp_path):
    module = tf.Module()
    module.call = tf.function(
        lambda images: {"probabilities": tf.math.igamma(images, images)},
        input_signature=[tf.TensorSpec([None, 2], tf.float32, name="images")],
    )
    tf.saved_model.save(module, str(tmp_path / "1"), signatures={"tensors": module.call})
    with pytest.raises(ValueError, match="batch_size=1 and a model with Igamma. Give another"):
        serving.to_tflite(tmp_path / "1", tmp_path / "pets")
    if HAS_ONNX:
        with pytest.raises(ValueError, match="Received: a model with Igamma. Another `opset`"):
            serving.to_onnx(tmp_path / "1", tmp_path / "pets")
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


WRITERS = [serving.to_tflite, pytest.param(serving.to_onnx, marks=needs_onnx)]


@pytest.mark.parametrize("write", WRITERS)
def test_refusals(write, directory, tmp_path):
    (tmp_path / "pets").write_bytes(b"mine")
    with pytest.raises(FileExistsError, match="Received: filepath='.*pets'. Choose another name"):
        write(directory, tmp_path / "pets")
    with pytest.raises(FileNotFoundError, match=f"Received: directory='{tmp_path}'. It is the num"):
        write(tmp_path, tmp_path / "new")
    tf.saved_model.save(tf.Module(), str(tmp_path / "1"))
    with pytest.raises(ValueError, match=r"signature 'tensors'. .*/1' with signatures \[\]"):
        write(tmp_path / "1", tmp_path / "new")
    module = tf.Module()
    module.call = tf.function(
        lambda images: {"probabilities": tf.cast(tf.cast(images, tf.bfloat16) * 2, tf.float32)},
        input_signature=[tf.TensorSpec([None, 2], tf.float32, name="images")],
    )
    tf.saved_model.save(module, str(tmp_path / "2"), signatures={"tensors": module.call})
    with pytest.raises(
        ValueError, match="float32. .*/2' with bfloat16. Export it without bfloat16"
    ):
        write(tmp_path / "2", tmp_path / "new")
    assert (tmp_path / "pets").read_bytes() == b"mine" and not (tmp_path / "new").exists()


@pytest.mark.parametrize("batch_size", [0, 1.5, "1"])
def test_batches_of_tflite(batch_size):
    with pytest.raises(ValueError, match=f"Received: batch_size={batch_size!r}. It is how many"):
        serving.to_tflite("pets/1", "pets.tflite", batch_size=batch_size)


@pytest.mark.parametrize("opset", [12, 19, None])
def test_opsets_of_onnx(opset):
    with pytest.raises(ValueError, match=f"an integer from 13 to 18. Received: opset={opset}."):
        serving.to_onnx("pets/1", "pets.onnx", opset=opset)


def test_a_missing_extra_is_named(monkeypatch):
    found = importlib.util.find_spec
    missing = lambda name, *more: None if name == "tf2onnx" else found(name, *more)  # noqa: E731
    monkeypatch.setattr(importlib.util, "find_spec", missing)
    with pytest.raises(ImportError, match=r"tf2onnx. Install them: pip install 'tatl_keras\[onnx"):
        serving.to_onnx("pets/1", "pets.onnx")
