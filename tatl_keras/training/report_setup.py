"""The parts of a report that say what was trained, on what, how long it took, and how to go on."""

import math
import os
import re
import shlex
import statistics

from tatl_keras import _html
from tatl_keras.training.figures import metrics_of
from tatl_keras.training.report_figures import counts_png, metric_png

_READABLE = 560  # pixels: the figure of a solved head
_LINE = 76  # characters
# What a request to a served model holds, by its task.
_INPUTS = {
    "classify": '"image_bytes": {"b64": ""}, "text": "a few words"',
    "caption": '"image_bytes": {"b64": ""}',
    "translate": '"text": "a few words"',
}


def page(config, metrics, title, summary, parts):
    """The page of a run.

    Args:
        config, metrics: dicts of its `config.json` and `metrics.json`.
        title: str, how good the model is, behind its name.
        summary: str, the first paragraph; what else was asked than the run's own data is added.
        parts: list of str, HTML.

    Returns:
        A str.
    """
    if metrics.get("source"):
        summary += f" Asked: {metrics['split']} of {metrics['source']}."
    return _html.page(
        f"{config['model']['name']}: {title}",
        *parts,
        summary=summary,
        footer=f"Written by tatl_keras {config['versions']['tatl_keras']}. This page needs no "
        "other file and no network.",
    )


def warning(config):
    """What stands above a trial run."""
    if not config["smoke"]:
        return []
    said = "A trial run (--smoke) on made-up examples: the numbers mean nothing."
    return [_html.paragraph(said, "alarm")]


def trained(config, metrics):
    """What was trained."""
    model, recipe = config["model"], config.get("recipe", {})
    rows = [["model", model["name"]]]
    if _classifies(config):
        rows.append(["classes", f"{len(model['class_names'])}"])
    weights = {
        f"{modality} encoder": encoder["preset"] or "random weights"
        for modality, encoder in model["encoders"].items()
    }
    for title, part in model.get("parts", {}).items():
        rows.append([title, "; ".join([*filter(None, [weights.get(title)]), _learned(part)])])
    total, learned = model["parameters"], model["trainable_parameters"]
    rows.append(["learned in all", f"{learned:,} of {total:,} parameters ({learned / total:.2%})"])
    rows += [["how", _how(config, metrics)], ["seed", str(config["seed"])]]
    if recipe:
        rows.append(["precision", recipe["dtype_policy"]])
    versions = [f"{name} {version}" for name, version in config["versions"].items()]
    rows.append(["versions", ", ".join(versions)])
    flags = [[f"--{name}", _value(value)] for name, value in sorted(config["flags"].items())]
    return _html.section(
        "What was trained",
        _html.table(["part", "what it is"], rows, numeric=False),
        _html.details("All flags", _html.table(["flag", "value"], flags, numeric=False)),
    )


def data(config, metrics, some):
    """What was learned from, with a few examples."""
    rows = []
    for role, summary in config["data"].items():
        title = role if role == summary["split"] else f"{role} ({summary['split']})"
        rows.append([title, f"{summary['num_examples']:,}", *_counted(summary).values()])
    train = config["data"]["train"]
    header = ["split", "examples", *_counted(train)]
    parts = [
        _html.paragraph(f"From {train.get('source', 'examples that were given')}."),
        _html.table(header, rows),
        *[_html.paragraph(f"Note: {note}.", "note") for note in train.get("notes", ())],
    ]
    if _classifies(config):
        parts.append(
            _html.figure(
                counts_png(train["class_counts"]),
                f"Chart: examples of each class to learn from, {_extremes(train['class_counts'])}",
                "Examples of each class to learn from",
            )
        )
    if some:
        said = f"The first of each of {len(some)} classes in the {metrics['split']} split:"
        cells = [_html.grid(*[_example(example) for example in some], width=140)]
        parts += [_html.paragraph(said), *cells]
    return _html.section("The data", *parts)


def curves(config, metrics, history, picture):
    """How the training went: its curves, or what a solved head was chosen among."""
    name = config["model"]["name"]
    if not metrics["epochs"]:
        parts = [_html.paragraph(metrics["head"]["reason"])]
        if metrics["head"].get("log_loss") is not None:
            shown = "Chart: held-out log-loss over the penalty, a line for each kind of head"
            parts.append(_html.figure(picture, shown, least_width=_READABLE))
        return _html.section("How the head was chosen", *parts)
    histories, levels = {name: history}, {name: metrics["accuracy"]}
    cells = [
        _html.figure(metric_png(histories, metric, levels), _curve_in_words(history, metric))
        for metric in metrics_of(histories)
    ]
    return _html.section("Curves", _html.grid(*cells, width=330))


def seconds(metrics, history):
    """What took how long."""
    found = metrics.get("seconds", {})
    rows = []
    if "prepare" in found:
        rows.append(["encoding, before the first step", duration(found["prepare"]), ""])
    epochs = history.get("seconds", [])
    if metrics["epochs"] and epochs:
        each = f"{duration(statistics.median(epochs))} an epoch (median), the first "
        rows.append(["epochs", duration(math.fsum(epochs)), f"{each}{duration(epochs[0])}"])
    elif not metrics["epochs"]:
        rows.append(["encoding and solving", duration(metrics["fit_seconds"]), ""])
    if "evaluate" in found:
        count = metrics["num_examples"]
        rate = f"{count / max(found['evaluate'], 1e-9):,.1f} examples a second"
        rows.append([f"answering {count:,} examples", duration(found["evaluate"]), rate])
    rows.append(["training, start to end of this call", duration(metrics["fit_seconds"]), ""])
    rows = [[step, time.replace(" ", "\N{NO-BREAK SPACE}"), detail] for step, time, detail in rows]
    return _html.section("Time", _html.table(["step", "time", "in detail"], rows, numeric=False))


