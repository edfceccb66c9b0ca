"""Data sets of features: order, views, memory, and what `fit`, `evaluate` and `predict` see."""

import collections
import os
import shutil
import tracemalloc

import keras
import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import data, training, zoo
from tatl_keras.features import upkeep
from tatl_keras.features.encoded import EncodedDataset, Modality
from tatl_keras.features.space import Space
from tests.features import stubs

KEYS = [*stubs.keys_of(20), None, *stubs.keys_of(3), None]
NAMES = ["image_pooled", "image_tokens", "image_mask", "has_image"]


def made_up(directory, *, memory_bytes, views=1, keys=KEYS):
    """Features of made-up keys; view v is v added to what belongs to the key."""
    spaces = []
    for view in range(views):
        space = Space(stubs.DESCRIPTION | {"view": view}, ("pooled", "tokens"), directory)
        for start in range(0, 20, 6):
            some = stubs.keys_of(20)[start : start + 6]
            rows = stubs.rows(some, ("pooled", "tokens"))
            if not space.find(some[0]):
                with space.alone():
                    space.write(some, rows | {"pooled": rows["pooled"] + view})
        spaces.append(space)
    modality = Modality("image", spaces, keys, stubs.DIM, NAMES)
    return EncodedDataset([modality], {}, np.arange(len(keys)), None, memory_bytes)


def pooled(key, view=0):
    return np.zeros(stubs.DIM, "float32") if key is None else stubs.vector(key) + np.float32(view)


def read(dataset):
    """All of a data set in one: (x, y)."""
    batches = list(dataset.as_numpy_iterator())
    x = {name: np.concatenate([batch[0][name] for batch in batches]) for name in batches[0][0]}
    return x, np.concatenate([batch[1] for batch in batches])


@pytest.mark.parametrize("memory_bytes", [0, 1 << 30], ids=["disk", "memory"])
def test_every_row_stands_where_its_example_does(tmp_path, memory_bytes):
    x, y = read(made_up(tmp_path, memory_bytes=memory_bytes).dataset(4))
    np.testing.assert_array_equal(y, np.arange(len(KEYS)))
    longest = max(stubs.length(key) for key in KEYS if key)
    for key, *row in zip(KEYS, *(x[name] for name in NAMES), strict=True):
        vector, tokens, mask, has = row
        count = 0 if key is None else stubs.length(key)
        np.testing.assert_array_equal(vector, pooled(key))
        assert tokens.shape == (longest, stubs.DIM) and has == (key is not None)
        np.testing.assert_array_equal(mask, np.arange(longest) < count)
        assert not tokens[count:].any()
        if count:
            np.testing.assert_array_equal(tokens[:count], stubs.tokens(key))


def test_streaming_equals_memory_in_every_shuffled_epoch(tmp_path):
    datasets = [
        made_up(tmp_path, memory_bytes=size, views=3).dataset(4, shuffle=True, seed=7)
        for size in (0, 1 << 30)
    ]
    orders = []
    for _ in range(3):
        (x, y), (other_x, other_y) = map(read, datasets)
        np.testing.assert_array_equal(y, other_y)
        for name in NAMES:
            np.testing.assert_array_equal(x[name], other_x[name])
        assert sorted(y) == list(range(len(KEYS)))
        orders.append(tuple(y))
    assert len(set(orders)) == 3 and tuple(range(len(KEYS))) not in orders
    again = made_up(tmp_path, memory_bytes=0, views=3).dataset(4, shuffle=True, seed=7)
    assert [tuple(read(again)[1]) for _ in range(3)] == orders
    other = made_up(tmp_path, memory_bytes=0, views=3).dataset(4, shuffle=True, seed=8)
    assert tuple(read(other)[1]) != orders[0]


def test_views_are_drawn_evenly_and_by_the_seed(tmp_path):
    def drawn(seed, epochs=40):
        dataset = made_up(tmp_path, memory_bytes=0, views=3).dataset(8, shuffle=True, seed=seed)
        views = []
        for _ in range(epochs):
            x, y = read(dataset)
            for vector, place in zip(x["image_pooled"], y, strict=True):
                key = KEYS[place]
                if key is not None:
                    (view,) = [v for v in range(3) if np.array_equal(vector, pooled(key, v))]
                    views.append((int(place), view))
        return views

    views = drawn(1)
    counts = collections.Counter(view for _, view in views)
    expected = len(views) / 3
    chi_squared = sum((counts[view] - expected) ** 2 / expected for view in range(3))
    assert chi_squared < 13.8, counts  # 0.1 % of fair draws are less even
    for place in range(20):
        assert {view for at, view in views if at == place} == {0, 1, 2}
    assert drawn(1, 3) == views[: 3 * 23] and drawn(2, 3) != views[: 3 * 23]


def test_without_shuffling_the_first_view_is_read(tmp_path):
    x, _ = read(made_up(tmp_path, memory_bytes=0, views=3).dataset(4))
    np.testing.assert_array_equal(x["image_pooled"], [pooled(key) for key in KEYS])


