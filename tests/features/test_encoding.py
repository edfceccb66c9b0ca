"""Features of data sets: what the encoders give, computed once, in the order of the examples."""

import keras_hub
import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import data, training
from tatl_keras.features import filling, rows
from tests.features.conftest import LENGTH

TEXTS = ["red cat", "", "a " * 30 + "dog", "   ", "Green dogs", "red cat"]


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, atol=2e-6, rtol=1e-5)


def test_equal_pictures_and_texts_are_encoded_once(encode, pictures, image, text, preprocessor):
    order = [0, 1, 0, 2, 1, 0, 2]
    x = {"image": pictures[order], "text": np.array(TEXTS)[[0, 2, 4, 0, 2, 4, 0]]}
    cache = training.FeatureCache()
    features = encode(x, cache)
    assert features.counts == {
        "image": {"encoded": 3, "found": 0}, "text": {"encoded": 3, "found": 0}
    }  # fmt: skip
    found = features.arrays()[0]
    tensors = preprocessor(x)
    close(found["image_pooled"], image(tensors["images"])["pooled"])
    close(found["text_pooled"], text(tensors)["pooled"])
    np.testing.assert_array_equal(found["image_pooled"][0], found["image_pooled"][5])
    again = encode(x, cache)
    assert again.counts == {
        "image": {"encoded": 0, "found": 3}, "text": {"encoded": 0, "found": 3}
    }  # fmt: skip
    for name, values in again.arrays()[0].items():
        np.testing.assert_array_equal(values, found[name])


def test_pooled_vectors_are_found_among_tokens_but_not_the_reverse(encode, pictures, tmp_path):
    x, encoded = {"image": pictures}, lambda features: features.counts["image"]["encoded"]
    full = encode(x, tmp_path / "tokens", tokens=True)
    assert encoded(full) == 5
    pooled = encode(x, tmp_path / "tokens")
    assert encoded(pooled) == 0
    expected = full.arrays()[0]["image_pooled"]
    np.testing.assert_array_equal(pooled.arrays()[0]["image_pooled"], expected)
    assert encoded(encode(x, tmp_path / "pooled")) == 5
    assert encoded(encode(x, tmp_path / "pooled", tokens=True)) == 5
    assert encoded(encode(x, tmp_path / "pooled", tokens=True)) == 0


@pytest.mark.parametrize(
    ("dtype", "numpy", "bound"),
    [("float16", np.float16, 2**-11), ("bfloat16", ml_dtypes.bfloat16, 2**-8)],
)
def test_half_precision_rounds_to_nearest(encode, pictures, tmp_path, dtype, numpy, bound):
    exact = encode({"image": pictures}, tokens=True).arrays()[0]
    cache = training.FeatureCache(tmp_path, dtype=dtype)
    stored = encode({"image": pictures}, cache, tokens=True).arrays()[0]
    for name in ("image_pooled", "image_tokens"):
        assert stored[name].dtype == np.float32
        np.testing.assert_array_equal(stored[name], exact[name].astype(numpy).astype("float32"))
        assert (np.abs(stored[name] - exact[name]) <= bound * np.abs(exact[name]) + 2**-25).all()
    np.testing.assert_array_equal(stored["image_mask"], exact["image_mask"])


def test_what_a_dtype_cannot_hold_is_refused():
    columns = filling.Columns(("pooled",), "float16")
    good = {"has": np.ones(1, "uint8"), "pooled": np.array([[65504.0, np.inf, np.nan]], "float32")}
    columns.append([bytes(32)], good)
    np.testing.assert_array_equal(columns.arrays()["pooled"], good["pooled"].astype("float16"))
    bad = good | {"pooled": np.array([[1.0, -70000.0, 2.0]], "float32")}
    with pytest.raises(ValueError, match="dtype='float16' for values up to 70000"):
        columns.append([bytes(32)], bad)
    filling.Columns(("pooled",), "bfloat16").append([bytes(32)], bad)


