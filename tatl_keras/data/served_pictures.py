"""Pictures of a request, each decoded by itself: what cannot be read counts as missing."""

import tensorflow as tf

from tatl_keras.data.picture_size import count_pixels

_AT_ONCE = 4  # pictures; decoding takes about 16 bytes a pixel


def isolated_image_tensors(preprocessor, image, max_pixels):
    """`Preprocessor.image_tensors` of a batch, in which no picture can fail another.

    A graph knows no exceptions, but a pipeline of `tf.data` leaves out elements that fail. So the
    rows go through one, numbered, and are put back in their places. No row that is left can tell
    what became of the others.

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
    rows = tf.size(image, tf.int64)

    def read(place, contents):
        pixels = count_pixels(contents)
        readable = tf.debugging.Assert((0 < pixels) & (pixels <= max_pixels), [pixels])
        with tf.control_dependencies([readable]):
            return place, preprocessor.image_tensors(tf.identity(contents))["images"]

    numbered = tf.data.Dataset.from_tensor_slices(image).enumerate()
    found = numbered.map(read, _AT_ONCE, deterministic=False).ignore_errors()
    none = tf.data.Dataset.from_tensors((rows, tf.zeros(shape)))  # so that there is a batch
    batch = found.concatenate(none).batch(rows + 1).with_options(_plain())
    places, images = batch.get_single_element()
    rank = tf.scatter_nd(places[:, None], tf.range(tf.size(places)), rows[None] + 1)
    has_image = tf.scatter_nd(places[:, None], tf.ones_like(places, tf.int32), rows[None] + 1)
    last = tf.size(places) - 1  # the zeros
    rank = tf.where(has_image > 0, rank, last)[:-1]
    return {"images": tf.gather(images, rank), "has_image": has_image[:-1]}


def _plain():
    """A pipeline that lives for one request is not worth rewriting or tuning."""
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    return options
