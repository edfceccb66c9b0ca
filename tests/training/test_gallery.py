"""`explanation_gallery`: what is asked of a model, what is explained, what is returned."""

import numpy as np
import pytest
import tensorflow as tf

from tatl_keras.training import explanation_gallery
from tatl_keras.training import gallery_page as page_module
from tests.training import explanations

# Logits of "cat" over "dog" by the example's text, and without it.
WITH = {"a": 3.0, "b": 1.0, "c": -2.0, "d": 0.1, "": 1.5}
WITHOUT = 1.5


class Model:
    """A model of two classes that reads the text alone, and keeps what it was asked to explain."""

    encoders = {"image": None, "text": None}
    preprocessor = None

    def predict(self, x, batch_size, verbose):
        rows = [text.decode() for batch in x for text in np.ravel(batch["text"].numpy())]
        return np.array([[WITH[text] if text else WITHOUT, 0.0] for text in rows])

    def explain(self, x, **options):
        self.asked, self.options = x, options
        names = ["cat", "dog"]
        return [
            explanations.make(one["text"], class_names=names, probabilities=np.array([0.6, 0.4]))
            for one in x
        ]


@pytest.fixture(autouse=True)
def not_drawn(monkeypatch):
    png = tf.io.encode_png(np.zeros((1, 1, 3), np.uint8)).numpy()
    monkeypatch.setattr(page_module, "explanation_picture", lambda *_: png)


def examples(labels=(0, 1, 1, 0, 0), batch=None):
    x = {"image": [f"GIF89a {i}".encode() for i in range(5)], "text": list(WITH)}
    dataset = tf.data.Dataset.from_tensor_slices(x if labels is None else (x, list(labels)))
    return dataset if batch is None else dataset.batch(batch)


@pytest.mark.parametrize("batch", [None, 2])
def test_the_chosen_are_explained_and_no_other(tmp_path, batch):
    model, data = Model(), examples(batch=batch)
    data.ids = [f"pets/{i}.jpg" for i in range(5)]
    found = explanation_gallery(model, data, tmp_path / "a.html", count=1, regions=(2, 2))
    # Right: 0, 2, 3, 4, of which 0 is surest; wrong: 1. Most changed: 2, from 0.18 to 0.88 for dog.
    wanted = {0: ["best"], 1: ["worst"], 2: ["changed"], 3: ["uncertain"]}
    assert {one["row"]: one["sections"] for one in found} == wanted
    assert [one["id"] for one in found] == [f"pets/{i}.jpg" for i in range(4)]
    assert [one["label"] for one in found] == ["cat", "dog", "dog", "cat"]
    asked = [{"image": f"GIF89a {i}".encode(), "text": "abcd"[i]} for i in range(4)]
    assert model.asked == asked and model.options == {"regions": (2, 2)}
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "4 of 5 examples are explained. 4 of 5 answers are right (80.0%)." in page
    assert "Without the text 1 of 5 answers would be different." in page


def test_without_labels_and_without_ids(tmp_path):
    found = explanation_gallery(Model(), examples(None), tmp_path / "a.html", count=9)
    assert [(one["id"], one["label"]) for one in found] == [(str(i), None) for i in range(5)]
    sections = [one["sections"] for one in found]
    assert sections == [["changed", "uncertain"]] * 4 + [["uncertain"]]  # the last has no text


def test_a_model_that_reads_no_text_and_pixels(tmp_path):
    model, pixels = Model(), np.full((2, 4, 6, 3), 7.4, np.float32)
    model.encoders = {"image": None}
    x = {"image": pixels, "text": ["a", "d"]}
    found = explanation_gallery(model, x, tmp_path / "a.html", count=1)
    assert [one["sections"] for one in found] == [["uncertain"]]
    np.testing.assert_array_equal(tf.io.decode_png(found[0]["image"]), np.full((4, 6, 3), 7))
    assert "No example has a text that the model reads." in (tmp_path / "a.html").read_text()


def test_what_is_refused(tmp_path):
    with pytest.raises(ValueError, match="`count` must be at least 1. Received: count=0"):
        explanation_gallery(Model(), examples(), tmp_path / "a.html", count=0)
    with pytest.raises(ValueError, match="`examples` must hold at least one example"):
        explanation_gallery(Model(), examples().take(0), tmp_path / "a.html")
    with pytest.raises(ValueError, match="`labels` must be from 0 to 1. Received: .* to 2"):
        explanation_gallery(Model(), examples((0, 1, 2, 0, 0)), tmp_path / "a.html")
    assert not list(tmp_path.iterdir())
