"""Runs side by side as one HTML page that needs no other file."""

from tatl_keras import _html
from tatl_keras.training.canvas import COLOURS, new_figure, to_png
from tatl_keras.training.figures import metrics_of
from tatl_keras.training.report_figures import metric_png
from tatl_keras.training.report_setup import command_lines
from tatl_keras.training.run_comparison_words import (
    ABOUT,
    HEADER,
    different_rows,
    rows_of,
    sentences,
)

_MOST_CLASSES = 12
_NAME_LENGTH = 20


def comparison_page(results, histories):
    """Makes the page; see `RunComparison`."""
    runs, warnings = results["runs"], results["warnings"]
    best = max(runs, key=lambda run: run["accuracy"])
    count = f"{len(runs)} run{'s' if len(runs) > 1 else ''}"
    summary = f"The highest accuracy is that of {best['name']}: {best['accuracy']:.1%}."
    parts = [
        *([_html.bullets(warnings, ["alarm"] * len(warnings))] if warnings else []),
        _html.section(
            "Results",
            _html.table(HEADER, rows_of(results)),
            _html.figure(_accuracies(runs), f"Chart: accuracies with 95 % intervals. {summary}"),
        ),
        *_pairs(results),
        _curves(results, histories),
        *_classes(results),
        *_differences(results),
        _commands(runs),
    ]
    return _html.page(f"{count} side by side", *parts, summary=summary, footer=ABOUT)


def _accuracies(runs):
    figure = new_figure(4.2, 0.9 + 0.34 * len(runs))
    axes = figure.subplots()
    for place, run in enumerate(runs):
        share = 100 * run["accuracy"]
        ends = [[share - 100 * run["low"]], [100 * run["high"] - share]]
        colour = COLOURS[place % len(COLOURS)]
        axes.errorbar([share], [place], xerr=ends, fmt="o", color=colour, capsize=4)
    names = [_shorten(run["name"]) for run in runs]
    axes.set_yticks(range(len(runs)), names, fontsize=9, parse_math=False)
    axes.set_ylim(len(runs) - 0.4, -0.6)
    axes.set_xlabel("accuracy, % (95 % interval)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", color="#E4E4E4", linewidth=0.8)
    return to_png(figure)


def _pairs(results):
    if not results["pairs"]:
        return []
    parts = [_html.bullets(sentences(results))]
    for pair in results["pairs"]:
        for alone, other, key in (
            ("second", "first", "only_second"),
            ("first", "second", "only_first"),
        ):
            ids = pair[f"{key}_ids"]
            if ids:
                shown = f"{len(ids)} of {pair[key]}" if len(ids) < pair[key] else str(len(ids))
                title = f"Right in {pair[alone]}, wrong in {pair[other]} ({shown})"
                parts.append(_html.details(title, _html.bullets(ids)))
    return [_html.section("On the same test examples", *parts)]


def _curves(results, histories):
    levels = {run["name"]: run["accuracy"] for run in results["runs"]}
    solved = [run["name"] for run in results["runs"] if not run["epochs"]]
    histories = {name: history for name, history in histories.items() if name not in solved}
    short = {_shorten(name): name for name in histories}
    if len(short) < len(histories):
        short = {name: name for name in histories}
    drawn = {title: histories[name] for title, name in short.items()}
    marks = {title: levels[name] for title, name in short.items()} if len(drawn) < 4 else None
    width = 3.9 if len(drawn) < 3 else 5.2
    cells = []
    for metric in metrics_of(drawn):
        last = {name: h[metric][-1] for name, h in histories.items() if h.get(metric)}
        ends = ", ".join(f"{name} {value:.3g}" for name, value in last.items())
        picture = metric_png(drawn, metric, marks, width)
        cells.append(_html.figure(picture, f"Chart: {metric} over the epochs; at the end {ends}"))
    said = (
        [_html.paragraph(f"Solved, not trained in epochs: {', '.join(solved)}.")] if solved else []
    )
    shown = [_html.grid(*cells, width=330 if width < 4 else 440)] if cells else []
    return _html.section("Curves", *said, *shown)


def _classes(results):
    runs, classes = results["runs"], list(results["classes"].items())
    if len(runs) < 2:
        return []
    rows = [
        [name, *("-" if value is None else f"{value:.1%}" for value in column)]
        for name, column in classes
    ]
    header = ["class", *(run["name"] for run in runs)]
    parts = [_html.table(header, rows[:_MOST_CLASSES])]
    if len(rows) > _MOST_CLASSES:
        parts.append(_html.details(f"All {len(rows)} classes", _html.table(header, rows)))
    return [_html.section("Accuracy by class, the most different first", *parts)]


def _differences(results):
    if len(results["runs"]) < 2:
        return []
    parts = []
    for part in ("flags", "data", "versions"):
        header, rows = different_rows(results, part)
        if rows:
            parts.append(_html.table(header, rows, numeric=False))
        else:
            parts.append(_html.paragraph(f"The same {part}."))
    return [_html.section("What they did differently", *parts)]


def _commands(runs):
    parts = []
    for run in runs:
        parts.append(_html.paragraph(f"{run['name']}, begun {run['started']}:"))
        parts.append(_html.code(command_lines(run["command"])))
    return _html.section("How to reproduce them", *parts)


def _shorten(name):
    return name if len(name) <= _NAME_LENGTH else f"…{name[-_NAME_LENGTH + 1 :]}"
