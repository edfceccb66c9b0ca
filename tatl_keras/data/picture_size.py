"""How many pixels an encoded picture has, read from its header, inside TensorFlow graphs."""

import tensorflow as tf

from tatl_keras.data.images import BMP, GIF, JPEG, PNG, is_webp, starts_with

_HEAD = 32  # bytes, in which PNG, BMP and WebP say their size
_SCAN, _SCANS = 0xDA, 16  # its mark in a JPEG, and how many are taken as one
# Of the walk through a GIF, one more for each 192 bytes, and the most.
_STEPS, _STEP_BYTES, MOST_STEPS = 4096, 192, 2**15
_RUN = 64  # pieces of equal length that are passed in one step
_LONGEST_STEP = 1024  # bytes, and more; a table of 256 colours has 768
_IMAGE, _EXTENSION = 0x2C, 0x21


def count_pixels(contents):
    """Pixels that decoding a picture would have to hold, without decoding any.

        height * width                     PNG, BMP, WebP
        height * width * (scans // 16)     JPEG, at least once: each scan goes over all pixels
        sum over frames, height * width    GIF, since its reader unpacks all frames for the first

    The header is believed: whether the rest is there shows in decoding. A GIF that takes more than
    min(4096 + bytes / 192, 32768) steps to walk through, of up to 64 equally long pieces each,
    counts as `tf.int64.max` pixels. Programs cut into equal pieces; it has thousands of frames, or
    was made to take long.

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
    head = tf.cast(_bytes(tf.strings.substr(contents, 0, _HEAD), _HEAD), tf.int64)
    kinds = [
        (starts_with(contents, JPEG), lambda: _jpeg(contents)),
        (starts_with(contents, PNG), lambda: _big(head[16:20]) * _big(head[20:24])),
        (starts_with(contents, GIF), lambda: walk_gif(contents)[0]),
        (starts_with(contents, BMP), lambda: _bmp(head)),
        (is_webp(contents), lambda: _webp(head)),
    ]
    return tf.case(kinds, default=lambda: tf.zeros((), tf.int64))


def _bytes(contents, more):
    """The bytes as `uint8`, followed by `more` zeros."""
    return tf.pad(tf.io.decode_raw(contents, tf.uint8), [[0, more]])


def _little(numbers, count=4):
    return tf.reduce_sum(numbers * [256**place for place in range(count)])


def _big(numbers):
    return _little(numbers[::-1])


def _jpeg(contents):
    """By the decoder's own reader, so that no header means one thing here and another there.

    Scans of a few bytes each would keep it busy for minutes; programs write a dozen at most.
    """
    shape = tf.image.extract_jpeg_shape(contents, tf.int32)
    data = tf.io.decode_raw(contents, tf.uint8)
    scans = tf.math.count_nonzero((data[:-1] == 0xFF) & (data[1:] == _SCAN))
    return tf.reduce_prod(tf.cast(shape[:2], tf.int64)) * tf.maximum(scans // _SCANS, 1)


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


def walk_gif(contents):
    """Pixels of all frames, and how many steps it took to find them.

    Only the frames say where the next one begins. Each frame, and each extension, is a header
    followed by pieces of data, a byte of length before each; a piece of length 0 ends them.

    Args:
        contents: scalar string tensor, the bytes of a GIF.

    Returns:
        Two scalar `int64` tensors.

    Example:

    >>> head, pieces = b"GIF89a" + bytes(7), bytes([2, 76, 1]) * 60
    >>> frame = b"," + bytes([0, 0, 0, 0, 5, 0, 3, 0, 0, 2]) + pieces + bytes(1)
    >>> pixels, steps = walk_gif(tf.constant(head + frame + b";"))
    >>> int(pixels), int(steps)
    (15, 2)
    """
    size = tf.cast(tf.strings.length(contents), tf.int64)
    data = _bytes(contents, _LONGEST_STEP)
    last = size + _LONGEST_STEP - 1
    most = tf.minimum(_STEPS + size // _STEP_BYTES, MOST_STEPS)

    def at(place):
        return tf.cast(tf.gather(data, place), tf.int64)

    def table(flags):
        colours = tf.bitwise.left_shift(tf.constant(2, tf.int64), flags % 8)
        return tf.where(flags >= 128, 3 * colours, 0)

    def pass_pieces(place, length, steps):
        stride = length + 1
        ahead = at(tf.minimum(place + stride * tf.range(_RUN, dtype=tf.int64), last))
        run = tf.reduce_sum(tf.math.cumprod(tf.cast(ahead == length, tf.int64)))
        place += stride * run
        return place, at(place), steps + 1

    def goes_on(place, pixels, steps):
        kind = at(place)
        return (place < size) & (steps < most) & ((kind == _IMAGE) | (kind == _EXTENSION))

    def go_on(place, pixels, steps):
        is_image = at(place) == _IMAGE
        head = at(place + tf.range(10, dtype=tf.int64))
        frame = _little(head[5:7], 2) * _little(head[7:9], 2)
        place += tf.where(is_image, 11 + table(head[9]), 2)
        place, _, steps = tf.while_loop(
            lambda place, length, steps: (length > 0) & (steps < most),
            pass_pieces,
            (place, at(place), steps + 1),
        )
        return tf.minimum(place + 1, size), pixels + tf.where(is_image, frame, 0), steps

    start = tf.minimum(13 + table(at(10)), size)
    zero = tf.zeros((), tf.int64)
    _, pixels, steps = tf.while_loop(goes_on, go_on, (start, zero, zero))
    return tf.where(steps < most, pixels, tf.int64.max), steps
