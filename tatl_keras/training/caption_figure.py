"""One picture of where a model looked while it wrote each word of a caption."""

import io
import math
import os
import textwrap

import numpy as np

from tatl_keras._files import write_whole
from tatl_keras.training.canvas import GREY, add_axes, new_figure, save, text_width
from tatl_keras.training.caption_words import attended_words
from tatl_keras.training.explanation_heat import blend, draw_heat, pixels_of
from tatl_keras.training.explanation_panels import Panel, draw_panel
from tatl_keras.training.explanation_words import percent, printable, short
from tatl_keras.training.picture_view import WHOLE

_SIDE, _GAP, _MARGIN = 1.75, 0.16, 0.3  # inches
_WORD, _TITLE, _LINE, _LEGEND = 0.27, 0.3, 0.2, 0.85
_FEWEST, _MOST = 4, 6  # panels side by side, where there are not very many
_TITLE_LETTERS, _NOTE_LETTERS = 7.0, 17.0  # an inch
_SCALE = 2.1
_SIZES, _LONGEST = (11.0, 7.0), 40  # points of a word, largest and least; its letters
_LEAST_LIMIT = 4  # times even attention: what is below is not made to look strong
_INK = "#222222"
_NOTHING = "no picture, or none that can be read"
_CUT = ("The model sees the frame.",)
_HOW = (
    "Each panel: how the attention was spread over the regions of the picture while the word above "
    "it was written, the mean over layers, heads and pieces of the word. It shows where the model "
    "read, not why it chose the word."
)


def draw_caption(generation, image, path, *, view=WHOLE):
    """Draws a caption word by word: the picture, and where the model looked for each word.

    The more vermillion, the more attention; all words share one scale, and the line on it is
    what each region would get if the model looked everywhere alike.

    Args:
        generation: a `models.Generation` of a captioner, with attention.
        image: encoded bytes of the picture it is about; empty where there is none.
        path: PNG, PDF or SVG file to write.
        view: what `picture_view` gives, where the model does not see the whole picture.

    Raises:
        ValueError: `generation` has no attention, or is about no picture.

    Example:

    >>> import os, tempfile
    >>> import tensorflow as tf
    >>> from tatl_keras import data, zoo
    >>> model = zoo.build("test_efficientnet_transformer_caption", seed=1)
    >>> history = model.fit(data.synthetic.examples(3, 30, seed=0), epochs=1, verbose=0)
    >>> image = tf.io.encode_png(tf.zeros((9, 9, 3), tf.uint8)).numpy()
    >>> (written,) = model.generate([{"image": image}], max_length=3, return_details=True)
    >>> path = os.path.join(tempfile.mkdtemp(), "caption.png")
    >>> draw_caption(written, image, path)
    >>> os.path.exists(path)
    True

    Reference: Xu et al., "Show, Attend and Tell", 2015, figure 3,
    https://arxiv.org/abs/1502.03044.
    """
    kind = os.path.splitext(path)[1].lstrip(".").lower() or "png"
    write_whole(path, caption_picture(generation, image, kind, view=view))


def caption_picture(generation, image, kind="png", *, view=WHOLE):
    """The bytes that `draw_caption` writes, of the kind that `path` ends in."""
    held = io.BytesIO()
    save(caption_figure(generation, image, view=view), held, format=kind)
    return held.getvalue()


