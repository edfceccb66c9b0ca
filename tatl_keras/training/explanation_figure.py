"""One picture of why a model says what it says of an example."""

import io
import os
import textwrap

import numpy as np

from tatl_keras._files import write_whole
from tatl_keras.training.canvas import GREY, add_axes, new_figure, save
from tatl_keras.training.explanation_bars import ROW, draw_classes, draw_modalities, shown_classes
from tatl_keras.training.explanation_heat import draw_scale
from tatl_keras.training.explanation_panels import (
    LINE_HEIGHT,
    TITLE_HEIGHT,
    caption_lines,
    draw_panel,
    panels_of,
    row_height,
    title_lines,
)
from tatl_keras.training.explanation_text import draw_block, text_blocks
from tatl_keras.training.explanation_words import best_class, percent, probability_in_words, short

_WIDTH, _MARGIN, _GAP = 10.4, 0.3, 0.22  # inches
_HEADER, _BETWEEN, _TITLE_LINE = 0.75, 0.22, 0.17
_BARS_WIDTH, _NAMES_WIDTH = 3.3, 1.42
_LARGEST_PANEL = 3.1
_SCALE_HEIGHT, _AXIS, _NOTE_HEIGHT = 0.6, 0.3, 0.18
_RIGHT, _WRONG, _UNKNOWN = "#00735C", "#B5120E", "#222222"
_LEAST_LIMIT = 0.02  # values below it are not made to look strong
_QUALITY = 90  # of a JPEG, so that letters stay clean
_GRADES = (
    "Deletion, insertion: mean probability of the class while the strongest parts are taken away "
    "first (less is better) or put back first (more is better), beside random orders. Random "
    "weights: rank correlation with the same map of models with random weights (0 is best)."
)
_ERRORS = "±: standard deviation over pictures that mean the same, mirrored and moved a little."


def draw_explanation(example, explanation, path):
    """Draws an explained example: where the evidence is, in the picture and in the text.

    The picture with the Shapley value of each region (vermillion speaks for the class, blue
    against it), the further maps, the text with the value of each word, the probabilities of the
    best classes, and what picture and text add. Each map has its grade below it. One that was
    refused is named with the reason and not drawn.

    Args:
        example: dict with `image` (encoded bytes, empty where there is none), `text` (str, empty
            where there is none) and `label` (str, or `None` where it is not known); perhaps also
            `view`, what `picture_view` gives, where a model does not see the whole picture.
        explanation: a `models.Explanation` of it.
        path: PNG, PDF or SVG file to write.

    Raises:
        ValueError: `example` lacks one of the three.

    Example:

    >>> import os, tempfile
    >>> from tatl_keras import zoo
    >>> model = zoo.build("test_bert_text_only", num_classes=2, class_names=["cat", "dog"])
    >>> x = {"image": b"", "text": "a small cat"}
    >>> history = model.fit([x, x], [0, 0], epochs=1, verbose=0)
    >>> (explanation,) = model.explain([x], grade=False, verbose=0)
    >>> path = os.path.join(tempfile.mkdtemp(), "why.png")
    >>> draw_explanation(x | {"label": "cat"}, explanation, path)
    >>> os.path.exists(path)
    True
    """
    kind = os.path.splitext(path)[1].lstrip(".").lower() or "png"
    write_whole(path, explanation_picture(example, explanation, kind))


def explanation_picture(example, explanation, kind="png"):
    """The bytes that `draw_explanation` writes, of the kind that `path` ends in."""
    held = io.BytesIO()
    options = {"pil_kwargs": {"quality": _QUALITY}} if kind in ("jpg", "jpeg") else {}
    save(explanation_figure(example, explanation), held, format=kind, **options)
    return held.getvalue()


def explanation_figure(example, explanation):
    """The figure of `draw_explanation`, not yet written.

    Its axes are labelled by what they show: "picture", "regions" and the names of the further
    maps; "words", and "words: " with a map's name; "scale", "classes", "modalities".
    """
    missing = sorted({"image", "text", "label"} - set(example))
    if missing:
        raise ValueError(
            "`example` must hold image, text and label. Received: example without "
            f"{', '.join(missing)}"
        )
    figure = new_figure(_WIDTH, 6.0)
    figure.set_layout_engine("none")
    panels = panels_of(example, explanation)
    limit = max(
        _LEAST_LIMIT,
        *(float(np.abs(v).max(initial=0)) for v in (explanation.regions, explanation.word_values)),
    )
    place = _places(figure, example, explanation, panels)
    blocks, side = place["blocks"], place["side"]
    figure.set_size_inches(_WIDTH, place["height"])
    _write_header(figure, example, explanation)
    for number, panel in enumerate(panels):
        left = _MARGIN + number * (side + _GAP)
        axes = add_axes(figure, panel.name, left, place["panels"], side, place["row"])
        draw_panel(axes, panel, example, side, limit)
    _draw_words(figure, blocks, place["words"], limit)
    scale = add_axes(figure, "scale", _MARGIN + 0.2, place["scale"] + 0.3, 2.3, 0.11)
    draw_scale(scale, limit, short(explanation.class_name, 20))
    _draw_bars(figure, explanation, example["label"], place)
    notes = _notes(explanation)
    if notes:
        said = "\n".join(notes)
        where = _MARGIN / _WIDTH, 0.6 * _MARGIN / place["height"]
        figure.text(*where, said, fontsize=7.5, color=GREY, va="bottom", linespacing=1.3)
    return figure


