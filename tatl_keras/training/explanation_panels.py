"""The panels of an explained picture: the picture, its regions, further maps; what stands below."""

import dataclasses
import textwrap

import numpy as np
from matplotlib.patches import Rectangle

from tatl_keras.training.canvas import GREY
from tatl_keras.training.explanation_heat import draw_heat, pixels_of, write_values
from tatl_keras.training.explanation_words import grade_lines, is_refused, shown_maps
from tatl_keras.training.picture_view import WHOLE

TITLE_HEIGHT, LINE_HEIGHT = 0.27, 0.145  # inches
_LETTERS, _TITLE_LETTERS, _NOTE_LETTERS = 16.5, 12.0, 11.0  # an inch
_LEAST_ROW, _NOTE_LINE, _NOTE_MARGIN = 0.2, 0.18, 0.3  # inches
_PLAIN = "#F3F3F3"
_CUT = ("The model sees what is in the frame.",)


@dataclasses.dataclass(frozen=True)
class Panel:
    """A picture as drawn once.

    Attributes:
        name: label of its axes.
        title: str above it.
        values: floats (rows, columns) to colour it by, or `None` for none.
        errors: their standard errors where they are to be written into the cells, or `None`.
        note: str in the place of the picture, or "".
        caption: list of str below it.
    """

    name: str
    title: str
    values: np.ndarray | None = None
    errors: np.ndarray | None = None
    note: str = ""
    caption: tuple = ()


def panels_of(example, explanation):
    """The panels of an example, the picture first; maps of single heads are left to the JSON.

    Args:
        example: see `draw_explanation`.
        explanation: a `models.Explanation`.

    Returns:
        List of `Panel`.
    """
    if not example["image"]:
        return [Panel("picture", "Picture", note="no picture")]
    if "image" not in explanation.evidence:
        return [Panel("picture", "Picture", caption=("not read by the model",))]
    grades = explanation.grades or {}
    errors = np.asarray(explanation.regions_error)
    below = [*grade_lines(grades.get("shapley")), f"standard error ≤ {errors.max():.3f}"]
    regions = Panel("regions", "Regions", explanation.regions, errors, "", below)
    cut = np.clip(example.get("view", WHOLE), 0, 1).tolist() != list(WHOLE)
    whole = Panel("picture", "Picture", caption=_CUT if cut else ())
    panels = [whole, _unless_refused(explanation, "shapley", regions)]
    for name, one in shown_maps(explanation).items():
        if one.values is not None:
            panel = Panel(name, one.title, one.values, None, "", grade_lines(grades.get(name)))
            panels.append(_unless_refused(explanation, name, panel))
    return panels


def _unless_refused(explanation, name, panel):
    if not is_refused(explanation, name):
        return panel
    note = f"refused: {explanation.grades[name]['reason']}"
    return dataclasses.replace(panel, values=None, errors=None, note=note)


def title_lines(panel, side):
    """A panel's title, wrapped to its width in inches."""
    return textwrap.wrap(panel.title, round(side * _TITLE_LETTERS))


def caption_lines(panel, side):
    """A panel's caption, wrapped to its width in inches."""
    width = max(12, round(side * _LETTERS))
    return [line for text in panel.caption for line in textwrap.wrap(text, width)]


def row_height(panels, example, side):
    """Inches of the highest of panels that are `side` inches wide and at most as high."""
    if not example["image"]:
        return side
    views = {WHOLE if panel.values is None else tuple(example.get("view", WHOLE))
             for panel in panels if not panel.note}  # fmt: skip
    heights = [_LEAST_ROW]
    for view in views:
        height, width = pixels_of(example["image"], view).shape[:2]
        heights.append(side * height / width)
    heights += [
        _NOTE_LINE * len(_note_lines(panel, side)) + _NOTE_MARGIN for panel in panels if panel.note
    ]
    return min(side, max(heights))


def draw_panel(axes, panel, example, side, limit):
    """Draws one panel.

    Args:
        axes: of the panel's width and `row_height`.
        panel: a `Panel`.
        example: see `draw_explanation`.
        side: float, inches, the width.
        limit: float, the value of a region that gets the full colour.
    """
    axes.set_title(
        "\n".join(title_lines(panel, side)),
        loc="left",
        fontsize=10,
        fontweight="bold",
        color="#222222",
        parse_math=False,
    )
    axes.set(xticks=[], yticks=[], anchor="N")
    axes.spines[:].set(color="#AAB1B8", linewidth=0.6)
    if panel.note:
        _write_note(axes, _note_lines(panel, side))
    else:
        view = example.get("view", WHOLE)
        pixels = pixels_of(example["image"], WHOLE if panel.values is None else view)
        if panel.values is None:
            axes.imshow(pixels)
            _frame(axes, pixels, view)
        elif panel.errors is not None:
            draw_heat(axes, pixels, panel.values, limit, smooth=False)
            write_values(axes, pixels, panel.values, panel.errors, side)
        else:
            most = float(np.abs(panel.values).max())
            draw_heat(axes, pixels, panel.values, most, smooth=True)
    axes.set_xlabel(
        "\n".join(caption_lines(panel, side)), loc="left", fontsize=7.5, color=GREY,
        linespacing=1.3, labelpad=6, parse_math=False,
    )  # fmt: skip


def _frame(axes, pixels, view):
    """A frame round what the model sees, unless that is all."""
    top, left, bottom, right = np.clip(view, 0, 1)
    if (top, left, bottom, right) != WHOLE:
        height, width = pixels.shape[:2]
        corner = left * width - 0.5, top * height - 0.5
        size = (right - left) * width, (bottom - top) * height
        for colour, thickness in (("white", 3.0), ("#222222", 1.2)):  # seen on every ground
            axes.add_patch(Rectangle(corner, *size, fill=False, edgecolor=colour, lw=thickness))


def _note_lines(panel, side):
    width = max(10, round(side * _NOTE_LETTERS))
    return textwrap.wrap(panel.note, width, max_lines=8, placeholder=" …")


def _write_note(axes, lines):
    axes.set(xlim=(0, 1), ylim=(1, 0), facecolor=_PLAIN)
    style = {"ha": "center", "va": "center", "fontsize": 9, "color": "#444444"}
    axes.text(0.5, 0.5, "\n".join(lines), linespacing=1.4, parse_math=False, **style)
