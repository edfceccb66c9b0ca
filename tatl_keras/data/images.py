"""Encoded pictures to pixels, inside TensorFlow graphs."""

import tensorflow as tf

JPEG, PNG, GIF, BMP = b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"BM"
FORMATS = ("JPEG", "PNG", "GIF (first frame)", "BMP", "WebP")


def is_encoded(contents):
    """Tells whether a string tensor starts like a picture of one of `FORMATS`.

    Args:
        contents: string tensor of any shape: encoded pictures, or something else.

    Returns:
        A bool tensor of the same shape. Only the first twelve bytes are looked at, so `True` does
        not promise that the rest can be decoded.

    Example:

    >>> is_encoded(tf.constant([b"GIF89a...", b"cat.gif", b""])).numpy().tolist()
    [True, False, False]
    """
    return (
        starts_with(contents, JPEG)
        | starts_with(contents, PNG)
        | starts_with(contents, GIF)
        | starts_with(contents, BMP)
        | is_webp(contents)
    )


def decode_image(contents):
    """Decodes one picture to RGB pixels, laying transparent parts on white.

        pixel = round(alpha / 255 * colour + (1 - alpha / 255) * 255)

    JPEG, PNG, GIF (its first frame), BMP and WebP are read; greyscale becomes three equal channels,
    16-bit PNG is reduced to 8 bits, CMYK JPEG becomes RGB. The alpha channel of PNG and WebP is
    honoured; that of BMP is not, because most programs leave it unset. EXIF rotation is not
    applied.

    Args:
        contents: scalar string tensor, the bytes of one picture file.

    Returns:
        A `uint8` tensor `(height, width, 3)`.

    Raises:
        tf.errors.InvalidArgumentError: the bytes are not a readable picture.

    Example:

    >>> red = tf.constant([[[255, 0, 0, 0], [255, 0, 0, 255]]], "uint8")  # transparent, opaque
    >>> decode_image(tf.io.encode_png(red)).numpy().tolist()
    [[[255, 255, 255], [255, 0, 0]]]
    """

    def decode(channels):
        return lambda: tf.io.decode_image(contents, channels, expand_animations=False)

    raw = tf.cond(  # the PNG reader expands palettes and greys to RGBA; the WebP reader cannot
        starts_with(contents, PNG),
        decode(4),
        lambda: tf.cond(is_webp(contents), decode(0), decode(3)),
    )
    return flatten_alpha(raw)


def flatten_alpha(image):
    """Makes RGB of a picture of 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGBA) channels.

    Args:
        image: `uint8` or float tensor `(H, W, C)` with values from 0 to 255.

    Returns:
        A tensor `(H, W, 3)` of the same dtype.

    Example:

    >>> flatten_alpha(tf.constant([[[7]]], "uint8")).numpy().tolist()
    [[[7, 7, 7]]]
    """
    channels = tf.shape(image)[-1]
    colour = tf.cond(
        channels >= 3, lambda: image[..., :3], lambda: tf.repeat(image[..., :1], 3, axis=-1)
    )

    def on_white():
        alpha = image[..., -1:]  # most pictures that have it are opaque, and are themselves
        return tf.cond(tf.reduce_all(alpha == 255), lambda: colour, lambda: blend(alpha))

    def blend(alpha):
        alpha = tf.cast(alpha, tf.float32) / 255.0
        mixed = alpha * tf.cast(colour, tf.float32) + (1.0 - alpha) * 255.0
        return tf.cast(tf.round(mixed) if image.dtype.is_integer else mixed, image.dtype)

    pixels = tf.cond((channels == 2) | (channels == 4), on_white, lambda: colour)
    return tf.ensure_shape(pixels, [None, None, 3])


def starts_with(contents, magic):
    """Whether strings begin with some bytes: a bool tensor of the shape of `contents`."""
    return tf.strings.substr(contents, 0, len(magic)) == magic


def is_webp(contents):
    """Whether strings begin like a WebP file: a bool tensor of the shape of `contents`."""
    head = tf.strings.substr(contents, 0, 12) + b"\0" * 12  # long enough to cut bytes 8 to 12 from
    return starts_with(contents, b"RIFF") & (tf.strings.substr(head, 8, 4) == b"WEBP")
