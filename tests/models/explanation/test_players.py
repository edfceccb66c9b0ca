"""Regions of pictures and words of texts, and what is left when some are taken out."""

import keras_hub
import numpy as np
import pytest

from tatl_keras import data
from tatl_keras.models.explanation.players import Picture, Text, region_means, region_places

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCABULARY += ["ein", "gross", "##er", "hase", "!", "cafe", "日", "本"]


@pytest.fixture(scope="module")
def preprocessor():
    tokenizer = keras_hub.models.BertTokenizer(VOCABULARY, lowercase=True, strip_accents=True)
    return data.Preprocessor(None, tokenizer, sequence_length=8)


def read(preprocessor, text):
    tensors = preprocessor({"text": np.array([text.encode()])})
    return Text(text, tensors["token_ids"][0], tensors["padding_mask"][0], preprocessor)


def test_spans_are_those_of_the_original_text(preprocessor):
    text = "  Ein   grosser\tCAFÉ日本\n"
    found = read(preprocessor, text)
    assert [word["text"] for word in found.words] == ["Ein", "grosser", "CAFÉ", "日", "本"]
    assert all(text[word["start"] : word["end"]] == word["text"] for word in found.words)
    assert [some.tolist() for some in found.tokens] == [[1], [2, 3], [4], [5], [6]]


def test_decomposed_accents_keep_their_span(preprocessor):
    found = read(preprocessor, "Cafe\u0301 Hase!")
    assert [(word["start"], word["end"]) for word in found.words] == [(0, 5), (6, 11)]
    assert [some.tolist() for some in found.tokens] == [[1], [2, 3]]


def test_words_behind_the_end_are_no_players(preprocessor):
    found = read(preprocessor, "ein hase ein hase grosser hase ein")  # room for six tokens
    assert [word["start"] for word in found.words] == [0, 4, 9, 13, 18]
    assert found.tokens[-1].tolist() == [5, 6]


def test_what_is_left_is_the_text_without_the_words(preprocessor):
    words = ["ein", "grosser", "cafe", "hase"]
    text = read(preprocessor, " ".join(words))
    members = np.array([[bool(bits >> i & 1) for i in range(4)] for bits in range(1, 16)])
    found = text.inputs(members)
    for row, kept in enumerate(members):
        alone = read(preprocessor, " ".join(w for w, k in zip(words, kept, strict=True) if k))
        length = found["token_ids"].shape[1]
        np.testing.assert_array_equal(found["token_ids"][row], alone.token_ids[:length])
        np.testing.assert_array_equal(found["padding_mask"][row], alone.padding_mask[:length])


def test_a_text_without_words_is_missing(preprocessor):
    found = read(preprocessor, "ein hase").inputs(np.array([[False, False], [True, False]]))
    assert found["padding_mask"].sum(axis=1).tolist() == [0, 3]
    assert read(preprocessor, "  ").count == 0


def test_regions_are_left_out_by_the_mean_colour(rng):
    image = rng.normal(size=(6, 9, 3)).astype("float32")
    picture = Picture(image, (2, 3))
    members = np.ones((3, 6), bool)
    members[1, 4] = False
    members[2] = False
    whole, some, nothing = picture.inputs(members, image.shape)
    np.testing.assert_array_equal(whole, image)
    inside = np.zeros((6, 9), bool)
    inside[3:, 3:6] = True
    np.testing.assert_array_equal(some[~inside], image[~inside])
    mean = image.astype("float64").mean(axis=(0, 1))
    np.testing.assert_allclose(some[inside], np.tile(mean, (9, 1)), rtol=1e-6)
    assert not nothing.any()


def test_variants_are_small_shifts_and_the_mirror_image(rng):
    image = rng.normal(size=(64, 64, 3)).astype("float32")
    found = Picture(image, (3, 3)).variants()
    assert found.shape == (6, 64, 64, 3)
    np.testing.assert_array_equal(found[1], image[:, ::-1])
    np.testing.assert_array_equal(found[2][2:], image[:-2])
    np.testing.assert_array_equal(found[5][:, :-2], image[:, 2:])


def test_maps_become_regions_by_area():
    values = np.arange(49.0).reshape(7, 7)
    fine = np.repeat(np.repeat(values, 3, axis=0), 3, axis=1)  # 21 × 21: both grids fit
    places = region_places((21, 21), (3, 3))
    expected = [fine[places == region].mean() for region in range(9)]
    np.testing.assert_allclose(region_means(values, (3, 3)), expected)
