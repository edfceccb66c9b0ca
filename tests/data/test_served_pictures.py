"""Pictures of a request are what training made of each, and none can fail another."""

import io

import keras_hub
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tatl_keras.data import Preprocessor
from tatl_keras.data.picture_size import count_pixels
from tatl_keras.data.served_pictures import isolated_image_tensors
from tests.data import nasty

MAX_PIXELS = 10**6


@pytest.fixture(scope="module")
def preprocessor():
    converter = keras_hub.layers.ImageConverter(
        image_size=(13, 19), scale=[1 / 60, 1 / 58, 1 / 57], offset=[-2.1, -2.0, -1.8]
    )
    return Preprocessor(converter)


@pytest.fixture(scope="module")
def served(preprocessor):
    """The graph of a server, with NumPy arrays at both ends."""
    spec = tf.TensorSpec([None], tf.string)
    graph = tf.function(
        lambda image: isolated_image_tensors(preprocessor, image, MAX_PIXELS),
        input_signature=[spec],
    )

    def ask(contents):
        found = graph(tf.constant(list(contents), tf.string))
        return found["images"].numpy(), found["has_image"].numpy()

    return ask


def trained_on(preprocessor, contents):
    """What training makes of one picture by itself: its pixels, or `None`; too large is `None`."""
    try:
        if count_pixels(tf.constant(contents)) > MAX_PIXELS:
            return None
        found = preprocessor({"image": tf.constant(contents)})
    except tf.errors.OpError:
        return None
    return found["images"].numpy() if found["has_image"] else None


def check(preprocessor, served, contents):
    """Compares each row of a request with the same picture alone in training, bit for bit."""
    images, has_image = served(contents)
    for row, one in enumerate(contents):
        expected = trained_on(preprocessor, one)
        assert bool(has_image[row]) == (expected is not None), one[:40]
        np.testing.assert_array_equal(images[row], 0 if expected is None else expected)
    return has_image


def test_nasty_pictures_are_those_of_training(preprocessor, served):
    assert check(preprocessor, served, list(nasty.pictures().values())).all()


@pytest.mark.parametrize("kind", ["grey png", "rgba png", "1 × 1", "palette png", "BMP"])
def test_pixels_are_those_of_pillow_resized_and_normalised(served, kind, preprocessor):
    contents = nasty.pictures()[kind]
    with Image.open(io.BytesIO(contents)) as image:
        rgba = np.asarray(image.convert("RGBA"), np.float64)
    alpha = rgba[..., 3:] / 255
    pixels = np.rint(alpha * rgba[..., :3] + (1 - alpha) * 255)
    expected = preprocessor.image_converter(pixels.astype("float32"))
    images, _ = served([contents])
    unit = np.array([1 / 60, 1 / 58, 1 / 57])
    most = 1 if (alpha < 1).any() else 1e-3  # a tie is rounded to either side
    assert np.max(np.abs(images[0] - expected) / unit) <= most


def test_36_megapixels(preprocessor):
    contents = nasty.encode(nasty.noise("L", (60, 60)).resize((6000, 6000)), "JPEG")
    found = isolated_image_tensors(preprocessor, tf.constant([contents, b"x"]), 36 * 10**6)
    expected = preprocessor({"image": tf.constant(contents)})["images"]
    np.testing.assert_array_equal(found["images"][0], expected)
    assert found["has_image"].numpy().tolist() == [1, 0]


def test_too_many_pixels_are_not_decoded(served):
    for kind in nasty.FORMATS:
        most, more = (nasty.encode(Image.new("RGB", (1000, h)), kind) for h in (1000, 1001))
        assert served([more, most])[1].tolist() == [0, 1], kind
    assert served([nasty.bomb()])[1].tolist() == [0]


@pytest.mark.parametrize("bad", [b"", b"x", b"\x89PNG\r\n\x1a\n", nasty.bomb(2000)])
def test_a_bad_row_anywhere_changes_no_bit_of_the_others(served, bad):
    good = list(nasty.pictures().values())[:5]
    expected, _ = served(good)
    assert all(np.any(image) for image in expected)
    for place in range(6):
        images, has_image = served([*good[:place], bad, *good[place:]])
        assert has_image.tolist() == [row != place for row in range(6)]
        np.testing.assert_array_equal(np.delete(images, place, axis=0), expected)
        assert not images[place].any()
    for place in range(5):
        alone, _ = served(good[place : place + 1])
        np.testing.assert_array_equal(alone[0], expected[place])


def test_any_order_and_none_readable(served, rng):
    contents = [*nasty.pictures().values(), *nasty.cuts(4)]
    images, has_image = served(contents)
    assert 0 < has_image.sum() < len(contents)
    order = rng.permutation(len(contents))
    again, has_again = served([contents[place] for place in order])
    np.testing.assert_array_equal(again, images[order])
    np.testing.assert_array_equal(has_again, has_image[order])
    for rows in (1, 3):
        images, has_image = served([b"no picture"] * rows)
        assert images.shape == (rows, 13, 19, 3) and not images.any() and not has_image.any()


def test_cut_pictures_are_those_of_training(preprocessor, served):
    has_image = check(preprocessor, served, nasty.cuts()).reshape(len(nasty.FORMATS), 10)
    assert not has_image[:, 0].any() and has_image.sum() < has_image.size // 2


def test_mutated_pictures_are_those_of_training(preprocessor, served):
    has_image = check(preprocessor, served, nasty.mutated(300))
    assert 30 < has_image.sum() < 270


@pytest.mark.large
def test_ten_thousand_mutated_pictures(preprocessor, served):
    for seed in range(100):
        assert 0 < check(preprocessor, served, nasty.mutated(100, seed)).sum() < 100