def test_missing_rows_are_zeros(encode, pictures, image, text, preprocessor):
    png = [tf.io.encode_png(picture).numpy() for picture in pictures]
    x = {"image": [png[0], b"", png[1], png[2], b"", png[0]], "text": TEXTS}
    found = encode(x, tokens=True).arrays()[0]
    np.testing.assert_array_equal(found["has_image"], [1, 0, 1, 1, 0, 1])
    np.testing.assert_array_equal(found["has_text"], [1, 0, 1, 0, 1, 1])
    tensors = preprocessor(x)
    direct = {"image": image(tensors["images"]), "text": text(tensors)}
    for modality, lacks in (("image", (1, 4)), ("text", (1, 3))):
        has = found[f"has_{modality}"].astype(bool)
        assert list(np.flatnonzero(~has)) == list(lacks)
        assert not found[f"{modality}_mask"][~has].any()
        close(found[f"{modality}_pooled"][has], direct[modality]["pooled"].numpy()[has])


def test_texts_are_as_long_as_the_longest(encode, text, preprocessor):
    found = encode({"text": TEXTS}, tokens=True).arrays()[0]
    tensors = preprocessor({"text": TEXTS})
    direct = text(tensors)
    longest = int(tensors["padding_mask"].numpy().sum(1).max())
    assert 16 < longest < LENGTH and found["text_tokens"].shape[1] == longest
    mask = tensors["padding_mask"].numpy()[:, :longest]
    np.testing.assert_array_equal(found["text_mask"], mask)
    close(found["text_tokens"][mask == 1], direct["tokens"].numpy()[:, :longest][mask == 1])
    assert not found["text_tokens"][mask == 0].any()
    short = encode({"text": ["red", "cat dog"]}, tokens=True).arrays()[0]
    assert short["text_tokens"].shape[1] == 4  # [CLS] cat dog [SEP]


def test_features_do_not_depend_on_the_neighbours(encode, pictures):
    together = encode({"image": pictures, "text": TEXTS[:5]}, tokens=True).arrays()[0]
    alone = encode({"image": pictures[2:3], "text": TEXTS[2:3]}, tokens=True).arrays()[0]
    for name, values in alone.items():
        np.testing.assert_array_equal(values[0], together[name][2], err_msg=name)


def test_pixels_of_several_sizes_with_labels_and_weights(encode, image, preprocessor, rng):
    shapes = [(8, 9, 3), (33, 20, 3), (8, 9, 3), (5, 5, 1)]
    values = [rng.integers(0, 256, shape).astype("float32") for shape in shapes]
    spec = ({"image": tf.TensorSpec([None] * 3)}, tf.TensorSpec((), tf.int64), tf.TensorSpec(()))
    dataset = tf.data.Dataset.from_generator(
        lambda: (({"image": v}, 7 - i, i / 4) for i, v in enumerate(values)), output_signature=spec
    )
    x, y, weight = encode(dataset).arrays()
    np.testing.assert_array_equal(y, [7, 6, 5, 4])
    np.testing.assert_array_equal(weight, [0, 0.25, 0.5, 0.75])
    for value, pooled in zip(values, x["image_pooled"], strict=True):
        one = preprocessor({"image": value[np.newaxis]})
        close(pooled, image(one["images"])["pooled"][0])


def test_batched_examples_give_what_single_ones_do(encode, pictures):
    columns = {"image": pictures, "text": TEXTS[:5]}
    y, weight = np.arange(5), np.linspace(0, 1, 5)
    single = encode(columns, y=y, sample_weight=weight).arrays()
    dataset = tf.data.Dataset.from_tensor_slices((columns, y, weight))
    batched = encode(dataset.batch(2)).arrays()
    tree = [(single[1], batched[1]), (single[2], batched[2])]
    tree += [(single[0][name], batched[0][name]) for name in single[0]]
    for one, other in tree:
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(batched[1], y)


def test_tensors_in_place_of_raw_examples(encode, pictures, preprocessor):
    x = {"image": pictures, "text": TEXTS[:5]}
    raw = encode(x, tokens=True).arrays()[0]
    tensors = {name: value.numpy() for name, value in preprocessor(x).items()}
    dataset = tf.data.Dataset.from_tensor_slices((tensors | {"other": np.arange(5)}, [1] * 5))
    found, y, _ = encode(dataset.batch(2), tokens=True).arrays()
    np.testing.assert_array_equal(found.pop("other"), np.arange(5))
    assert set(found) == set(raw) and list(y) == [1] * 5
    for name in ("has_image", "has_text", "text_mask"):
        np.testing.assert_array_equal(found[name], raw[name])
    close(found["image_tokens"], raw["image_tokens"])
    has = raw["has_text"] == 1
    close(found["text_pooled"][has], raw["text_pooled"][has])


