"""Which classes are taken for which, as a picture."""

import numpy as np

from tatl_keras.training.canvas import GREY, new_figure, save

_MOST_COUNTS = 20  # classes beyond which numbers no longer fit into the squares
_MOST_NAMES = 100  # classes beyond which names no longer fit beside them
_NAME_LENGTH = 24


def draw_confusion(confusion, class_names, path):
    """Draws a confusion matrix: a row a true class, a column a predicted one.

    A square's shade is its share of its row, so that rare classes are seen as well as frequent
    ones; the number in it is a count. Numbers are left out beyond 20 classes, names beyond 100.

    Args:
        confusion: ints (C, C), rows the true and columns the predicted class, as
            `classification_metrics` gives.
        class_names: list of C strings.
        path: PNG, PDF or SVG file to write, or a binary file object, which gets PNG.

    Raises:
        ValueError: `confusion` is not square, or has counts below zero, or is of another size than
            `class_names`.

    Example:

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "confusion.png")
    >>> draw_confusion([[3, 1], [0, 4]], ["cat", "dog"], path)
    >>> os.path.exists(path)
    True
    """
    counts = np.asarray(confusion)
    classes = len(class_names)
    if counts.shape != (classes, classes) or not classes or counts.min() < 0:
        least = f" with values from {counts.min()}" if counts.size else ""
        raise ValueError(
            f"`confusion` must be counts of at least 0, of shape ({classes}, {classes}) for "
            f"{classes} classes. Received: confusion of shape {counts.shape}{least}"
        )
    side = min(4.0 + 0.22 * classes, 9.0)  # inches
    if classes <= _MOST_NAMES:
        side = max(side, 2.4 + 0.1 * classes)
    figure = new_figure(side + 0.6, side)
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, format="{x:.0%}")
    bar.set_label("share of the true class", color=GREY)
    bar.outline.set_visible(False)
    axes.set(xlabel="predicted", ylabel="true")
    if classes <= _MOST_NAMES:
        names = [_shorten(name) for name in class_names]
        style = {"fontsize": 9 if classes <= _MOST_COUNTS else 6, "parse_math": False}
        axes.set_xticks(range(classes), names, rotation=60, ha="right", **style)
        axes.set_yticks(range(classes), names, **style)
        for label in axes.get_xticklabels():
            label.set_rotation_mode("anchor")
    if classes <= _MOST_COUNTS:
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if shares[row, column] > 0.5 else "#222222" if count else "#999999"
            axes.text(column, row, f"{count}", ha="center", va="center", color=colour, fontsize=9)
    right = f"{counts.trace()} of {counts.sum()} right"
    axes.set_title(right, loc="left", fontsize=12, fontweight="bold")
    save(figure, path)


def _shorten(name):
    name = " ".join(name.split())
    return name if len(name) <= _NAME_LENGTH else name[: _NAME_LENGTH - 1] + "…"
