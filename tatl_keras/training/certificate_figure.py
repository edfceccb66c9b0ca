"""The picture of a certificate: gains, curves, shares, calibration."""

from tatl_keras.training.canvas import COLOURS, new_figure, save, style_panel
from tatl_keras.training.reliability_figure import draw_reliability

_BLUE, _RED, _GREEN, _PINK, _ORANGE = COLOURS[:5]
_LINES = {
    "image": ("pictures alone", _BLUE, "-"),
    "text": ("text alone", _ORANGE, "-"),
    "both": ("both", _GREEN, "-"),
    "both_masked": ("both, no class names", _GREEN, ":"),
    "both_shuffled": ("both, others' texts", _PINK, "--"),
}
_CURVES = {
    "text_missing": ("text missing", _RED),
    "text_swapped": ("wrong text", _PINK),
    "image_missing": ("picture missing", _ORANGE),
}


def draw_certificate(results, path):
    """Draws four panels: accuracy by training set, shares of the gain, robustness, reliability.

    Args:
        results: `Certificate.results`.
        path: PNG, PDF or SVG file to write.
    """
    figure = new_figure(11.0, 7.6)
    panels = figure.subplots(2, 2).ravel()
    _draw_accuracy(panels[0], results["sets"])
    _draw_shares(panels[1], results["sets"])
    _draw_curves(panels[2], results)
    draw_reliability(panels[3], results["calibration"], "both", _GREEN)
    save(figure, path)


def _draw_accuracy(axes, sets):
    places = range(len(sets))
    for name, (title, colour, line) in _LINES.items():
        values = [one["accuracy"][name] for one in sets.values()]
        axes.errorbar(
            places, [100 * value["mean"] for value in values],
            [100 * value["half_width"] for value in values],
            label=title, color=colour, linestyle=line, marker="o", markersize=4, capsize=3,
        )  # fmt: skip
    axes.set_xticks(list(places), [f"{name}\n{one['train']}" for name, one in sets.items()])
    axes.set_xlabel("training set, examples")
    axes.set_ylabel("accuracy, % (95 % interval)")
    style_panel(axes, "Accuracy with and without text")


def _draw_shares(axes, sets):
    places = range(len(sets))
    for offset, name, colour in ((-0.2, "image", _BLUE), (0.2, "text", _ORANGE)):
        values = [one["shapley"][name] for one in sets.values()]
        axes.bar(
            [place + offset for place in places], [100 * value["mean"] for value in values], 0.38,
            yerr=[100 * value["half_width"] for value in values],
            color=colour, capsize=3, label={"image": "pictures", "text": "text"}[name],
        )  # fmt: skip
    axes.axhline(0, color="#444444", linewidth=0.8)
    axes.set_xticks(list(places), list(sets))
    axes.set_ylabel("points above the most frequent class")
    style_panel(axes, "Who brings the gain (Shapley values)")


def _draw_curves(axes, results):
    main = results["sets"][results["main"]]
    for name, (title, colour) in _CURVES.items():
        curve = results["curves"][name]
        shares, values = ([100 * value for value in curve[part]] for part in ("share", "accuracy"))
        label = f"{title}, area {100 * curve['area']:.1f} %"
        axes.plot(shares, values, label=label, color=colour, marker="o", markersize=3)
    level = 100 * main["accuracy"]["image"]["mean"]
    axes.axhline(level, color=_BLUE, linestyle=":", label=f"pictures alone {level:.1f} %")
    axes.set_xlabel("rows changed when asked, %")
    axes.set_ylabel(f"accuracy, %, learned from {main['train']} with both")
    style_panel(axes, "When text or picture is missing or wrong")
