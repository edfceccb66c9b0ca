"""Pictures of a request, each decoded by itself: what cannot be read counts as missing."""

import tensorflow as tf

from tatl_keras.data.isolated_rows import isolated_rows
from tatl_keras.data.picture_size import count_pixels

_AT_ONCE = 4  # pictures; decoding takes about 16 bytes a pixel


def isolated_image_tensors(preprocessor, image, max_pixels):
    """`Preprocessor.image_tensors` of a batch, in which no picture can fail another.

    Args:
        preprocessor: a `Preprocessor` with an `image_converter`.
        image: string tensor (B,), encoded pictures; B ≥ 1.
        max_pixels: int, pictures of more pixels (see `count_pixels`) are not decoded.

    Returns:
        Dict of `images` (B, H, W, 3) and `has_image` (B,). A picture that is empty, cannot be
        decoded or is too large has zeros in both, as a missing one has.

    Example:

    >>> import keras_hub
    >>> from tatl_keras.data import Preprocessor
    >>> preprocessor = Preprocessor(keras_hub.layers.ImageConverter(image_size=(8, 8)))
    >>> png = tf.io.encode_png(tf.fill([2, 3, 3], tf.constant(7, "uint8")))
    >>> rows = tf.stack([png, tf.strings.substr(png, 0, 40), b"cat.png", png])
    >>> out = isolated_image_tensors(preprocessor, rows, max_pixels=10)
    >>> out["has_image"].numpy(), out["images"][:, 0, 0, 0].numpy()
    (array([1, 0, 0, 1], dtype=int32), array([7., 0., 0., 7.], dtype=float32))
    """
    shape = (*preprocessor.image_converter.image_size, 3)

    def read(contents):
        pixels = count_pixels(contents)
        readable = tf.debugging.Assert((0 < pixels) & (pixels <= max_pixels), [pixels])
        with tf.control_dependencies([readable]):
            return preprocessor.image_tensors(tf.identity(contents))["images"]

    images, has_image = isolated_rows(read, image, tf.zeros(shape), _AT_ONCE)
    return {"images": images, "has_image": has_image}
