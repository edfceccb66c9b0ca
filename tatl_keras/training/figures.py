"""Pictures of a run: its curves, and what the model made of some examples."""

import textwrap

import numpy as np
import tensorflow as tf

from tatl_keras.data import decode_image
from tatl_keras.training.canvas import COLOURS, GREY, new_figure, save, style_panel

_RIGHT, _WRONG, _UNKNOWN = "#00735C", "#B5120E", "#444444"
_PANELS = ("loss", "accuracy")
_LINE_WIDTH = 42
_TITLE_WIDTH = 30
_TEXT_LINES = 3


def draw_curves(histories, path, levels=None):
    """Draws loss and accuracy over the epochs, training dashed and validation solid.

    Args:
        histories: dict from a run's name to its history: a dict from metric (`loss`, `accuracy`,
            `val_loss`, …) to a list with one number an epoch. Runs without validation have solid
            training curves.
        path: PNG, PDF or SVG file to write.
        levels: optional dict from a run's name to its accuracy on test data, drawn as a dotted
            line.

    Raises:
        ValueError: there is no run, or none with an epoch.

    Example:

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "curves.png")
    >>> draw_curves({"concat": {"loss": [0.7, 0.3], "val_loss": [0.7, 0.5]}}, path)
    >>> os.path.exists(path)
    True
    """
    metrics = metrics_of(histories)
    if not metrics:
        raise ValueError(
            "`histories` must hold at least one run with `loss` or `accuracy` of an epoch. "
            f"Received: histories={ {name: sorted(h) for name, h in histories.items()} }"
        )
    figure = new_figure(5.2 * len(metrics), 4.0)
    panels = figure.subplots(1, len(metrics), squeeze=False)[0]
    for axes, metric in zip(panels, metrics, strict=True):
        draw_metric(axes, histories, metric, levels)
    if len(histories) == 1:
        (name,) = histories
        figure.suptitle(name, x=0.01, ha="left", fontsize=11, color=GREY, parse_math=False)
    save(figure, path)


def metrics_of(histories):
    """Which of the metrics that are drawn some run has."""
    return [m for m in _PANELS if any(h.get(m) for h in histories.values())]


def draw_metric(axes, histories, metric, levels=None):
    """One panel of `draw_curves`."""
    for number, (name, history) in enumerate(histories.items()):
        colour = COLOURS[number % len(COLOURS)]
        title = f"{name}, " if len(histories) > 1 else ""
        _draw_run(axes, history, metric, colour, title)
        level = (levels or {}).get(name)
        if metric == "accuracy" and level is not None:
            label = f"{title}test {level:.1%}"
            axes.axhline(level, color=colour, linestyle=":", linewidth=1.4, label=label)
    _finish_panel(axes, metric)


def draw_choices(solution, path):
    """Draws what `solve_head` looked at: held-out log-loss over the penalty, a line a kind.

    Args:
        solution: a `HeadSolution`.
        path: PNG, PDF or SVG file to write.

    Example:

    >>> import os, tempfile
    >>> from tatl_keras import data, training, zoo
    >>> model = zoo.build("test_efficientnet_image_only", num_classes=2)
    >>> solution = training.solve_head(model, data.synthetic.examples(2, 8), verbose=0)
    >>> path = os.path.join(tempfile.mkdtemp(), "choices.png")
    >>> draw_choices(solution, path)
    >>> os.path.exists(path)
    True
    """
    lines = {}
    for row in solution.choices:
        if row["regularization"] is not None and np.isfinite(row["log_loss"]):
            points = lines.setdefault((row["solver"], row["fusion"]), {})
            penalty = row["regularization"]
            points[penalty] = min(row["log_loss"], points.get(penalty, np.inf))
    figure = new_figure(7.2, 4.4)
    axes = figure.subplots()
    for number, ((solver, fusion), points) in enumerate(lines.items()):
        penalties = sorted(points)
        values = [points[penalty] for penalty in penalties]
        colour = COLOURS[number % len(COLOURS)]
        style = {"color": colour, "marker": "o", "markersize": 3, "linewidth": 1.6}
        axes.plot(penalties, values, label=f"{solver} {fusion}", **style)
    if np.isfinite(solution.log_loss):
        label = f"chosen: {solution.solver} {solution.fusion}"
        axes.axhline(solution.log_loss, color=GREY, linestyle=":", linewidth=1.4, label=label)
    else:
        where = {"transform": axes.transAxes, "ha": "center", "color": GREY}
        axes.text(0.5, 0.5, "No example could be left out.", **where)
    axes.set_xscale("log")
    axes.set_xlabel("penalty")
    style_panel(axes, "held-out log-loss")
    save(figure, path)


