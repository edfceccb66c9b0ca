"""What every signature of an export can be asked, and one way to ask in Python."""

import numpy as np
import tensorflow as tf

from tests.data import nasty

BAD = (b"no picture", nasty.encode(nasty.noise(), "PNG")[:300], nasty.bomb())
IMAGES = [*list(nasty.pictures().values())[:3], *BAD, b""]
TEXTS = [b"a red cat", b"", "猫 🐈".encode(), b"a\0b \xff", b"dog", b"", b"star"]
CLASS_TEXTS = [[b"cat", b"a photo of a cat"], [b"a moon", b""]]


def strings(values):
    """An array of bytes of any length, NULs included."""
    return np.array(values, object)


def example(image, text):
    """A serialised `tf.Example`."""
    columns = {"image_bytes": image, "text": text}
    lists = {name: tf.train.BytesList(value=[value]) for name, value in columns.items()}
    features = {name: tf.train.Feature(bytes_list=values) for name, values in lists.items()}
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def question(spec):
    """Dict of inputs for a signature, of seven rows, some of which cannot be read.

    Args:
        spec: dict from input to `TensorSpec`.
    """
    rows = len(IMAGES)
    rng = np.random.default_rng(0)
    made = {
        "image_bytes": lambda _: strings(IMAGES),
        "text": lambda _: strings(TEXTS),
        "inputs": lambda _: strings(
            [*map(example, IMAGES[:-1], TEXTS), b"no example"]
        ),
        "class_texts": lambda _: np.broadcast_to(strings(CLASS_TEXTS), (rows, 2, 2)),
        "images": lambda shape: rng.normal(size=shape).astype(np.float32),
        "has_image": lambda _: np.array([1, 1, 0, 1, 1, 0, 0], np.int32),
        "token_ids": lambda shape: rng.integers(0, 5, shape, np.int32),
        "padding_mask": lambda shape: (
            np.arange(shape[1]) < np.array([9, 0, shape[1], 1, 2, 3, 0])[:, None]
        ).astype(np.int32),
    }  # fmt: skip
    return {name: made[name]((rows, *one.shape[1:])) for name, one in spec.items()}


def questions(signatures):
    """Dict from each signature of a loaded SavedModel to its `question`."""
    specs = {name: found.structured_input_signature[1] for name, found in signatures.items()}
    return {name: question(spec) for name, spec in specs.items()}


def ask(signature, feed):
    """Dict of arrays."""
    tensors = {name: tf.constant(array.tolist() if array.dtype == object else array)
               for name, array in feed.items()}  # fmt: skip
    return {name: value.numpy() for name, value in signature(**tensors).items()}


def compare(answer, expected, atol):
    """Asserts that numbers are close (4 times as far, relatively), everything else the same."""
    assert sorted(answer) == sorted(expected)
    for name, value in expected.items():
        if value.dtype.kind == "f":
            np.testing.assert_allclose(answer[name], value, 4 * atol, atol, err_msg=name)
        else:
            np.testing.assert_array_equal(answer[name], value, err_msg=name)
