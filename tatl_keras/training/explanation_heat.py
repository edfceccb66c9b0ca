"""Heat maps on pictures: colours of values for and against, told apart with any colour vision."""

import numpy as np
import tensorflow as tf
from matplotlib import patheffects
from matplotlib.colors import to_rgb

from tatl_keras.data import decode_image
from tatl_keras.training.canvas import COLOURS
from tatl_keras.training.explanation_words import signed
from tatl_keras.training.picture_view import WHOLE

FOR, AGAINST = np.array(to_rgb(COLOURS[1])), np.array(to_rgb(COLOURS[0]))
_SIDE = 480  # pixels of the longer side as drawn
_STRONGEST = 0.78
_DARKEST, _LIGHTEST, _LEAST_CONTRAST = 0.4, 0.97, 0.3
_NUMBER, _SIGN = 0.4, 0.15  # inches a cell needs for its value, and for its sign alone


def blend(base, values, limit):
    """Colours values over a ground; zero leaves the ground as it is.

        a = 0.78 * min(1, |v| / limit)
        colour = (1 - a) * base + a * (vermillion where v > 0, blue where v < 0)

    Args:
        base: floats (..., 3) from 0 to 1.
        values: floats (...).
        limit: float, the magnitude that gets the full colour; 0 colours nothing.

    Returns:
        Floats (..., 3) from 0 to 1.

    Example:

    >>> blend(np.ones(3), 0.0, 1.0).tolist()
    [1.0, 1.0, 1.0]
    >>> blend(np.ones(3), -2.0, 1.0).round(3).tolist()  # 22 % white, 78 % (0, 114, 178) / 255
    [0.22, 0.569, 0.764]
    """
    values = np.asarray(values, np.float64)[..., None]
    share = _STRONGEST * np.minimum(1.0, np.abs(values) / limit) if limit else 0 * values
    return (1 - share) * base + share * np.where(values > 0, FOR, AGAINST)


def pixels_of(image, view=WHOLE):
    """Encoded bytes as pixels (H, W, 3) of the size they are drawn in.

    Args:
        image: bytes of a picture.
        view: the part of it to draw, see `picture_view`; white where it reaches beyond.
    """
    pixels = decode_image(tf.constant(bytes(image))).numpy()
    height, width = pixels.shape[:2]
    top, left, bottom, right = np.round(np.array(view) * [height, width, height, width]).astype(int)
    beyond = [(max(0, -top), max(0, bottom - height)), (max(0, -left), max(0, right - width))]
    pixels = np.pad(pixels, [*beyond, (0, 0)], constant_values=255)
    top, left, bottom, right = np.maximum([top, left, bottom, right], [0, 0, top + 1, left + 1])
    pixels = pixels[top : bottom + beyond[0][0], left : right + beyond[1][0]]
    scale = _SIDE / max(pixels.shape[:2])  # small ones too: edges of cells need room
    size = [max(1, round(scale * side)) for side in pixels.shape[:2]]
    method = "area" if scale < 1 else "bicubic"
    pixels = tf.image.resize(tf.cast(pixels, tf.float32), size, method).numpy()
    return np.clip(np.round(pixels), 0, 255).astype(np.uint8)


def ground(pixels):
    """A picture as a grey ground (H, W, 3), light enough for colours, its contrast stretched."""
    grey = pixels.astype(np.float64) @ np.array([0.299, 0.587, 0.114]) / 255
    low, high = np.quantile(grey, [0.01, 0.99])
    span = max(high - low, _LEAST_CONTRAST)
    share = np.clip((grey - min(low, 1 - span)) / span, 0, 1)
    return np.repeat((_DARKEST + (_LIGHTEST - _DARKEST) * share)[..., None], 3, axis=-1)


def draw_heat(axes, pixels, values, limit, smooth):
    """Draws a map over a picture.

    Args:
        axes: where to draw.
        pixels: uint8 (H, W, 3).
        values: floats (rows, columns), over the whole picture.
        limit: float, see `blend`.
        smooth: bool, interpolate between the centres of the cells instead of drawing blocks.
    """
    height, width = pixels.shape[:2]
    values = np.asarray(values, np.float64)
    if smooth:
        large = tf.image.resize(values[..., None], (height, width), "bilinear").numpy()[..., 0]
    else:
        rows, columns = (
            np.arange(size) * cells // size
            for size, cells in zip((height, width), values.shape, strict=True)
        )
        large = values[rows][:, columns]
    axes.imshow(blend(ground(pixels), large, limit))


def write_values(axes, pixels, values, errors, side):
    """Writes the value of each cell of a grid, or its sign alone where there is little room.

    Args:
        axes: with a picture drawn on it.
        pixels: uint8 (H, W, 3), that picture.
        values, errors: floats (rows, columns).
        side: float, inches of the longer side of the picture as drawn.
    """
    height, width = pixels.shape[:2]
    rows, columns = values.shape
    inch = side / max(height, width)
    room = min(inch * width / columns, 1.8 * inch * height / rows)
    if room < _SIGN:
        return
    for row in range(rows):
        for column in range(columns):
            text = signed(values[row, column], errors[row, column])
            if room < _NUMBER:
                text = "" if text == "≈0" else text[0]
            where = (column + 0.5) * width / columns - 0.5, (row + 0.5) * height / rows - 0.5
            weak = text == "≈0"
            size, weight = (6.5, "normal") if weak else (min(9.0, 17 * room), "bold")
            axes.text(
                *where, text, ha="center", va="center", fontsize=size, fontweight=weight,
                color="#111111", parse_math=False,
                path_effects=[patheffects.withStroke(linewidth=2.2, foreground="white")],
            )  # fmt: skip
    for edge in range(1, columns):
        axes.axvline(edge * width / columns - 0.5, color="white", linewidth=0.6, alpha=0.7)
    for edge in range(1, rows):
        axes.axhline(edge * height / rows - 0.5, color="white", linewidth=0.6, alpha=0.7)


def draw_scale(axes, limit, name):
    """Draws which colour stands for which value.

    Args:
        axes: flat and wide.
        limit: float, see `blend`.
        name: str, the class.
    """
    values = np.linspace(-limit, limit, 201)[None]
    axes.imshow(blend(np.ones(3), values, limit), extent=(-limit, limit, 0, 1), aspect="auto")
    ends = [f"{value:+.2f}".replace("-", "−") for value in (-limit, limit)]
    axes.set(yticks=[])
    axes.set_xticks([-limit, 0, limit], labels=[ends[0], "0", ends[1]], fontsize=8)
    axes.tick_params(length=2)
    axes.spines[:].set(color="#AAB1B8", linewidth=0.6)
    axes.set_title(
        f"adds to the probability of {name}", loc="left", fontsize=8, pad=3, parse_math=False
    )