def test_batches_of_one_size_and_shards_of_few_rows(encode, pictures, monkeypatch, tmp_path):
    expected = encode({"image": pictures}).arrays()[0]["image_pooled"]
    monkeypatch.setattr(filling, "SHARD_ROWS", 2)
    small = encode({"image": pictures}, tmp_path, batch_size=3)
    assert len(list(tmp_path.glob("*/*.safetensors"))) == 3
    close(small.arrays()[0]["image_pooled"], expected)


def test_a_bit_of_a_picture_or_of_a_weight_and_another_interpolation(
    encode, pictures, image, preprocessor, tmp_path
):
    def run(values, **options):
        features = encode({"image": values}, tmp_path, **options)
        return features.counts["image"]["encoded"], features.arrays()[0]["image_pooled"]

    first = run(pictures)
    changed = pictures.copy()
    changed[3, 0, 0, 0] ^= 1
    assert first[0] == 5 and run(pictures)[0] == 0
    assert run(changed)[0] == 1
    weight = image.weights[0]
    before = weight.numpy()
    bits = before.copy()
    bits.reshape(-1).view("uint32")[0] ^= 1 << 22
    weight.assign(bits)
    try:
        count, features = run(pictures)
        direct = encode({"image": pictures}).arrays()[0]["image_pooled"]
        assert count == 5
        np.testing.assert_array_equal(features, direct)
        assert not np.array_equal(features, first[1])
    finally:
        weight.assign(before)
    count, features = run(pictures)
    assert count == 0
    np.testing.assert_array_equal(features, first[1])
    config = preprocessor.image_converter.get_config() | {"interpolation": "nearest"}
    nearest = data.Preprocessor(keras_hub.layers.ImageConverter.from_config(config))
    count, features = run(pictures, preprocessor=nearest)
    assert count == 5 and not np.array_equal(features, first[1])


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (lambda x: tf.data.Dataset.from_tensor_slices(x).repeat(), "Received: an infinite dataset"),
        (lambda x: tf.data.Dataset.from_tensor_slices(x).take(0), "Received: an empty dataset"),
    ],
)
def test_data_sets_that_cannot_be_encoded(encode, pictures, dataset, message):
    with pytest.raises(ValueError, match=message):
        encode(dataset({"image": pictures}))


def test_a_picture_that_cannot_be_read_is_named_and_the_others_are_kept(
    encode, pictures, tmp_path, monkeypatch
):
    monkeypatch.setattr(filling, "SHARD_ROWS", 2)
    png = [tf.io.encode_png(picture).numpy() for picture in pictures]
    x = {"image": [*png[:3], png[3][:40], png[4]]}
    with pytest.raises(ValueError, match="must hold readable pictures. Received: example 3: "):
        encode(x, tmp_path)
    assert encode({"image": png}, tmp_path).counts["image"] == {"encoded": 3, "found": 2}


def test_values_and_sizes():
    pixels = np.zeros((2, 3, 3), "uint8")
    assert rows.value_of({"text": b"a"}, "text", True) == b"a"
    assert rows.value_of({"text": b""}, "text", True) is None
    assert rows.value_of({"text": b"a"}, "image", True) is None
    assert rows.value_of({"image": pixels}, "image", True) is pixels
    assert rows.value_of({"images": pixels, "has_image": 0}, "image", False) is None
    masked = {"token_ids": np.ones(3), "padding_mask": np.zeros(3, "int32")}
    assert rows.value_of(masked, "text", False) is None
    assert rows.size_of(pixels) == 18 and rows.size_of(b"abc") == 3
    assert rows.size_of({"a": pixels, "b": pixels}) == 36


@pytest.mark.parametrize("given", [{"memory_gb": -1}, {"memory_gb": "2"}, {"directory": ""}])
def test_options_out_of_bounds(given):
    ((name, value),) = given.items()
    with pytest.raises(ValueError, match=f"{name}.*Received: {name}={value!r}"):
        training.FeatureCache(**given)
