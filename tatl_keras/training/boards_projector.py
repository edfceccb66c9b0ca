"""Vectors with words and pictures, as TensorBoard's embedding projector reads them."""

import concurrent.futures
import functools
import itertools
import os

import numpy as np
import tensorflow as tf

from tatl_keras._files import write_whole
from tatl_keras.data import decode_image

CONFIG, PICTURES = "projector_config.pbtxt", "sprite.png"
VECTORS, WORDS = "fused.tsv", "metadata.tsv"
FILES = (CONFIG, VECTORS, WORDS, PICTURES)
SIDE = 48  # pixels of a picture
_AT_ONCE = 64  # encoded pictures in memory
_MOST_TEXT = 200
_EMPTY = 230  # the grey of a missing picture


def write_projector(folder, vectors, words, pictures):
    """Writes the projector's four files; they must lie beside events for it to find them.

    Vectors are text of six digits: the projector takes a file of bytes for text where it can.

    Args:
        folder: folder, which exists.
        vectors: floats (N, D).
        words: dict from a column's name to N strings; at least two columns.
        pictures: uint8 (N, S, S, 3).

    Example:

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> words = {"label": ["cat", "dog"], "text": ["a cat", "a  dog"]}
    >>> write_projector(folder, np.eye(2), words, np.zeros((2, SIDE, SIDE, 3), np.uint8))
    >>> print(open(os.path.join(folder, "metadata.tsv")).read().replace("\\t", " | "))
    label | text
    cat | a cat
    dog | a dog
    """
    row = "\t".join(["%.6g"] * vectors.shape[1])
    numbers = [row % tuple(vector) for vector in vectors.tolist()]
    cells = [words.keys(), *zip(*words.values(), strict=True)]
    lines = ["\t".join(_cell(value) for value in line) for line in cells]
    files = {
        VECTORS: "\n".join(numbers).encode(),
        WORDS: "\n".join(lines).encode(),
        PICTURES: tf.io.encode_png(_sheet(pictures)).numpy(),
        CONFIG: _config(*vectors.shape, side=pictures.shape[1]).encode(),
    }
    for name, contents in files.items():
        write_whole(os.path.join(folder, name), contents)


def small_pictures(images):
    """Pictures of one size on white; grey where there is none.

    Args:
        images: iterable of encoded pictures (bytes), empty for missing ones.

    Returns:
        A uint8 array (N, 48, 48, 3).
    """
    images, found = iter(images), []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        while some := list(itertools.islice(images, _AT_ONCE)):
            found += pool.map(_small, some)
    return np.stack(found)


def _small(image):
    if not image:
        return np.full((SIDE, SIDE, 3), _EMPTY, np.uint8)
    return _shrinking()(tf.constant(image)).numpy()


@functools.cache
def _shrinking():
    """Traced once a process."""

    @tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
    def shrink(image):
        with tf.device("CPU:0"):
            pixels = tf.cast(decode_image(image), tf.float32) - 255.0  # what is padded gets white
            pixels = tf.image.resize_with_pad(pixels, SIDE, SIDE, antialias=True) + 255.0
            return tf.cast(tf.clip_by_value(tf.round(pixels), 0, 255), tf.uint8)

    return shrink


def _cell(value):
    """One line without tabs."""
    value = " ".join(value.split())
    return value if len(value) <= _MOST_TEXT else value[: _MOST_TEXT - 1] + "…"


def _sheet(pictures):
    """Pictures row by row on a square sheet, as the projector cuts it up again."""
    count, side = pictures.shape[:2]
    columns = int(np.ceil(np.sqrt(count)))
    sheet = np.full((columns * columns, side, side, 3), 255, np.uint8)
    sheet[:count] = pictures
    sheet = sheet.reshape(columns, columns, side, side, 3).swapaxes(1, 2)
    return sheet.reshape(columns * side, columns * side, 3)


def _config(rows, columns, side):
    return f"""embeddings {{
  tensor_name: "fused"
  tensor_path: "{VECTORS}"
  metadata_path: "{WORDS}"
  tensor_shape: {rows}
  tensor_shape: {columns}
  sprite {{
    image_path: "{PICTURES}"
    single_image_dim: {side}
    single_image_dim: {side}
  }}
}}
"""
