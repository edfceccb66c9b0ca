"""The figure of a comparison of random and pretrained weights."""

import numpy as np

from tatl_keras.training.canvas import COLOURS, GREY, new_figure, save, style_panel

TITLES = {
    "random": "random initialisation",
    "finetuned": "pretrained, fine-tuned",
    "frozen": "pretrained, frozen",
    "frozen_text": "pretrained, frozen, with text",
}


def draw_rethinking(curves, path, found=None):
    """Draws accuracy over training steps: a panel a data size, a line an arm, a band for its seeds.

    The band reaches from the worst seed to the best. A vertical line marks the step where random
    initialisation catches up, with a bar for its interval.

    Args:
        curves: dict from data size to a dict from arm to `(steps, accuracies)`, where accuracies
            have a row for each seed.
        path: PNG, PDF or SVG file to write.
        found: optional dict from data size to a `CatchUp`.

    Raises:
        ValueError: there is no curve.

    Example:

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "rethink.png")
    >>> draw_rethinking({100: {"random": ([1, 2], [[0.1, 0.3], [0.1, 0.5]])}}, path)
    >>> os.path.exists(path)
    True
    """
    if not curves or not all(curves.values()):
        raise ValueError(f"`curves` must hold at least one arm each. Received: curves={curves}")
    figure = new_figure(max(7.2, 4.6 * len(curves)), 4.4)
    panels = figure.subplots(1, len(curves), squeeze=False, sharey=True)[0]
    for axes, (size, arms) in zip(panels, curves.items(), strict=True):
        for arm, (steps, accuracies) in arms.items():
            _draw_arm(axes, arm, steps, np.asarray(accuracies))
        if (found or {}).get(size) is not None:
            _mark(axes, found[size])
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.set_xlabel("training steps")
        axes.yaxis.set_major_formatter("{x:.0%}")
        axes.set_ylim(0, 1.0)
        style_panel(axes, f"{size:,} training pictures")
        if axes is not panels[-1]:
            axes.get_legend().remove()
    panels[0].set_ylabel("test accuracy")
    save(figure, path)


def _draw_arm(axes, arm, steps, accuracies):
    colour = COLOURS[list(TITLES).index(arm)]
    style = {"color": colour, "marker": "o", "markersize": 3, "linewidth": 1.8}
    axes.plot(steps, accuracies.mean(0), label=TITLES[arm], **style)
    if len(accuracies) > 1:
        ends = accuracies.min(0), accuracies.max(0)
        axes.fill_between(steps, *ends, color=colour, alpha=0.18, linewidth=0)


def _mark(axes, found):
    """The catch-up step; an interval that reaches beyond the last step ends in an arrow."""
    if found.step is not None:
        label = f"random catches up: {found.step:,.0f}"
        axes.axvline(found.step, color=GREY, linestyle=":", linewidth=1.4, label=label)
    if found.low is None:
        return
    high = found.last_step if found.high is None else found.high
    axes.plot([found.low, high], [0.03, 0.03], color=GREY, linewidth=3, solid_capstyle="butt")
    if found.high is None:
        axes.plot([high], [0.03], color=GREY, marker=">", markersize=7)