def test_streaming_holds_little_in_memory(tmp_path):
    dim, keys = 2048, stubs.keys_of(2048)
    space = Space(stubs.DESCRIPTION, ("pooled",), tmp_path)
    for start in range(0, len(keys), 256):
        some = keys[start : start + 256]
        with space.alone():
            ones = np.full((256, dim), start, "float32")
            space.write(some, {"has": np.ones(256, "uint8"), "pooled": ones})
    uses = ["image_pooled", "has_image"]
    features = EncodedDataset([Modality("image", [space], keys, dim, uses)], {}, None, None, 0)
    assert features.nbytes == 16 << 20
    dataset = features.dataset(32, shuffle=True, seed=0)  # 256 KiB a batch
    tracemalloc.start()
    rows = sum(len(batch["has_image"]) for batch in dataset.as_numpy_iterator())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows == 2048 and peak < 6 << 20, peak


@pytest.fixture
def rotated(encode, pictures):
    """`rotated(directory, views)`: the pooled features of each augmented view."""

    def rotated(directory=None, views=2, seed=3, chosen=pictures):
        augmentation = keras.layers.RandomRotation(0.5, seed=seed)
        cache = training.FeatureCache(directory, augmentation=augmentation, views=views)
        features = encode({"image": chosen}, cache, augmented=True)
        count = np.arange(len(features))
        assert features.num_views == views
        found = [features.read(count, count * 0 + view)["image_pooled"] for view in range(views)]
        return found, features.counts["image"]["encoded"]

    return rotated


def test_views_differ_and_are_the_same_again(rotated, encode, pictures):
    plain = encode({"image": pictures}).arrays()[0]["image_pooled"]
    views, encoded = rotated()
    assert encoded == 10
    rows = [tuple(row) for row in np.concatenate([plain, *views])]
    assert len(set(rows)) == 15
    np.testing.assert_array_equal(views, rotated()[0])
    assert not np.array_equal(views, rotated(seed=4)[0])


def test_a_view_is_drawn_for_the_picture_and_not_in_the_order_of_work(rotated, pictures, tmp_path):
    views, _ = rotated()
    backwards, _ = rotated(chosen=pictures[::-1].copy())
    np.testing.assert_array_equal(np.flip(backwards, axis=1), views)
    # One picture alone, then the others in a second run, and a view that got lost in between.
    assert rotated(tmp_path, chosen=pictures[:1])[1] == 2
    folders = sorted(os.listdir(tmp_path))
    shutil.rmtree(tmp_path / folders[1])
    resumed, encoded = rotated(tmp_path)
    assert encoded == 9
    np.testing.assert_array_equal(resumed, views)


def test_more_views_use_those_that_are_there(rotated, tmp_path):
    one, encoded = rotated(tmp_path, views=1)
    assert encoded == 5
    two, encoded = rotated(tmp_path, views=2)
    assert encoded == 5
    np.testing.assert_array_equal(two[:1], one)


@pytest.fixture(scope="module")
def examples():
    return data.synthetic.examples(2, 12)


def test_fit_learns_from_views_and_everything_else_sees_the_plain_picture(examples, tmp_path):
    model = zoo.build("test_efficientnet_image_only", num_classes=2)
    layer = keras.layers.RandomRotation(0.5, seed=1)
    cache = training.FeatureCache(tmp_path, augmentation=layer, views=2, memory_gb=0)
    history = model.fit(
        examples, epochs=2, validation_data=examples, feature_cache=cache, verbose=0
    ).history
    spaces = upkeep.list_spaces(tmp_path)
    views = sorted(str(space.description.get("view")) for space in spaces)
    assert views == ["0", "1", "None"] and all(space.rows == 12 for space in spaces)
    loss = model.evaluate(examples, verbose=0)
    np.testing.assert_allclose(history["val_loss"][-1], loss[0], atol=1e-5)
    cached = model.evaluate(examples, verbose=0, feature_cache=cache)
    np.testing.assert_allclose(cached, loss, atol=1e-5)
    logits = model.predict(examples, verbose=0, feature_cache=cache)
    np.testing.assert_allclose(logits, model.predict(examples, verbose=0), atol=1e-5)


def test_views_need_raw_pictures_of_a_frozen_encoder(encode, preprocessor, pictures):
    cache = training.FeatureCache(augmentation=keras.layers.RandomFlip(), views=2)
    tensors = preprocessor({"image": pictures})
    dataset = tf.data.Dataset.from_tensor_slices({"images": tensors["images"]}).batch(2)
    with pytest.raises(ValueError, match="views of raw pictures.*Received: views=2"):
        encode(dataset, cache, augmented=True)
    with pytest.raises(ValueError, match="Received: augmentation=None"):
        training.FeatureCache(views=2)
    with pytest.raises(ValueError, match="Received: views=0"):
        training.FeatureCache(augmentation=keras.layers.RandomFlip(), views=0)
