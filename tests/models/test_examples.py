"""Everything `fit`, `evaluate` and `predict` accept means the same examples."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import zoo
from tatl_keras.models.examples import as_dataset

TEXTS = ["a cat", "", "a dog"]


@pytest.fixture
def pixels(rng):
    return rng.integers(0, 256, (3, 20, 30, 3), dtype=np.uint8)


@pytest.fixture
def encoded(pixels):
    return [tf.io.encode_png(one).numpy() for one in pixels]


@pytest.fixture
def paths(encoded, tmp_path):
    files = [tmp_path / f"{row}.png" for row in range(3)]
    for file, contents in zip(files, encoded, strict=True):
        file.write_bytes(contents)
    return files


def test_every_form_gives_the_same_logits(pixels, encoded, paths):
    model = zoo.build("test_efficientnet_lstm_concat", num_classes=2, seed=0)
    x = {"image": encoded, "text": TEXTS}
    model.fit(x, [0, 1, 0], epochs=2, verbose=0)
    want = model.predict(x, verbose=0)
    strings = [str(path) for path in paths]
    slices = tf.data.Dataset.from_tensor_slices
    forms = {
        "paths": {"image": paths, "text": TEXTS},
        "strings": {"image": strings, "text": np.array(TEXTS, object)},
        "mixed": {"image": [encoded[0], strings[1], paths[2]], "text": TEXTS},
        "pixels": {"image": pixels, "text": TEXTS},
        "list of pixels": {"image": list(pixels), "text": TEXTS},
        "rows": [{"image": i, "text": t} for i, t in zip(encoded, TEXTS, strict=True)],
        "dataset of bytes": slices({"image": encoded, "text": TEXTS}),
        "dataset of paths": slices({"image": strings, "text": TEXTS}),
        "batched paths": slices({"image": strings, "text": TEXTS}).batch(2),
        "with labels": slices(({"image": encoded, "text": TEXTS}, [0, 1, 0])),
        "pixels in a dataset": slices({"image": pixels, "text": TEXTS}),
    }
    for name, form in forms.items():
        np.testing.assert_allclose(model.predict(form, verbose=0), want, atol=1e-6, err_msg=name)


def test_missing_columns_and_values(encoded):
    model = zoo.build("test_efficientnet_lstm_concat", num_classes=2, seed=0)
    model.fit({"image": encoded, "text": TEXTS}, [0, 1, 0], epochs=2, verbose=0)
    empty = model.predict({"image": encoded, "text": [""] * 3}, verbose=0)
    for text in ([None] * 3, [float("nan")] * 3):
        form = {"image": encoded, "text": text}
        np.testing.assert_array_equal(model.predict(form, verbose=0), empty)
    np.testing.assert_array_equal(model.predict({"image": encoded}, verbose=0), empty)
    none = model.predict({"image": [None] * 3, "text": TEXTS}, verbose=0)
    np.testing.assert_array_equal(model.predict({"text": TEXTS}, verbose=0), none)


def test_labels_may_be_names():
    model = zoo.build("test_bert_text_only", num_classes=2, seed=0)
    x = {"text": ["cat", "dog", "cat", "dog"]}
    model.fit(x, ["feline", "canine", "feline", "canine"], epochs=20, verbose=0)
    assert model.class_names == ["canine", "feline"]
    by_name = model.evaluate(x, ["feline", "canine", "feline", "canine"], verbose=0)
    assert by_name == model.evaluate(x, [1, 0, 1, 0], verbose=0)
    with pytest.raises(ValueError, match=r"Received: \['bird'\]"):
        model.evaluate(x, ["bird"] * 4)


def test_pictures_of_different_sizes_as_arrays(rng):
    images = [rng.integers(0, 256, shape, dtype=np.uint8) for shape in ((9, 7, 3), (5, 6, 1))]
    rows = list(as_dataset({"image": images}))
    assert [row["image"].shape.as_list() for row in rows] == [[9, 7, 3], [5, 6, 1]]
    np.testing.assert_array_equal(rows[0]["image"], images[0])
    assert int(as_dataset({"image": images}).cardinality()) == 2


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ("a picture", None, "of type str"),
        ({"image": b"x", "text": "y"}, None, "lists or arrays. Received: a single image"),
        ([], None, "at least one example. Received: an empty list"),
        ({"caption": ["a"]}, None, r"x with \['caption'\]"),
        ({"text": ["a", "b"]}, [0], r"lengths \{'text': 2, 'y': 1\}"),
        ({"image": [3]}, None, "Received: int in row 0"),
        ({"image": ["nowhere.png"]}, None, r"\['nowhere.png'\] \(1 of 1"),
        ({"image": [np.zeros((4, 4, 3)), np.zeros((4, 4))]}, None, r"shape \(4, 4\) in row 1"),
        (tf.data.Dataset.range(3), None, "TensorSpec"),
        (tf.data.Dataset.from_tensors({"text": "a"}), [1], r"y=\[1\]"),
    ],
)
def test_bad_input(x, y, message):
    with pytest.raises(ValueError, match=message):
        as_dataset(x, y)


def test_a_path_that_is_gone_is_an_error_not_a_blank_picture(tmp_path):
    dataset = as_dataset(tf.data.Dataset.from_tensor_slices({"image": [str(tmp_path / "no.png")]}))
    with pytest.raises(tf.errors.NotFoundError, match="no.png"):
        list(dataset)


def test_pathlib_paths_are_relative_to_the_working_directory(paths):
    relative = [pathlib.Path(path.name) for path in paths]
    assert [row["image"].numpy() for row in as_dataset({"image": relative})] == [
        path.read_bytes() for path in paths
    ]


def test_columns_may_be_empty():
    found = as_dataset({"image": [], "text": []})
    assert list(found) == [] and found.element_spec["image"].dtype == tf.string
