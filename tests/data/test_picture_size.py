"""The pixels of a picture are counted from its header, as a decoder would have to hold them."""

import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tatl_keras.data.picture_size import MOST_STEPS, count_pixels, walk_gif

WIDTH, HEIGHT = 300, 7  # more than a byte, less than a byte
MOST = np.iinfo(np.int64).max


@pytest.fixture(scope="module")
def count():
    graph = tf.function(count_pixels, input_signature=[tf.TensorSpec([], tf.string)])
    return lambda contents: int(graph(contents))


def encoded(mode, kind, size=(WIDTH, HEIGHT), **options):
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 4), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).convert("RGB").convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("mode", "kind", "options"),
    [
        ("RGB", "PNG", {}), ("1", "PNG", {}), ("P", "PNG", {}),
        ("RGB", "JPEG", {}), ("L", "JPEG", {"progressive": True}), ("CMYK", "JPEG", {}),
        ("RGB", "JPEG", {"comment": b"\xff\xc0\0\x11\x08\xff\xff\xff\xff" * 9}),
        ("RGB", "WEBP", {}), ("RGB", "WEBP", {"lossless": True}), ("RGBA", "WEBP", {}),
        ("RGB", "WEBP", {"exif": b"Exif"}), ("RGB", "BMP", {}), ("L", "BMP", {}),
        ("RGB", "GIF", {}), ("L", "GIF", {"comment": b"," * 700}),
    ],
)  # fmt: skip
def test_every_format_says_its_size(count, mode, kind, options):
    assert count(encoded(mode, kind, **options)) == WIDTH * HEIGHT


@pytest.mark.parametrize("size", [(1, 1), (16383, 1), (1, 16383)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "WEBP"])
def test_smallest_and_longest(count, kind, size):
    assert count(encoded("RGB", kind, size)) == size[0] * size[1]
    if kind == "WEBP":
        assert count(encoded("RGB", kind, size, lossless=True)) == size[0] * size[1]


def test_rows_of_a_bmp_may_go_down(count):
    for width, height in ((5, -70000), (5, -1), (-(2**31), -(2**31))):
        contents = b"BM" + bytes(16) + struct.pack("<ii", width, height) + bytes(9)
        assert count(contents) == abs(width * height)


def frame(width, height, colours=0, data=b"\x02\x4c\x01"):
    flags = 0x80 | colours - 1 if colours else 0
    table = bytes(3 * 2**colours) if colours else b""
    return b"," + struct.pack("<HHHHB", 0, 0, width, height, flags) + table + b"\x02" + data + b"\0"


def test_all_frames_of_a_gif_count(count):
    comment = b"!\xfe" + b"\xff" + b"," * 255 + b"\x03,,,\0"
    for colours in (0, 1, 8):
        flags = 0x80 | colours - 1 if colours else 0
        head = b"GIF89a" + struct.pack("<HHBBB", 9, 9, flags, 0, 0)
        head += bytes(3 * 2**colours) if colours else b""
        frames = frame(3, 5) + comment + frame(7, 11, colours=8) + frame(65535, 65535, colours=1)
        assert count(head + frames + b";") == 15 + 77 + 65535**2
        assert count(head + frame(3, 5) + b";" + frames) == 15  # nothing is read behind the end
    decoded = encoded("RGB", "GIF", save_all=True, append_images=[Image.new("L", (9, 9))] * 2)
    seen = Image.open(io.BytesIO(decoded))
    assert seen.n_frames >= 2 and count(decoded) > WIDTH * HEIGHT


def comment(pieces):
    return b"GIF89a" + bytes(7) + b"!\xfe" + pieces + b"\0" + frame(3, 5) + b";"


EQUAL, UNEQUAL = (b"\xff" + b"," * 255) * 64, b"\x01,\x02,,"


@pytest.mark.parametrize(("more", "times"), [(0, 1), (21, 1), (22, 2), (600, 38)])
def test_scans_of_a_jpeg_count(count, more, times):
    contents = encoded("RGB", "JPEG", progressive=True)
    assert contents.count(b"\xff\xda") == 10
    last = contents.rindex(b"\xff\xda")
    contents = contents[:last] + contents[last:-2] * (more + 1) + b"\xff\xd9"
    assert count(contents) == WIDTH * HEIGHT * times
    assert tf.io.decode_jpeg(contents).shape == (HEIGHT, WIDTH, 3)  # it can be read all the same


def test_a_gif_cut_into_crumbs_counts_as_too_large(count):
    assert count(comment(UNEQUAL * 1500)) == 15
    assert count(comment(UNEQUAL * 4500)) == MOST
    assert count(comment(EQUAL * 140)) == 15


def test_the_work_is_bounded_whatever_a_gif_holds():
    walk = tf.function(walk_gif, input_signature=[tf.TensorSpec([], tf.string)])
    steps = lambda contents: int(walk(tf.constant(contents))[1])  # noqa: E731
    assert steps(comment(b"")) == 3  # the extension, the frame, its data
    assert steps(comment(EQUAL)) == 4 and steps(comment(EQUAL * 100)) == 103
    assert steps(comment(EQUAL + EQUAL[:256])) == 5
    for pieces in (UNEQUAL * 2_000_000, b"\x01," * 5_000_000, b"\0" + frame(1, 1) * 700_000):
        assert len(pieces) > 9 * 10**6 and steps(comment(pieces)) == MOST_STEPS


@pytest.mark.parametrize("contents", [b"", b"cat.png", b"RIFF\x10\0\0\0WAVE", b"\0" * 40])
def test_other_files_have_none(count, contents):
    assert count(contents) == 0


@pytest.mark.parametrize("kind", ["PNG", "BMP", "WEBP"])
def test_cut_headers_are_counted_as_if_zeros_followed(count, kind):
    contents = encoded("RGB", kind)
    counts = [count(contents[:length]) for length in range(40)]
    assert min(counts) == 0 and max(counts) == WIDTH * HEIGHT


def test_the_header_of_a_jpeg_must_be_whole(count):
    with pytest.raises(tf.errors.InvalidArgumentError):
        count(encoded("RGB", "JPEG")[:100])
