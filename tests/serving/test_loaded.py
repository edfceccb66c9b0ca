"""An export loaded again, without Keras."""

import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import serving
from tatl_keras.data import synthetic


@pytest.fixture(scope="module")
def examples():
    found = synthetic.examples(3, 7, seed=1, missing_image=0.2).as_numpy_iterator()
    return [x for x, _ in found]


def probabilities(model, examples):
    columns = {key: [x[key] for x in examples] for key in ("image", "text")}
    return tf.nn.softmax(model.predict(columns, verbose=0)).numpy()


@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_it_gives_the_models_numbers(model, directory, examples, batch_size):
    loaded = serving.load(directory)
    images, texts = ([x[key] for x in examples] for key in ("image", "text"))
    found = loaded.predict(images, texts, batch_size=batch_size)
    assert found.dtype == np.float32 and loaded.num_classes == 3
    np.testing.assert_allclose(found, probabilities(model, examples), atol=1e-6)


def test_texts_may_be_str_or_bytes(directory):
    loaded = serving.load(directory)
    found = loaded.predict([b""] * 2, ["Ünï", "Ünï".encode()])
    np.testing.assert_array_equal(found[0], found[1])


class Named(tf.Module):
    """The least that `load` takes, with names of classes."""

    def __init__(self, outputs=("probabilities",)):
        super().__init__()
        self._outputs = outputs

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)] * 2)
    def serve(self, image_bytes, text):
        rows = tf.shape(text)[0] + 0 * tf.shape(image_bytes)[0]
        return {name: tf.ones([rows, 2]) / 2 for name in self._outputs}

    @tf.function(input_signature=[])
    def class_names(self):
        return tf.constant(["Hund", "Kätzchen"])


def save(module, path):
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.serve})
    return path


def test_names_come_with_the_export(tmp_path):
    assert serving.load(save(Named(), tmp_path / "1")).class_names == ["Hund", "Kätzchen"]


def test_names_of_an_export_are_those_of_the_model_if_it_has_them(model, directory):
    assert serving.load(directory).class_names in (None, model.class_names)


def test_another_model_is_refused(tmp_path):
    path = save(Named(outputs=("logits",)), tmp_path / "1")
    message = f"gives 'probabilities'. Received: directory='{path}' with inputs .*image_bytes"
    with pytest.raises(ValueError, match=message):
        serving.load(path)
    tf.saved_model.save(tf.Module(), str(tmp_path / "2"))
    with pytest.raises(ValueError, match=r"signature 'serving_default'.*with inputs \[\]"):
        serving.load(tmp_path / "2")


def test_gives_all_outputs_in_order_over_several_requests(model, directory, examples):
    images = [b"" if place % 3 == 0 else x["image"] for place, x in enumerate(examples)]
    texts = ["" if place % 2 == 0 else x["text"] for place, x in enumerate(examples)]
    answer = serving.load(directory).answer(images, texts, batch_size=2)
    want = [bool(image) + 2 * bool(text) for image, text in zip(images, texts, strict=True)]
    assert len(set(want)) > 2
    names = [b"none", b"image", b"text", b"image+text"]
    assert [names.index(found) for found in answer["evidence"]] == want
    assert len(answer["label"]) == len(answer["logits"]) == len(examples)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"Received: directory='{tmp_path}'. It is the num"):
        serving.load(tmp_path)


@pytest.mark.parametrize(("images", "texts"), [([], []), ([b""], ["a", "b"])])
def test_columns_must_be_equally_long(directory, images, texts):
    message = f"Received: {len(images)} pictures, {len(texts)} texts"
    with pytest.raises(ValueError, match=message):
        serving.load(directory).predict(images, texts)


def test_a_new_process_agrees_and_finds_tampering(model, directory, examples, monkeypatch):
    expected = probabilities(model, examples)
    asked = [{"image": x["image"], "text": x["text"].decode()} for x in examples]
    assert serving.verify(directory, asked, expected) <= 1e-6
    ones, logs = [True] * len(expected), np.log(expected).tolist()
    answer = {"probabilities": expected.tolist(), "logits": logs, "valid": ones}
    monkeypatch.setattr("tatl_keras.serving.verification._ask_fresh_process", lambda *_: answer)
    tampered = expected.copy()
    tampered[4, 1] += 2e-5
    message = "to 1e-05. Received: a difference of 2e-05 in example 4. Do not serve it"
    with pytest.raises(ValueError, match=message):
        serving.verify(directory, asked, tampered)
    assert serving.verify(directory, asked, tampered, tolerance=1e-4) == pytest.approx(2e-5, 0.01)
    tampered[0, 0] = np.nan
    with pytest.raises(ValueError, match="a difference of nan"):
        serving.verify(directory, asked, tampered)
    with pytest.raises(ValueError, match=r"Received: probabilities \(7, 3\), expected \(6, 3\)"):
        serving.verify(directory, asked[:6], expected[:6])


def test_a_model_that_cannot_be_loaded_is_an_error(tmp_path):
    message = "that a new process can load and ask. Received: directory='.*', exit status 1: "
    with pytest.raises(RuntimeError, match=message):
        serving.verify(tmp_path, [{"image": b"", "text": ""}], [[0.5, 0.5]])