def caption_figure(generation, image, *, view=WHOLE):
    """The figure of `draw_caption`, not yet written.

    Its axes are labelled "picture", "word 1", "word 2" and so on, and "scale".
    """
    words = _words(generation)
    count = 1 + len(words)
    columns = max(_FEWEST, min(count, max(_MOST, math.ceil(math.sqrt(2 * count)))))
    width = 2 * _MARGIN + columns * (_SIDE + _GAP) - _GAP
    inner = width - 2 * _MARGIN
    title = textwrap.wrap(printable(generation.text) or "no words", round(inner * _TITLE_LETTERS))
    how = textwrap.wrap(_HOW, round(_NOTE_LETTERS * (inner - _SCALE - 0.4)))
    top = _MARGIN + _TITLE * len(title) + 2 * _LINE + _WORD
    row = _SIDE + 2 * _WORD
    legend = top + math.ceil(count / columns) * row
    figure = new_figure(width, legend + (_LEGEND if words else 0))
    figure.set_layout_engine("none")
    _write_header(figure, generation, title)
    axes = add_axes(figure, "picture", _MARGIN, top, _SIDE, _SIDE)
    _draw_whole(axes, image if generation.valid else b"", view)
    if not words:
        return figure
    pixels = pixels_of(image, view)
    even, limit, more = _scale_of(words)
    for number, word in enumerate(words, 1):
        left = _MARGIN + number % columns * (_SIDE + _GAP)
        place = (left, top + number // columns * row, _SIDE, _SIDE)
        values = word.attention.reshape(generation.grid)
        _draw_word(add_axes(figure, f"word {number}", *place), word.text, pixels, values, limit)
    scale = add_axes(figure, "scale", _MARGIN + 0.1, legend + 0.2, _SCALE - 0.1, 0.11)
    _draw_scale(scale, even, limit, more)
    figure.text(
        (_MARGIN + _SCALE + 0.4) / width, _LEGEND / (legend + _LEGEND), "\n".join(how),
        fontsize=7.5, color=GREY, va="top", linespacing=1.35,
    )  # fmt: skip
    return figure


def _scale_of(words):
    """Even attention, what gets the full colour, and whether some regions have more than that.

    That is what half of the words reach somewhere: a single place of all attention would leave all
    other words without colours.
    """
    largest = [float(word.attention.max()) for word in words]
    even = 1 / len(words[0].attention)
    limit = max(min(1.0, _LEAST_LIMIT * even), float(np.median(largest)))
    return even, limit, max(largest) > limit


def _words(generation):
    if generation.grid is None and generation.tokens:
        raise ValueError(
            "`generation` must be about a picture. Received: generation.grid=None. "
            "`draw_alignment` draws what a translator looked at."
        )
    return attended_words(generation)


def _write_header(figure, generation, title):
    width, height = figure.get_size_inches()
    style = {"va": "top", "parse_math": False}
    lines, left = len(title), _MARGIN / width
    figure.text(
        left, 1 - _MARGIN / height, "\n".join(title), fontsize=15, fontweight="bold",
        color=_INK if generation.text else GREY, linespacing=1.25, **style,
    )  # fmt: skip
    under = 1 - (_MARGIN + _TITLE * lines + 0.05) / height
    figure.text(left, under, "  ·  ".join(_facts(generation)), fontsize=9, color=GREY, **style)


def _facts(generation):
    """What is known about a text besides the text, in a few words."""
    if not generation.valid:
        return ["nothing to write about"]
    pieces = len(generation.tokens)
    facts = [f"log probability {generation.log_prob:.2f}".replace("-", "−")]
    if pieces:
        made = pieces + generation.finished
        facts.append(f"{percent(math.exp(generation.log_prob / made))} a token (geometric mean)")
    facts.append(f"{pieces} piece{'' if pieces == 1 else 's'}")
    return facts + ([] if generation.finished else ["stopped at the longest length"])


def _draw_whole(axes, image, view):
    """The picture itself, with a frame round what the model sees."""
    cut = np.clip(view, 0, 1).tolist() != list(WHOLE)
    note, caption = ("", _CUT if cut else ()) if image else (_NOTHING, ())
    panel = Panel("picture", "Picture", note=note, caption=caption)
    draw_panel(axes, panel, {"image": image, "view": view}, _SIDE, 1.0)


def _draw_word(axes, word, pixels, values, limit):
    draw_heat(axes, pixels, values, limit, smooth=True)
    axes.set(xticks=[], yticks=[], anchor="N")
    axes.spines[:].set(color="#AAB1B8", linewidth=0.6)
    word, size = _fitted(word, axes.figure.canvas.get_renderer())
    axes.set_title(word, loc="left", fontsize=size, fontweight="bold", color=_INK, parse_math=False)


def _fitted(word, renderer):
    """A word and its size in points: made smaller, and at last shorter, until it fits its panel."""
    word = short(word, _LONGEST)
    largest, least = _SIZES
    width = text_width(word, largest, renderer, "bold")
    size = max(least, min(largest, largest * _SIDE / width)) if width else largest
    while text_width(word, size, renderer, "bold") > _SIDE:
        word = f"{word[:-2]}…"
    return word, size


def _draw_scale(axes, even, limit, more):
    """Which colour stands for which share of the attention."""
    values = np.linspace(0, limit, 201)[None]
    axes.imshow(blend(np.ones(3), values, limit), extent=(0, limit, 0, 1), aspect="auto")
    axes.axvline(even, color=_INK, linewidth=1.2)
    axes.set(yticks=[])
    axes.set_xticks([0, limit], labels=["0", f"{'≥ ' if more else ''}{percent(limit)}"], fontsize=8)
    axes.tick_params(length=2)
    axes.spines[:].set(color="#AAB1B8", linewidth=0.6)
    title = f"attention to a region; line: even, {percent(even)}"
    axes.set_title(title, loc="left", fontsize=8, pad=3)
