"""`tf.Example`s of a request are parsed one by one, and none can fail another."""

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from tatl_keras.data.served_examples import isolated_examples
from tests.data import nasty


def feature(*values):
    """Of the type of its values: bytes, int or float."""
    lists = {
        bytes: lambda: {"bytes_list": tf.train.BytesList(value=values)},
        int: lambda: {"int64_list": tf.train.Int64List(value=values)},
        float: lambda: {"float_list": tf.train.FloatList(value=values)},
    }
    return tf.train.Feature(**lists[type(values[0])]())


def example(**features):
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def columns(**values):
    return example(**{name: feature(value) for name, value in values.items()})


@pytest.fixture(scope="module")
def served():
    """The graph of a server, with pairs of bytes at its end."""
    graph = tf.function(isolated_examples, input_signature=[tf.TensorSpec([None], tf.string)])

    def ask(rows):
        images, texts = graph(tf.constant(rows, tf.string))
        return list(zip(images.numpy().tolist(), texts.numpy().tolist(), strict=True))

    return ask


def alone(row):
    """What TensorFlow makes of one row outside any batch."""
    spec = tf.io.FixedLenFeature([], tf.string, default_value="")
    try:
        found = tf.io.parse_single_example(row, {"image_bytes": spec, "text": spec})
    except (tf.errors.OpError, UnicodeDecodeError):  # the error's own text cannot be read
        return b"", b""
    return found["image_bytes"].numpy(), found["text"].numpy()


GOOD = (b"\x89PNG\0", b"a cat \xff\0")
UNUSABLE = {
    "no protocol buffer": b"a red cat",
    "cut": columns(image_bytes=b"GIF89a", text=b"cat")[:-3],
    "a number": example(image_bytes=feature(b"GIF89a"), text=feature(3)),
    "a float": example(image_bytes=feature(0.5), text=feature(b"cat")),
    "two texts": example(image_bytes=feature(b"GIF89a"), text=feature(b"cat", b"dog")),
    "a list of none": example(
        image_bytes=feature(b"GIF89a"), text=tf.train.Feature(bytes_list=tf.train.BytesList())
    ),
    "empty": b"",
    "a hundred thousand times the same byte": b"\x0a" * 100_000,
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_an_unusable_row_is_empty_and_changes_no_other(served, kind):
    good = columns(image_bytes=GOOD[0], text=GOOD[1])
    for place in range(3):
        rows = [good, good, good]
        rows[place] = UNUSABLE[kind]
        assert served(rows) == [(b"", b"") if row == place else GOOD for row in range(3)]
    assert served([UNUSABLE[kind]] * 2) == [(b"", b"")] * 2


def test_what_is_missing_is_empty_and_what_is_not_known_is_passed_over(served):
    rows = [
        columns(text=b"cat"),
        columns(image_bytes=b"GIF89a"),
        example(label=feature(3, 4), text=feature(b"cat"), weight=feature(0.5)),
        example(image_bytes=feature(b"GIF89a"), text=tf.train.Feature()),
    ]
    expected = [(b"", b"cat"), (b"GIF89a", b""), (b"", b"cat"), (b"GIF89a", b"")]
    assert served(rows) == expected


def test_nasty_columns_come_out_as_they_went_in(served):
    pictures = list(nasty.pictures().values())
    pairs = [(pictures[row % len(pictures)], text) for row, text in enumerate(nasty.TEXTS)]
    assert served([columns(image_bytes=image, text=text) for image, text in pairs]) == pairs


@hypothesis.settings(deadline=None, max_examples=40, derandomize=True)
@hypothesis.given(st.lists(st.tuples(st.binary(max_size=40), st.binary(max_size=40)), min_size=1))
def test_any_bytes_come_out_as_they_went_in(served, pairs):
    assert served([columns(image_bytes=image, text=text) for image, text in pairs]) == pairs


@hypothesis.settings(deadline=None, max_examples=40, derandomize=True)
@hypothesis.given(st.data())
def test_changed_bytes_are_felt_in_their_row_alone(served, data):
    rows = []
    for _ in range(6):
        row = bytearray(columns(image_bytes=GOOD[0], text=GOOD[1]))
        for place in data.draw(st.lists(st.integers(0, len(row) - 1), max_size=2)):
            row[place] = data.draw(st.integers(0, 255))
        rows.append(bytes(row))
    assert served(rows) == [alone(row) for row in rows]


def mutated(count, seed):
    """`tf.Example`s with bytes overwritten, cut out, doubled or appended."""
    rng = np.random.default_rng(seed)
    whole = [columns(image_bytes=b"GIF89a", text=text[:200]) for text in nasty.TEXTS]
    return [nasty.mutate(whole[place % len(whole)], rng) for place in range(count)]


@pytest.mark.parametrize(
    ("requests", "rows"), [(2, 100), pytest.param(100, 100, marks=pytest.mark.large)]
)
def test_mutated_examples(served, requests, rows):
    for seed in range(requests):
        contents = mutated(rows, seed)
        answers = served(contents)
        assert answers == [alone(row) for row in contents]
        readable = sum(answer != (b"", b"") for answer in answers)
        assert 0 < readable < rows
