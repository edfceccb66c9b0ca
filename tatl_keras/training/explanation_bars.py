"""The bars beside an explained example: the best classes, and what each modality adds."""

import numpy as np

from tatl_keras.training.canvas import COLOURS, GREY
from tatl_keras.training.explanation_heat import AGAINST, FOR
from tatl_keras.training.explanation_words import percent, short, signed

_CLASSES = 5
_NAME_LETTERS = 19
_OTHER = "#B9C2CB"
ROW = 0.27  # inches
_ROOM = 0.3
_MODALITIES = {"image": "picture", "text": "text"}


def shown_classes(explanation, label=None):
    """Numbers of the classes to show: the best, then the explained one and the label."""
    order = np.argsort(-np.asarray(explanation.probabilities), kind="stable")
    shown = [int(i) for i in order[:_CLASSES]]
    wanted = [explanation.class_index]
    if label in explanation.class_names:
        wanted.append(explanation.class_names.index(label))
    return shown + [i for i in dict.fromkeys(wanted) if i not in shown]


def draw_classes(axes, explanation, label=None):
    """Draws the probabilities of some classes, with their uncertainty as error bars.

    Args:
        axes: where to draw.
        explanation: a `models.Explanation`.
        label: str or `None`; its class is marked by a tick.
    """
    shown = shown_classes(explanation, label)
    places = np.arange(len(shown))
    values = [float(explanation.probabilities[i]) for i in shown]
    errors = explanation.probability_error
    colours = [COLOURS[2] if i == explanation.class_index else _OTHER for i in shown]
    axes.barh(places, values, height=0.62, color=colours)
    ends = values
    if errors is not None:
        errors = [float(errors[i]) for i in shown]
        style = {"fmt": "none", "ecolor": "#222222", "elinewidth": 1.1, "capsize": 2.5}
        axes.errorbar(values, places, xerr=errors, **style)
        ends = [value + error for value, error in zip(values, errors, strict=True)]
    for place, value, end in zip(places, values, ends, strict=True):
        _write(axes, end, place, percent(value))
    names = [explanation.class_names[i] for i in shown]
    ticked = [
        f"✓ {short(name, _NAME_LETTERS)}" if name == label else short(name, _NAME_LETTERS)
        for name in names
    ]
    _finish(axes, ticked)


def draw_modalities(axes, explanation):
    """Draws how the modalities lead from the probability without them to the one with them.

        without either, + picture, + text, = together

    Args:
        axes: where to draw.
        explanation: a `models.Explanation`.
    """
    together = float(explanation.probabilities[explanation.class_index])
    baseline = float(explanation.baseline)
    rows = [("without either", 0.0, baseline, _OTHER, percent(baseline))]
    reached, ends = baseline, [0.0, 1.0]
    for modality, title in _MODALITIES.items():
        value = float(explanation.modality[modality])
        there = modality in explanation.evidence
        said = signed(value) if there else "none"
        colour = tuple(FOR if value > 0 else AGAINST)
        rows.append((title, reached, value, colour, said))
        reached += value
        ends.append(reached)
    rows.append(("together", 0.0, together, COLOURS[2], percent(together)))
    for place, (_, start, size, colour, said) in enumerate(rows):
        axes.barh(place, size, left=start, height=0.62, color=[colour])
        _write(axes, max(start, start + size), place, said)
    _finish(axes, [row[0] for row in rows], min(ends), max(ends))


def _write(axes, end, place, text):
    style = {"va": "center_baseline", "fontsize": 8.5, "color": "#222222", "parse_math": False}
    axes.annotate(text, (end, place), (4, 0), textcoords="offset points", **style)


def _finish(axes, names, low=0.0, high=1.0):
    """Leaves room for the values to the right of the bars."""
    axes.set(xlim=(low, high + _ROOM * (high - low)), ylim=(len(names) - 0.5, -0.5))
    axes.set_yticks(range(len(names)), labels=names, fontsize=9, parse_math=False)
    axes.set_xticks([0, 0.5, 1], labels=["0", "0.5", "1"], fontsize=8, color=GREY)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.axvline(0.0, color="#AAB1B8", linewidth=0.9)
    axes.grid(axis="x", color="#E4E4E4", linewidth=0.8)
    axes.set_axisbelow(True)