def next_steps(config, workdir):
    """How to train it again, to ask it, to serve it."""
    name = re.sub(r"[^\w.-]", "-", os.path.basename(os.path.abspath(workdir))) or "model"
    folder, given = shlex.quote(os.fspath(workdir)), config["flags"].get("data")
    source = shlex.quote(given or "pets.csv")
    versions = "\n".join(
        f"{package}=={version}" for package, version in config["versions"].items()
        if package not in ("python", "tatl_keras")
    )  # fmt: skip
    prints = [f"{role}  {summary['fingerprint']}" for role, summary in config["data"].items()]
    inputs = _INPUTS[config["model"].get("task", "classify")]
    request = f'{{"instances": [{{{inputs}}}]}}'
    curl = f"curl http://localhost:8501/v1/models/{name}:predict --data '{request}'"
    ask = f'tatl-client --server=localhost:8500 --model={name} picture.jpg --text="a few words"'
    return [
        _html.section(
            "How to reproduce it",
            _html.paragraph(
                f"Begun {config['started']} with Python {config['versions']['python']} and "
                f"tatl_keras {config['versions']['tatl_keras']}. The same command, seed, data and "
                "versions give the same run on the same machine; --workdir must be another folder."
            ),
            _html.code(command_lines(config["command"])),
            _html.details("Versions, for pip", _html.code(versions)),
            _html.details("Fingerprints of the data (SHA-256)", _html.code("\n".join(prints))),
        ),
        _html.section(
            "How to use and serve it",
            _html.code(
                f"tatl-evaluate --workdir={folder}\n"
                f"tatl-predict --model={folder} --data={source}\n"
                f"tatl-export --workdir={folder} --output=saved_models/{name}/1"
            ),
            _html.paragraph("Then, with TensorFlow Serving on this machine:"),
            _html.code("\n".join([*([ask] if _classifies(config) else []), curl])),
        ),
    ]


def command_lines(words):
    """A command as it is typed, each flag on a line of its own where it is long.

    Example:

    >>> command_lines(["tatl-train", "--data=my pets.csv"])
    "tatl-train '--data=my pets.csv'"
    """
    line = shlex.join(words)
    return line if len(line) <= _LINE else " \\\n    ".join(map(shlex.quote, words))


def duration(value):
    """Seconds as people say them.

    Example:

    >>> duration(0.0412), duration(75), duration(7380)
    ('0.04 s', '1 min 15 s', '2 h 3 min')
    """
    if value < 60:
        return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _learned(part):
    """How much of a part of the model was learned."""
    total, learned = part["parameters"], part["learned"]
    if not total:
        return "nothing to learn"
    if learned in (0, total):
        return f"{total:,} parameters, {'learned' if learned else 'frozen'}"
    return f"{learned:,} learned of {total:,} parameters"


def _how(config, metrics):
    if metrics.get("head"):
        return "the head was solved, without steps"
    optimizer = config.get("recipe", {}).get("optimizer") or {}
    name, epochs = optimizer.get("class_name", "an optimizer"), metrics["epochs"]
    said = f"{epochs} epoch{'s' if epochs > 1 else ''} of {name}"
    if "batch_size" in config["flags"]:
        said += f", {config['flags']['batch_size']} examples a step"
    soup = metrics.get("soup")
    if soup:
        said += "; mean of the weights after epochs " + ", ".join(map(str, sorted(soup["epochs"])))
    return said


def _classifies(config):
    return config["model"].get("task", "classify") == "classify"


def _counted(summary):
    """Dict from a column's title to its cell, of what is known of a split."""
    cells = {}
    if "class_counts" in summary:
        counts = summary["class_counts"].values()
        cells["in a class"] = f"{min(counts):,} to {max(counts):,}"
    for what, title in (("text", "without text"), ("image", "without picture")):
        if f"missing_{what}" in summary:
            count = summary[f"missing_{what}"]
            cells[title] = f"{count:,} ({count / summary['num_examples']:.1%})"
    return cells


def _extremes(counts):
    most, least = max(counts, key=counts.get), min(counts, key=counts.get)
    return f"from {counts[most]:,} ({most}) to {counts[least]:,} ({least})"


def _curve_in_words(history, metric):
    said = [f"Chart: {metric} over {len(history[metric])} epochs"]
    for name, title in ((metric, "training"), (f"val_{metric}", "validation")):
        if history.get(name):
            said.append(f"{title} from {history[name][0]:.3g} to {history[name][-1]:.3g}")
    return ", ".join(said)


def _example(example):
    return (
        picture_of(example, f"Example of {example['label']}")
        + _html.paragraph(example["label"])
        + _html.paragraph(f"“{example['text']}”" if example["text"] else "no text", "note")
    )


def picture_of(example, alt):
    """An example's picture, or that there is none."""
    if example["image"] is None:
        return _html.paragraph("no picture", "note")
    return _html.figure(example["image"], alt)


def _value(value):
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
