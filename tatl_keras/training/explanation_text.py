"""A text with its words coloured by what each is worth."""

import dataclasses
import unicodedata
from collections.abc import Sequence

import numpy as np
from matplotlib.patches import FancyBboxPatch

from tatl_keras.training.canvas import GREY, text_width
from tatl_keras.training.explanation_heat import blend
from tatl_keras.training.explanation_words import (
    grade_lines,
    is_refused,
    printable,
    short,
    shown_maps,
    signed,
)

WORD_SIZE, NUMBER_SIZE = 11, 7  # points
_PADDING, _SPACE = 0.045, 0.055  # inches
_WORD_HEIGHT, _NUMBER_HEIGHT, _LINE_GAP = 0.21, 0.115, 0.055
_TITLE_HEIGHT, _NOTE_HEIGHT = 0.26, 0.17
_MOST_LINES, _MOST_LINES_OF_MAPS = 12, 3
_NOTE_LETTERS = 16.5  # an inch
_MOST_LETTERS = 26  # an inch holds of a word, if they are the narrowest
_NOT_READ = "not read by the model"
_CUT_OFF = "The model does not read the end of the text, which is grey."


@dataclasses.dataclass(frozen=True)
class Chip:
    """A word, or a part of one, in its place.

    Attributes:
        text: str as drawn.
        value: float, or `None` for what the model was not asked about.
        number: str below the word, or "".
        left, width: floats, inches from where the line starts.
    """

    text: str
    value: float | None
    number: str
    left: float
    width: float


@dataclasses.dataclass(frozen=True)
class Block:
    """A text as drawn once.

    Attributes:
        label: that of its axes.
        title: str.
        lines: lists of `Chip`.
        left_out: int, words that had no room.
        from_right: bool, lines start on the right.
        numbers: bool, leave room for numbers.
        limit: float, the value that gets the full colour, or `None` for that of the figure.
        note: str below the title, or "".
    """

    label: str
    title: str
    lines: Sequence
    left_out: int
    from_right: bool
    numbers: bool = True
    limit: float | None = None
    note: str = ""

    @property
    def line_height(self):
        """Inches of a line."""
        return _WORD_HEIGHT + _LINE_GAP + (_NUMBER_HEIGHT if self.numbers else 0.0)

    @property
    def height(self):
        """Inches of all of it."""
        below = 0.2 if self.left_out else 0.0
        return self.head + len(self.lines) * self.line_height + below + 0.1

    @property
    def head(self):
        """Inches of title and note."""
        return _TITLE_HEIGHT + (_NOTE_HEIGHT if self.note else 0.0)


def chips_of(
    text, words, values, errors, width, renderer, *, numbers=True, most_lines=_MOST_LINES
):  # fmt: skip
    """Breaks a text into lines of chips.

    Text between the words, such as punctuation, and what was cut off keeps its place without a
    value. A word longer than a line is broken.

    Args:
        text: str.
        words: list of dicts with `start` and `end`, places in `text`, in order.
        values, errors: floats, one a word.
        width: float, inches of a line.
        renderer: of Agg, which measures.
        numbers: bool, write each value told from zero below its word.
        most_lines: int.

    Returns:
        List of lists of `Chip`, and how many words and other pieces had no room.
    """
    lines, left = [[]], 0.0
    pieces = _pieces(text, words, values, errors)
    for place, (piece, value, error, is_apart) in enumerate(pieces):
        number = signed(value, error) if numbers and value is not None else ""
        number = "" if number == "≈0" else number
        left += _SPACE if is_apart and lines[-1] else 0.0
        for part in _broken(piece, width, renderer):
            size = max(
                text_width(part, WORD_SIZE, renderer), text_width(number, NUMBER_SIZE, renderer)
            )
            size += 2 * _PADDING if value is not None else 0.0
            if lines[-1] and left + size > width:
                if len(lines) == most_lines:
                    return lines, len(pieces) - place
                lines.append([])
                left = 0.0
            lines[-1].append(Chip(part, value, number, left, size))
            left += size
            number = ""
    return lines, 0


def text_blocks(example, explanation, width, renderer):
    """The text of an example, once by the values of its words and once by each map of words.

    Args:
        example: see `draw_explanation`.
        explanation: a `models.Explanation`.
        width: float, inches of a line.
        renderer: of Agg, which measures.

    Returns:
        List of `Block`.
    """
    text, words = example["text"], explanation.words
    from_right = reads_from_right(text)
    if not text.strip():
        return [Block("words", "No text", (), 0, from_right)]
    if "text" not in explanation.evidence:
        lines, left_out = chips_of(text, [], [], [], width, renderer)
        return [Block("words", "Text", lines, left_out, from_right, note=_NOT_READ)]
    values, errors = explanation.word_values, explanation.word_errors
    cut_off = any(letter.isalnum() for letter in text[words[-1]["end"] :])
    notes = [_CUT_OFF] if cut_off else []
    if "image" not in explanation.evidence:  # else the grade stands below the regions
        notes += grade_lines((explanation.grades or {}).get("shapley"))
    if is_refused(explanation, "shapley"):
        words, values, errors = [], [], []
        notes = [f"refused: {explanation.grades['shapley']['reason']}"]
    lines, left_out = chips_of(text, words, values, errors, width, renderer)
    blocks = [Block("words", "Words", lines, left_out, from_right, note=" · ".join(notes))]
    for name, one in shown_maps(explanation).items():
        if one.word_values is not None:
            blocks.append(_block_of_map(name, one, text, explanation, width, renderer))
    return blocks


def _block_of_map(name, one, text, explanation, width, renderer):
    known = {"label": f"words: {name}", "title": f"Words: {one.title}"}
    grade = (explanation.grades or {}).get(name)
    if is_refused(explanation, name):
        note = f"refused: {grade['reason']}"
        return Block(**known, lines=(), left_out=0, from_right=False, note=note)
    values = np.asarray(one.word_values)
    options = {"most_lines": _MOST_LINES_OF_MAPS, "numbers": False}
    words, errors = explanation.words, np.zeros(len(values))
    lines, left_out = chips_of(text, words, values, errors, width, renderer, **options)
    # Where there is a map of the picture, too, the grade of both stands below that.
    known["note"] = " · ".join(grade_lines(grade)) if grade and one.values is None else ""
    known |= {"numbers": False, "limit": float(np.abs(values).max(initial=0))}
    return Block(lines=lines, left_out=left_out, from_right=reads_from_right(text), **known)


def draw_block(axes, block, limit):
    """Draws a text.

    Args:
        axes: with limits in inches, y downwards.
        block: a `Block`.
        limit: float, see `explanation_heat.blend`; that of the block wins.
    """
    style = {"va": "top", "parse_math": False}
    axes.text(0, 0, block.title, fontsize=10, fontweight="bold", color="#222222", **style)
    width = axes.get_xlim()[1]
    note = short(block.note, round(_NOTE_LETTERS * width))
    if note:
        axes.text(0, 0.2, note, fontsize=7.5, color=GREY, **style)
    for number, line in enumerate(block.lines):
        top = block.head + number * block.line_height
        for chip in line:
            left = width - chip.left - chip.width if block.from_right else chip.left
            _draw_chip(axes, chip, left, top, limit if block.limit is None else block.limit)
    if block.left_out:
        top = block.head + len(block.lines) * block.line_height
        said = f"… and {block.left_out} more"
        axes.text(0, top, said, fontsize=9, color=GREY, **style)


def reads_from_right(text):
    """Whether the first letter with a direction belongs to a script written from the right.

    Example:

    >>> reads_from_right("a cat"), reads_from_right("(חתול)")
    (False, True)
    """
    for letter in text:
        direction = unicodedata.bidirectional(letter)
        if direction in ("L", "R", "AL"):
            return direction != "L"
    return False


def _draw_chip(axes, chip, left, top, limit):
    middle = left + chip.width / 2
    known = chip.value is not None
    if known:
        colour = blend(np.ones(3), chip.value, limit)
        size = (left + 0.012, top), chip.width - 0.024, _WORD_HEIGHT
        style = {"facecolor": colour, "edgecolor": "#C9CED4", "linewidth": 0.5}
        style |= {"boxstyle": "round,pad=0,rounding_size=0.035", "mutation_aspect": 1}
        axes.add_patch(FancyBboxPatch(*size, **style))
    style = {"ha": "center", "va": "center_baseline", "parse_math": False}
    axes.text(
        middle, top + _WORD_HEIGHT / 2, chip.text, fontsize=WORD_SIZE,
        color="#111111" if known else GREY, **style,
    )  # fmt: skip
    if chip.number:
        below = top + _WORD_HEIGHT + _NUMBER_HEIGHT / 2
        axes.text(middle, below, chip.number, fontsize=NUMBER_SIZE, color="#333333", **style)


def _pieces(text, words, values, errors):
    """Tuples of text, value, error, and whether white space stands before it."""
    pieces, end = [], 0
    for word, value, error in zip(words, values, errors, strict=True):
        pieces += _between(text, end, word["start"])
        is_apart = word["start"] == 0 or text[word["start"] - 1].isspace()
        shown = printable(text[word["start"] : word["end"]]) or "□"
        pieces.append((shown, float(value), float(error), is_apart))
        end = word["end"]
    return pieces + _between(text, end, len(text))


def _between(text, start, end):
    pieces = []
    for token in text[start:end].split():
        place = text.index(token, start)
        is_apart = place > 0 and text[place - 1].isspace()
        start = place + len(token)
        if printable(token):
            pieces.append((printable(token), None, 0.0, is_apart))
    return pieces


def _broken(text, width, renderer):
    """Yields a word in parts that fit into a line, each measured when it is asked for."""
    room = width - 2 * _PADDING
    most = max(1, round(room * _MOST_LETTERS))
    start = 0
    while start < len(text):
        part = text[start : start + most]
        fits = _fitting(part, room, renderer)
        yield part[:fits]
        start += fits


def _fitting(text, room, renderer):
    """How many letters fit, at least one."""
    if text_width(text, WORD_SIZE, renderer) <= room:
        return len(text)
    fits, over = 1, len(text)
    while over - fits > 1:
        middle = (fits + over) // 2
        if text_width(text[:middle], WORD_SIZE, renderer) <= room:
            fits = middle
        else:
            over = middle
    return fits
