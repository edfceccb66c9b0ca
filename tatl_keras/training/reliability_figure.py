"""Whether probabilities are what they say, as a picture."""

from tatl_keras.training.canvas import COLOURS, GREY, style_panel


def draw_reliability(axes, calibration, name="model", colour=COLOURS[0]):
    """Draws accuracy over confidence, bin by bin, above the share of rows in each.

    Args:
        axes: panel of a figure.
        calibration: what `_reliability.reliability` found.
        name: str, whose probabilities these are.
        colour: of its line.
    """
    filled = [row for row in calibration["bins"] if row["count"]]
    axes.plot([0, 100], [0, 100], color=GREY, linestyle=":", label="honest")
    most = max(row["count"] for row in filled)
    axes.bar(
        [50 * (row["low"] + row["high"]) for row in filled],
        [100 * row["count"] / most * 0.25 for row in filled],
        100 / len(calibration["bins"]) * 0.9, color="#D9D9D9", label="share of rows (scaled)",
    )  # fmt: skip
    axes.plot(
        [100 * row["confidence"] for row in filled], [100 * row["accuracy"] for row in filled],
        color=colour, marker="o", markersize=4,
        label=f"{name}, ECE {100 * calibration['ece']:.1f} %",
    )  # fmt: skip
    axes.set_xlabel("probability of the chosen class, %")
    axes.set_ylabel("accuracy, %")
    style_panel(axes, "Are its probabilities honest?")