def _places(figure, example, explanation, panels):
    """Where everything stands, in inches from the top, and how high the figure is.

    One or two panels leave room for the bars on their right. Else these stand below the words.
    """
    inner = _WIDTH - 2 * _MARGIN
    beside = len(panels) <= 2
    room = inner - _BARS_WIDTH - _GAP if beside else inner + _GAP
    side = min(_LARGEST_PANEL, room / len(panels) - _GAP)
    titles = max(len(title_lines(panel, side)) for panel in panels)
    captions = max(len(caption_lines(panel, side)) for panel in panels)
    top = _HEADER + TITLE_HEIGHT + (titles - 1) * _TITLE_LINE
    classes = ROW * len(shown_classes(explanation, example["label"])) + _AXIS
    modalities = ROW * 4 + _AXIS
    row = row_height(panels, example, side)
    words = top + row + captions * LINE_HEIGHT + _BETWEEN
    bars = [top, top + classes + TITLE_HEIGHT]
    if beside:
        words = max(words, bars[1] + modalities + _BETWEEN)
    blocks = text_blocks(example, explanation, inner, figure.canvas.get_renderer())
    scale = words + sum(block.height for block in blocks)
    end = scale + _SCALE_HEIGHT
    if not beside:
        bars = [scale + TITLE_HEIGHT + 0.1] * 2
        end = max(end, bars[0] + max(classes, modalities))
    notes = _NOTE_HEIGHT * len(_notes(explanation))
    return {
        "side": side, "panels": top, "row": row, "words": words, "blocks": blocks, "scale": scale,
        "bars": bars, "beside": beside, "height": end + notes + _MARGIN,
    }  # fmt: skip


def _notes(explanation):
    """Lines that say what the numbers mean."""
    lines = [] if explanation.probability_error is None else [_ERRORS]
    return lines + (textwrap.wrap(_GRADES, 165) if explanation.grades else [])


def _write_header(figure, example, explanation):
    height = figure.get_size_inches()[1]
    label, best = example["label"], best_class(explanation)
    said = explanation.class_names[best]
    colour, mark = _UNKNOWN, ""
    if label is not None:
        colour, mark = (_RIGHT, "✓ ") if label == said else (_WRONG, "✗ ")
    title = f"{mark}{short(said, 50)}  {probability_in_words(explanation, best)}"
    facts = [] if label is None else [f"label: {short(label, 50)}"]
    facts.append(f"evidence: {explanation.evidence}")
    if explanation.class_index != best:
        value = percent(explanation.probabilities[explanation.class_index])
        facts.insert(0, f"explained here: {short(explanation.class_name, 50)}, {value}")
    facts.append(f"{explanation.evaluations:,} evaluations, {explanation.seconds:.1f} s")
    left = _MARGIN / _WIDTH
    style = {"va": "top", "parse_math": False}
    figure.text(
        left, 1 - 0.22 / height, title, fontsize=15, fontweight="bold", color=colour, **style
    )
    figure.text(left, 1 - 0.53 / height, "  ·  ".join(facts), fontsize=9, color=GREY, **style)


def _draw_words(figure, blocks, top, limit):
    width = _WIDTH - 2 * _MARGIN
    for block in blocks:
        axes = add_axes(figure, block.label, _MARGIN, top, width, block.height)
        axes.set(xlim=(0, width), ylim=(block.height, 0))
        axes.set_axis_off()
        draw_block(axes, block, limit)
        top += block.height


def _draw_bars(figure, explanation, label, place):
    width = _BARS_WIDTH - _NAMES_WIDTH
    right = _WIDTH - _MARGIN - width
    left = right if place["beside"] else right - _BARS_WIDTH - _GAP
    classes = len(shown_classes(explanation, label))
    first = add_axes(figure, "classes", left, place["bars"][0], width, ROW * classes)
    draw_classes(first, explanation, label)
    second = add_axes(figure, "modalities", right, place["bars"][1], width, ROW * 4)
    draw_modalities(second, explanation)
    titles = ("Probability", f"From nothing to {short(explanation.class_name, 20)}")
    for axes, title in zip((first, second), titles, strict=True):
        axes.set_title(
            title, x=-_NAMES_WIDTH / width, ha="left", fontsize=10, fontweight="bold",
            color="#222222", parse_math=False,
        )  # fmt: skip
