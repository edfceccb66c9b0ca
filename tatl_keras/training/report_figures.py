"""The pictures of a report, as PNG files that are narrow enough for a telephone."""

import io

from tatl_keras.training.canvas import COLOURS, GREY, new_figure, to_png
from tatl_keras.training.confusion_figure import draw_confusion
from tatl_keras.training.figures import draw_metric
from tatl_keras.training.reliability_figure import draw_reliability

_WIDTH, _HEIGHT = 3.9, 3.1  # inches
_MOST_BARS = 24
_NAME_LENGTH = 18


def metric_png(histories, metric, levels=None, width=_WIDTH):
    """One panel of curves; see `figures.draw_curves`."""
    figure = new_figure(width, _HEIGHT)
    draw_metric(figure.subplots(), histories, metric, levels)
    return to_png(figure)


def reliability_png(calibration):
    """See `draw_reliability`."""
    figure = new_figure(_WIDTH, _HEIGHT + 0.3)
    axes = figure.subplots()
    draw_reliability(axes, calibration)
    axes.set_title("", loc="left")  # the section has one
    return to_png(figure)


def confusion_png(confusion, class_names):
    """See `draw_confusion`."""
    picture = io.BytesIO()
    draw_confusion(confusion, class_names, picture)
    return picture.getvalue()


def counts_png(counts):
    """How many examples each class has: bars with names, or the sorted counts of many classes.

    Args:
        counts: dict from class to int.
    """
    rows = sorted(counts.items(), key=lambda row: -row[1])
    many = len(rows) > _MOST_BARS
    figure = new_figure(_WIDTH, _HEIGHT if many else 0.9 + 0.24 * len(rows))
    axes = figure.subplots()
    values = [count for _, count in rows]
    if many:
        axes.fill_between(range(1, len(rows) + 1), values, step="mid", color=COLOURS[0], alpha=0.85)
        axes.set(
            xlabel=f"{len(rows)} classes, most frequent first", ylabel="examples", ylim=(0, None)
        )
    else:
        names = [
            name if len(name) <= _NAME_LENGTH else f"{name[: _NAME_LENGTH - 1]}…"
            for name, _ in rows
        ]
        axes.barh(range(len(rows)), values, color=COLOURS[0], height=0.7)
        axes.set_yticks(range(len(rows)), names, fontsize=9, parse_math=False)
        axes.invert_yaxis()
        for place, value in enumerate(values):
            axes.annotate(f" {value:,}", (value, place), va="center", fontsize=9, color=GREY)
        axes.margins(x=0.15)
        axes.set_xlabel("examples")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y" if many else "x", color="#E4E4E4", linewidth=0.8)
    axes.set_axisbelow(True)
    return to_png(figure)
