"""The preprocessor: pixels, tokens and what is missing, the same in tf.data and in a graph."""

import json
import pathlib

import keras_hub
import numpy as np
import pytest
import tensorflow as tf

from tatl_keras.data import Preprocessor

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "red", "cat", "dog", "##s", "e"]
LENGTH, HEIGHT, WIDTH = 7, 5, 3


@pytest.fixture
def preprocessor():
    return Preprocessor(
        keras_hub.layers.ImageConverter(image_size=(HEIGHT, WIDTH), scale=2.0, offset=-1.0),
        keras_hub.models.BertTokenizer(VOCABULARY, lowercase=True, strip_accents=True),
        sequence_length=LENGTH,
    )


def _png(value, height=HEIGHT, width=WIDTH):
    return tf.io.encode_png(tf.fill([height, width, 3], tf.cast(value, tf.uint8))).numpy()


def test_values_worked_out_by_hand(preprocessor):
    out = preprocessor({"image": [_png(10), b""], "text": ["A red CATS, é", " \n "]})
    assert out["has_image"].numpy().tolist() == [1, 0]
    assert out["has_text"].numpy().tolist() == [1, 0]
    np.testing.assert_allclose(out["images"][0], np.full((HEIGHT, WIDTH, 3), 19.0))
    np.testing.assert_array_equal(out["images"][1], np.zeros((HEIGHT, WIDTH, 3)))
    # [CLS] a red cat ##s , → [UNK] é → e, cut to seven with [SEP] at the end
    assert out["token_ids"].numpy().tolist() == [[2, 5, 6, 7, 9, 1, 3], [2, 3, 0, 0, 0, 0, 0]]
    assert out["padding_mask"].numpy().tolist() == [[1] * 7, [0] * 7]
    assert {value.dtype for value in out.values()} == {tf.float32, tf.int32}


def test_single_equals_its_row_in_a_batch(preprocessor):
    batch = {"image": [_png(1, 9, 4), _png(200)], "text": ["red", "dogs"]}
    rows = preprocessor(batch)
    for row in range(2):
        single = preprocessor({key: column[row] for key, column in batch.items()})
        for name, value in single.items():
            np.testing.assert_array_equal(value, rows[name][row])


def test_texts_that_break_naive_tokenisers(preprocessor):
    texts = ["cat\x00dog", b"cat \xff\xfe dog", "cat " * 30_000, "猫 😀 cat", "e\u0301 cat"]
    ids = preprocessor({"text": texts})["token_ids"].numpy().tolist()
    assert ids[0][:4] == [2, 7, 8, 3]
    assert ids[1][1] == 7 and 8 in ids[1]
    assert ids[2] == [2, 7, 7, 7, 7, 7, 3]
    assert ids[3][:5] == [2, 1, 1, 7, 3]
    assert ids[4][:4] == [2, 10, 7, 3]


def test_pixels_are_taken_as_they_are_from_0_to_255(preprocessor):
    pixels = np.full((2, 9, 8, 3), 10, np.uint8)
    for array in (pixels, pixels.astype("float32"), pixels[..., :1]):
        out = preprocessor({"image": array})
        np.testing.assert_allclose(out["images"], np.full((2, HEIGHT, WIDTH, 3), 19.0), atol=1e-4)
        assert out["has_image"].numpy().tolist() == [1, 1]
        assert out["has_text"].numpy().tolist() == [0, 0]


def test_dataset_equals_calls_and_keeps_order(preprocessor):
    images = [_png(v) if v % 3 else b"" for v in range(11)]
    texts = ["red cat" if v % 2 else "" for v in range(11)]
    raw = tf.data.Dataset.from_tensor_slices(({"image": images, "text": texts}, np.arange(11)))
    for dataset in (preprocessor.dataset(raw, 4), preprocessor.dataset(raw.batch(4), 99)):
        batches = list(dataset)
        assert [len(y) for _, y in batches] == [4, 4, 3]
        assert np.concatenate([y for _, y in batches]).tolist() == list(range(11))
        want = preprocessor({"image": images, "text": texts})
        for name, value in want.items():
            np.testing.assert_array_equal(np.concatenate([x[name] for x, _ in batches]), value)


