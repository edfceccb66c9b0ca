"""Pictures are decoded as Pillow decodes them, with alpha laid on white."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tatl_keras.data.images import decode_image, flatten_alpha, is_encoded

HEIGHT, WIDTH = 7, 5


def _pixels(channels, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, channels), dtype=np.uint8)


def _encode(image, fmt, **options):
    buffer = io.BytesIO()
    image.save(buffer, fmt, **options)
    return buffer.getvalue()


def _on_white(rgba):
    """The compositing formula in float64."""
    alpha = rgba[..., -1:].astype(np.float64) / 255
    return np.rint(alpha * rgba[..., :-1] + (1 - alpha) * 255)


@pytest.mark.parametrize("fmt", ["PNG", "BMP", "WEBP"])
def test_lossless_rgb_is_exact(fmt):
    pixels = _pixels(3)
    options = {"lossless": True} if fmt == "WEBP" else {}
    got = decode_image(_encode(Image.fromarray(pixels), fmt, **options)).numpy()
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got, pixels)


def test_alpha_of_png_and_webp_is_laid_on_white():
    rgba = _pixels(4)
    png = decode_image(_encode(Image.fromarray(rgba), "PNG")).numpy()
    np.testing.assert_allclose(png, _on_white(rgba), atol=1)
    webp = decode_image(_encode(Image.fromarray(rgba), "WEBP", lossless=True, exact=True)).numpy()
    np.testing.assert_array_equal(webp, png)


def test_grey_with_alpha():
    grey_alpha = _pixels(2)
    got = decode_image(_encode(Image.fromarray(grey_alpha, "LA"), "PNG")).numpy()
    np.testing.assert_allclose(got, np.repeat(_on_white(grey_alpha), 3, -1), atol=1)


@pytest.mark.parametrize("fmt", ["PNG", "JPEG", "BMP"])
def test_grey_becomes_three_equal_channels(fmt):
    got = decode_image(_encode(Image.fromarray(_pixels(1)[..., 0]), fmt)).numpy()
    assert got.shape == (HEIGHT, WIDTH, 3)
    np.testing.assert_array_equal(got[..., 0], got[..., 2])


def test_palette_with_transparency_matches_pillow():
    image = Image.new("P", (WIDTH, HEIGHT))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.putdata([i % 3 for i in range(WIDTH * HEIGHT)])
    got = decode_image(_encode(image, "PNG", transparency=1)).numpy()
    want = np.array([[255, 0, 0], [255, 255, 255], [0, 0, 255]], np.uint8)
    np.testing.assert_array_equal(got.reshape(-1, 3), want[np.arange(WIDTH * HEIGHT) % 3])


def test_sixteen_bit_png_keeps_the_high_byte():
    high = np.arange(HEIGHT * WIDTH * 3, dtype=np.uint16).reshape(HEIGHT, WIDTH, 3) * 700
    got = decode_image(tf.io.encode_png(tf.constant(high))).numpy()
    np.testing.assert_allclose(got, high / 257, atol=1)


def test_gif_gives_its_first_frame():
    frames = [Image.new("RGB", (WIDTH, HEIGHT), colour) for colour in ("red", "blue")]
    got = decode_image(_encode(frames[0], "GIF", save_all=True, append_images=frames[1:])).numpy()
    np.testing.assert_array_equal(got, np.broadcast_to([255, 0, 0], (HEIGHT, WIDTH, 3)))


def test_jpeg_and_cmyk_jpeg():
    flat = np.full((16, 16, 3), (200, 30, 60), np.uint8)
    rgb = decode_image(_encode(Image.fromarray(flat), "JPEG", quality=95)).numpy()
    np.testing.assert_allclose(rgb, flat, atol=4)
    cmyk = decode_image(_encode(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG")).numpy()
    assert cmyk.shape == (16, 16, 3)


def test_unused_alpha_of_bmp_does_not_hide_the_picture():
    rgba = np.concatenate([_pixels(3), np.zeros((HEIGHT, WIDTH, 1), np.uint8)], -1)
    got = decode_image(_encode(Image.fromarray(rgba), "BMP")).numpy()
    np.testing.assert_array_equal(got, rgba[..., :3])


@pytest.mark.parametrize("contents", [b"", b"not a picture", b"\x89PNG\r\n\x1a\nbroken"])
def test_unreadable_bytes_raise(contents):
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode_image(tf.constant(contents))


def test_is_encoded_looks_at_the_first_bytes():
    encoded = [
        _encode(Image.fromarray(_pixels(3)), f) for f in ("PNG", "JPEG", "BMP", "GIF", "WEBP")
    ]
    others = [b"", b"pictures/cat.png", b"RIFF....WAVE", b"PNG", b"\x00\xff\xd8\xff"]
    assert is_encoded(tf.constant(encoded)).numpy().all()
    assert not is_encoded(tf.constant(others)).numpy().any()


def test_float_pixels_keep_their_dtype():
    rgba = tf.constant([[[10.0, 20.0, 30.0, 127.5]]])
    want = [[[132.5, 137.5, 142.5]]]
    np.testing.assert_allclose(flatten_alpha(rgba).numpy(), want, atol=1e-4)


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_opaque_alpha_changes_no_bit_and_one_transparent_pixel_is_seen(channels, dtype):
    pixels = _pixels(channels).astype(dtype)
    pixels[..., -1] = 255
    colour = np.broadcast_to(pixels[..., :-1], (HEIGHT, WIDTH, 3)).copy()
    np.testing.assert_array_equal(flatten_alpha(tf.constant(pixels)).numpy(), colour)
    pixels[3, 2] = [*[0] * (channels - 1), 254]
    got = flatten_alpha(tf.constant(pixels)).numpy()
    np.testing.assert_allclose(got[3, 2], [1, 1, 1], atol=1e-4)
    got[3, 2] = colour[3, 2] = 0
    np.testing.assert_array_equal(got, colour)
