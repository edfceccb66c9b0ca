"""The gallery's page: its sections, what stands in each, and what it says of what is missing."""

import base64
import re

import numpy as np
import pytest
import tensorflow as tf

from tatl_keras.training import gallery_page as page_module
from tatl_keras.training.explanation_words import describe
from tests.training import explanations

WITH = np.log([[0.6, 0.4], [0.3, 0.7], [0.5, 0.5]])
WITHOUT = np.log([[0.2, 0.8], [0.3, 0.7], [0.9, 0.1]])
CHOSEN = {"best": [0], "worst": [1], "changed": [0], "uncertain": [2, 1]}
TEXT = "a dog <b>"
DOT = tf.io.encode_jpeg(np.zeros((1, 1, 3), np.uint8)).numpy()


@pytest.fixture
def dots(monkeypatch):
    """Does not draw: one black pixel instead of each picture."""
    monkeypatch.setattr(page_module, "explanation_picture", lambda *_: DOT)


def make_page(chosen=None, without=WITHOUT, labels=(0, 0, 1), **changes):
    found = [
        {
            "id": f"pets/{row}.jpg", "row": row, "sections": [], "image": b"", "label": label,
            "text": TEXT, "explanation": explanations.make(TEXT, False, **changes),
        }
        for row, label in enumerate(["cat", "<dog>", None])
    ]  # fmt: skip
    labels = None if labels is None else np.array(labels)
    return page_module.gallery_page(found, CHOSEN | (chosen or {}), WITH, without, labels), found


def test_sections_and_their_examples(dots):
    page, _ = make_page()
    parts = re.split(r"<h2>(.*?)</h2>", page)
    titles = ["Best", "Worst", "Most changed by text", "Most uncertain"]
    assert parts[1::2] == titles
    captions = [re.findall(r"<figcaption>(.*?)</figcaption>", part) for part in parts[2::2]]
    best = "pets/0.jpg: cat 50.0% ± 1.0%; label cat; without the text dog 80.0%"
    assert captions[0] == captions[2] == [best]
    assert captions[1][0].startswith("pets/1.jpg: cat 50.0% ± 1.0%; label &lt;dog&gt;; ")
    assert [caption.split(":")[0] for caption in captions[3]] == ["pets/2.jpg", "pets/1.jpg"]
    said = "3 of 3 examples are explained. 1 of 3 answers are right (33.3%). "
    assert said + "Without the text 1 of 3 answers would be different." in page


def test_pictures_are_inside_and_described_in_words():
    page, _ = make_page()
    pictures = re.findall(r'<img alt="(.*?)".*?src="data:image/jpeg;base64,(.*?)"', page)
    assert len(pictures) == 5
    for alt, data in pictures:
        assert alt.startswith("Why cat, 50.0% ± 1.0%. It rests on: text.")
        assert "strongest words: “dog” −0.20, “a” +0.10, “b” +0.10." in alt
        assert tf.io.decode_jpeg(base64.b64decode(data)).shape[1] == 1248
    assert "<b>" not in page and not re.search(r"(?:src|href)=\"(?!data:)", page)


def test_what_is_missing_is_said(dots):
    page, _ = make_page({"best": None, "worst": None, "changed": None}, None, None)
    assert "The examples have no labels, so it is not known which answers are best." in page
    assert "so it is not known which answers are worst." in page
    assert "No example has a text that the model reads." in page
    assert "are right" not in page and "ithout the text" not in page
    page, _ = make_page({"best": [], "worst": []})
    assert "No answer is right." in page and "No answer is wrong." in page


def test_a_picture_in_words():
    maps = {
        "gradient": explanations.make_map("gradient", np.eye(3)),
        "attention": explanations.make_map("attention", np.eye(3)),
    }
    grades = {"shapley": explanations.grade(), "attention": explanations.grade("it looks random")}
    regions = np.array([[0.3, 0, 0], [0, -0.4, 0], [0, 0.01, 0.1]])
    errors = np.full((3, 3), 0.02)
    found = explanations.make(
        "one dog", maps=maps, grades=grades, regions=regions, regions_error=errors,
        modality={"image": 0.01, "text": -0.1},
    )  # fmt: skip
    assert describe(found) == (
        "Why cat, 50.0% ± 1.0%. It rests on: image and text. The picture adds +0.01; strongest "
        "regions: the centre −0.40, top left +0.30, bottom right +0.10. The text adds −0.10; "
        "strongest words: “dog” −0.20, “one” +0.10. Further maps: the gradient. "
        "Refused: the attention."
    )
    refused = {"shapley": explanations.grade("it looks random.")}
    said = describe(explanations.make("one dog", grades=refused, modality=found.modality))
    assert said == (
        "Why cat, 50.0% ± 1.0%. It rests on: image and text. The picture adds +0.01; values of "
        "regions are refused: it looks random. The text adds −0.10; values of words are refused: "
        "it looks random."
    )
    none = explanations.make("", regions_error=np.ones((2, 3)), evidence="image")
    assert "no regions told from zero" in describe(none) and "The text" not in describe(none)


@pytest.mark.parametrize("error", [None, np.linspace(0.01, 0.07, 7)])
def test_uncertainty_is_told_where_it_is_known(dots, error):
    page, _ = make_page(probability_error=error)
    assert ("± 1.0%" in page) == (error is not None)
