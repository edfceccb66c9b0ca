"""Serialised `tf.Example`s of a request, each parsed by itself: what is none counts as empty."""

import tensorflow as tf

from tatl_keras.data.isolated_rows import isolated_rows

_COLUMNS = ("image_bytes", "text")


def isolated_examples(serialized):
    """Pictures and texts of a batch of `tf.Example`s, in which no example can fail another.

        image_bytes   bytes_list of one value, an encoded picture
        text          bytes_list of one value, UTF-8

    Either may be missing. Other features are passed over. A row that is no `tf.Example`, or has
    one of the two with another type or with another number of values, has neither.

    Args:
        serialized: string tensor (B,), `tf.train.Example` protocol buffers; B ≥ 1.

    Returns:
        A pair of string tensors (B,), pictures and texts; "" where there is none.

    Example:

    >>> def example(**columns):
    ...     lists = {name: tf.train.BytesList(value=[value]) for name, value in columns.items()}
    ...     features = {name: tf.train.Feature(bytes_list=value) for name, value in lists.items()}
    ...     return tf.train.Example(features=tf.train.Features(feature=features))
    >>> both, one = example(image_bytes=b"GIF89a", text=b"a cat"), example(text=b"a dog")
    >>> rows = tf.constant([both.SerializeToString(), b"a bird", one.SerializeToString()])
    >>> images, texts = isolated_examples(rows)
    >>> images.numpy().tolist(), texts.numpy().tolist()
    ([b'GIF89a', b'', b''], [b'a cat', b'', b'a dog'])
    """
    (images, texts), _ = isolated_rows(_parse, serialized, ("", ""))
    return images, texts


def _parse(serialized):
    spec = {name: tf.io.FixedLenFeature([], tf.string, default_value="") for name in _COLUMNS}
    found = tf.io.parse_single_example(serialized, spec)
    return tuple(found[name] for name in _COLUMNS)