def test_dataset_shuffles_all_examples_anew_each_epoch(preprocessor):
    raw = tf.data.Dataset.from_tensor_slices(({"text": ["a"] * 200}, np.arange(200)))
    dataset = preprocessor.dataset(raw, 16, shuffle=True, seed=3)
    epochs = [np.concatenate([y for _, y in dataset]).tolist() for _ in range(2)]
    assert epochs[0] != epochs[1]
    assert all(
        sorted(epoch) == list(range(200)) and epoch[:16] != list(range(16)) for epoch in epochs
    )
    again = preprocessor.dataset(raw, 16, shuffle=True, seed=3)
    assert np.concatenate([y for _, y in again]).tolist() == epochs[0]


def test_only_dense_floats_and_int32_travel(preprocessor):
    raw = tf.data.Dataset.from_tensor_slices({"image": [_png(1)], "text": ["a"]})
    spec = preprocessor.dataset(raw, 2).element_spec
    assert {s.dtype for s in spec.values()} == {tf.float32, tf.int32}
    assert spec["images"].shape.as_list() == [None, HEIGHT, WIDTH, 3]
    assert spec["token_ids"].shape.as_list() == [None, LENGTH]


def test_learned_vocabulary_covers_the_text():
    preprocessor = Preprocessor(tokenizer=keras_hub.models.BertTokenizer(lowercase=True))
    texts = tf.data.Dataset.from_tensor_slices(["red cat", "", "blue cat"] * 20)
    assert preprocessor.needs_vocabulary
    with pytest.raises(ValueError, match="tokenizer without one"):
        preprocessor({"text": ["red"]})
    preprocessor.adapt(texts, 60)
    assert not preprocessor.needs_vocabulary
    ids = preprocessor({"text": ["RED cat zebra"]})["token_ids"].numpy()[0]
    unknown = preprocessor.tokenizer.token_to_id("[UNK]")
    assert unknown not in ids[1:3] and ids.max() < 60


def test_config_and_assets_bring_it_back(preprocessor, tmp_path):
    clone = Preprocessor.from_config(preprocessor.get_config())
    assert clone.needs_vocabulary and clone.sequence_length == LENGTH
    preprocessor.tokenizer.save_assets(str(tmp_path))
    clone.tokenizer.load_assets(str(tmp_path))
    x = {"image": [_png(9)], "text": ["a red cat"]}
    for name, value in preprocessor(x).items():
        np.testing.assert_array_equal(clone(x)[name], value)


def test_bad_input(preprocessor):
    with pytest.raises(ValueError, match="sequence_length=2"):
        Preprocessor(sequence_length=2)
    with pytest.raises(ValueError, match=r"x with keys \['caption'\]"):
        preprocessor.tensors({"caption": tf.constant(["a"])})
    with pytest.raises(ValueError, match="only empty strings"):
        fresh = Preprocessor(tokenizer=keras_hub.models.BertTokenizer(lowercase=True))
        fresh.adapt(tf.data.Dataset.from_tensor_slices(["", " "]), 50)
    endless = tf.data.Dataset.from_tensors({"text": "a"}).repeat()
    with pytest.raises(ValueError, match="infinite dataset"):
        preprocessor.dataset(endless, 2, shuffle=True)


def test_real_presets_on_real_pictures(shared):
    """Pixels against Pillow and NumPy; ids against a plain lookup in the vocabulary file."""
    from PIL import Image

    encoders = pathlib.Path(__file__).parents[2] / "saved_models/encoders"
    preprocessor = Preprocessor(
        keras_hub.layers.ImageConverter.from_preset(str(encoders / "efficientnet_lite0")),
        keras_hub.tokenizers.Tokenizer.from_preset(str(encoders / "minilm_l6")),
    )
    rows = (shared / "data/emoji/manifest.jsonl").read_text(encoding="utf-8").splitlines()
    row = next(r for r in map(json.loads, rows) if r["text"].startswith("wolf"))
    path = shared / "data/emoji" / row["image"]
    out = preprocessor({"image": [path.read_bytes()], "text": ["wolf face"]})
    rgba = np.asarray(Image.open(path).convert("RGBA"), np.float64)
    white = rgba[..., :3] * rgba[..., 3:] / 255 + 255 - rgba[..., 3:]
    corner, mean = out["images"][0, 0, 0].numpy(), out["images"].numpy().mean()
    np.testing.assert_allclose(corner, (white[0, 0] - 127) / 128, atol=0.02)
    np.testing.assert_allclose(mean, (white.mean() - 127) / 128, atol=0.01)
    vocabulary = (encoders / "minilm_l6/assets/tokenizer/vocabulary.txt").read_text().split("\n")
    want = [vocabulary.index(token) for token in ("[CLS]", "wolf", "face", "[SEP]")]
    assert out["token_ids"][0, :4].numpy().tolist() == want
