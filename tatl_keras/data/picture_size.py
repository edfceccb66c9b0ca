"""How many pixels an encoded picture has, read from its header, inside TensorFlow graphs."""

import tensorflow as tf

from tatl_keras.data.images import BMP, GIF, JPEG, PNG, is_webp, starts_with

_HEAD = 32  # bytes, in which PNG, BMP and WebP say their size
_STEPS, _STEP_BYTES = 4096, 192  # of the walk through a GIF, and one more for each 192 bytes
_LONGEST_STEP = 1024  # bytes, and more; a table of 256 colours has 768
_IMAGE, _EXTENSION = 0x2C, 0x21


def count_pixels(contents):
    """Pixels that decoding a picture would have to hold, without decoding any.

        height * width                     JPEG, PNG, BMP, WebP
        sum over frames, height * width    GIF, since its reader unpacks all frames for the first

    The header is believed: whether the rest is there shows in decoding. A GIF cut into more than
    4096 + bytes / 192 pieces, which programs do not write, counts as `tf.int64.max` pixels: to
    walk through it would take longer than to decode it.

    Args:
        contents: scalar string tensor, the bytes of one picture file.

    Returns:
        A scalar `int64` tensor; 0 where `contents` does not start like a picture.

    Raises:
        tf.errors.InvalidArgumentError: the header of a JPEG cannot be read.

    Example:

    >>> png = tf.io.encode_png(tf.zeros([3, 5, 3], "uint8"))
    >>> int(count_pixels(png)), int(count_pixels(tf.constant(b"cat.png")))
    (15, 0)
    """
    head = _numbers(tf.strings.substr(contents, 0, _HEAD), _HEAD)
    kinds = [
        (starts_with(contents, JPEG), lambda: _jpeg(contents)),
        (starts_with(contents, PNG), lambda: _big(head[16:20]) * _big(head[20:24])),
        (starts_with(contents, GIF), lambda: _gif(contents)),
        (starts_with(contents, BMP), lambda: _bmp(head)),
        (is_webp(contents), lambda: _webp(head)),
    ]
    return tf.case(kinds, default=lambda: tf.zeros((), tf.int64))


def _numbers(contents, more):
    """The bytes as `int64`, followed by `more` zeros."""
    return tf.pad(tf.cast(tf.io.decode_raw(contents, tf.uint8), tf.int64), [[0, more]])


def _little(numbers, count=4):
    return tf.reduce_sum(numbers * [256**place for place in range(count)])


def _big(numbers):
    return _little(numbers[::-1])


def _jpeg(contents):
    """By the decoder's own reader, so that no header means one thing here and another there."""
    shape = tf.image.extract_jpeg_shape(contents, tf.int32)
    return tf.reduce_prod(tf.cast(shape[:2], tf.int64))


def _bmp(head):
    """Both sides are signed: a negative height tells that rows go from top to bottom."""
    width, height = _little(head[18:22]), _little(head[22:26])
    return tf.reduce_prod([tf.where(side < 2**31, side, 2**32 - side) for side in (width, height)])


def _webp(head):
    """The canvas of an extended file, or the one picture: lossless, or lossy."""
    lossless = _little(head[21:25])
    kinds = [
        (tf.equal(head[15], ord("X")), (_little(head[24:27], 3) + 1, _little(head[27:30], 3) + 1)),
        (tf.equal(head[15], ord("L")), (lossless % 2**14 + 1, lossless // 2**14 % 2**14 + 1)),
        (True, (_little(head[26:28], 2) % 2**14, _little(head[28:30], 2) % 2**14)),
    ]
    pixels = tf.zeros((), tf.int64)
    for condition, (width, height) in reversed(kinds):
        pixels = tf.where(condition, width * height, pixels)
    return pixels


def _gif(contents):
    """Walks from frame to frame, since only the frames say where the next one begins.

    Each frame, and each extension, is a header followed by pieces of data, a byte of length before
    each; a piece of length 0 ends them.
    """
    size = tf.cast(tf.strings.length(contents), tf.int64)
    data = _numbers(contents, _LONGEST_STEP)

    def table(flags):
        colours = tf.bitwise.left_shift(tf.constant(2, tf.int64), flags % 8)
        return tf.where(flags >= 128, 3 * colours, 0)

    def goes_on(place, pixels, steps):
        kind = data[place]
        return (place < size) & (steps > 0) & ((kind == _IMAGE) | (kind == _EXTENSION))

    def go_on(place, pixels, steps):
        is_image = data[place] == _IMAGE
        frame = _little(data[place + 5 : place + 7], 2) * _little(data[place + 7 : place + 9], 2)
        header = tf.where(is_image, 11 + table(data[place + 9]), 2)
        place, steps = tf.while_loop(
            lambda place, steps: (data[place] > 0) & (steps > 0),
            lambda place, steps: (place + 1 + data[place], steps - 1),
            (place + header, steps - 1),
        )
        return tf.minimum(place + 1, size), pixels + tf.where(is_image, frame, 0), steps

    start = (
        tf.minimum(13 + table(data[10]), size),
        tf.zeros((), tf.int64),
        _STEPS + size // _STEP_BYTES,
    )
    _, pixels, steps = tf.while_loop(goes_on, go_on, start)
    return tf.where(steps > 0, pixels, tf.int64.max)