def draw_predictions(examples, path, columns=4):
    """Draws a grid of pictures with their text, their label and what the model says.

    Wrong answers have a red frame and a cross, right ones a green frame and a tick; where the label
    is not known the frame is grey.

    Args:
        examples: list of dicts with `image` (encoded bytes, pixels (H, W, C) from 0 to 255, or
            empty), `text` (str), `label` (str, or `None`), `predicted` (str, or `None` where no
            model was asked: then the label is the title), `probability` (float).
        path: PNG, PDF or SVG file to write.
        columns: int, pictures in a row.

    Raises:
        ValueError: there is no example.

    Example:

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "predictions.png")
    >>> example = dict(image=b"", text="a cat", label="cat", predicted="dog", probability=0.6)
    >>> draw_predictions([example], path)
    >>> os.path.exists(path)
    True
    """
    if not examples:
        raise ValueError("`examples` must hold at least one example. Received: examples=[]")
    columns = min(columns, len(examples))
    rows = -(-len(examples) // columns)
    figure = new_figure(2.9 * columns, 3.75 * rows)
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)  # inches
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, example in zip(panels, examples, strict=False):
        _draw_example(axes, example)
    for axes in panels[len(examples) :]:
        axes.set_axis_off()
    save(figure, path)


def _draw_run(axes, history, metric, colour, title):
    validation, training = history.get(f"val_{metric}"), history.get(metric)
    if training:
        style = "--" if validation else "-"
        _plot(axes, training, f"{title}training", color=colour, linestyle=style, alpha=0.75)
    if validation:
        _plot(axes, validation, f"{title}validation", color=colour, linestyle="-", linewidth=2)


def _plot(axes, values, label, **style):
    """A line; a single epoch is a point, which a line would not show."""
    marker = "o" if len(values) == 1 else None
    (line,) = axes.plot(range(1, len(values) + 1), values, marker=marker, **style)
    line.set_label(label)


def _finish_panel(axes, metric):
    axes.set_xlabel("epoch")
    last = max(max(line.get_xdata()) for line in axes.lines)
    axes.set_xlim(0.5 if last < 10 else 0, last + 0.5)
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    if metric == "accuracy":
        axes.yaxis.set_major_formatter("{x:.0%}")
        axes.set_ylim(0, 1.03)
    style_panel(axes, metric)


def _draw_example(axes, example):
    pixels = _pixels(example["image"])
    label, predicted = example["label"], example["predicted"]
    if label is None or predicted is None:
        mark, colour = "", _UNKNOWN
    else:
        mark, colour = ("✓ ", _RIGHT) if label == predicted else ("✗ ", _WRONG)
    if pixels is None:
        axes.set(xlim=(0, 1), ylim=(1, 0), facecolor="#F3F3F3", aspect="equal")
        axes.text(0.5, 0.5, "no picture", ha="center", va="center", color=GREY)
    else:
        axes.imshow(pixels)
    axes.set_anchor("N")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(color=colour, linewidth=2.5)
    title = label or "no label"
    if predicted is not None:
        title = f"{mark}{predicted} {example['probability']:.0%}"
    title = _shorten(title, 2, _TITLE_WIDTH)
    style = {"fontsize": 10, "parse_math": False}
    axes.set_title(title, color=colour, fontweight="bold", loc="left", **style)
    below = _shorten(f"“{example['text']}”" if example["text"] else "no text", _TEXT_LINES)
    if None not in (label, predicted) and label != predicted:
        below = f"{_shorten(f'is: {label}', 1)}\n{below}"
    axes.set_xlabel(below, loc="left", color="#222222", **(style | {"fontsize": 8.5}))


def _shorten(text, lines, width=_LINE_WIDTH):
    """Wraps a text and ends it with an ellipsis after so many lines."""
    text = " ".join(text.split())
    return "\n".join(textwrap.wrap(text, width, max_lines=lines, placeholder=" …"))


def _pixels(image):
    """Encoded bytes or pixels as what `imshow` draws, `None` where there is nothing."""
    if isinstance(image, (bytes, bytearray)):
        return decode_image(tf.constant(bytes(image))).numpy() if image else None
    if image is None or isinstance(image, str):
        return None
    pixels = np.clip(np.asarray(image), 0, 255).astype(np.uint8)
    return np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels
