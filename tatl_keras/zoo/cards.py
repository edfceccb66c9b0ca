"""Writes the pages under zoo/: a table of all models, and a card and a flagfile for each.

    python -m tatl_keras.zoo.cards

Measured results are read from zoo/<name>/results.csv, which `benchmarks/zoo_results.py` writes.
"""

import csv
import pathlib
import statistics

from tatl_keras.encoders.catalog import ARCHITECTURES
from tatl_keras.zoo.comparisons import compare, verdict
from tatl_keras.zoo.registry import list_models, spec

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "zoo"
RECIPE = {"data": "tfds:openmoji", "epochs": 30, "batch_size": 32, "seed": 0}
# What networks that learn from scratch need besides: more epochs, smaller pictures, larger steps.
FROM_SCRATCH = {"epochs": 60, "image_size": 128, "learning_rate": 0.001}
# A solved head where `fit` would train nothing but an offset for each class.
FROM_CLASS_TEXTS = {"data": RECIPE["data"], "head_solver": "auto", "batch_size": 32, "seed": 0}
# Where weights come from that are loaded by name, by the beginning of the encoder's name.
_SOURCES = {
    "clip": "OpenAI's CLIP, MIT licence (https://github.com/openai/CLIP), trained on 400 million "
    "pictures with text from the web; its model card asks for a test on the task at hand before "
    "any use",
    "siglip": "Google's SigLIP, Apache-2.0 (https://github.com/google-research/big_vision), "
    "trained on pictures with text from the web (WebLI)",
}
_TRAINED = {
    "concat": "none: the head is linear",
    "no_harm": "none: the three heads are linear",
    "image_only": "none: the head is linear",
    "text_only": "none: the head is linear",
    "lstm": "learned from the training text: vocabulary, embedding and bidirectional LSTM",
    "embed": "learned from the training text: vocabulary and embedding",
}


def card_names():
    """The entries that have a card: all but the tiny `test_*` ones."""
    return [name for name in list_models() if not name.startswith("test_")]


def flagfile(name):
    """The recipe of an entry, as `tatl-train --flagfile` reads it.

    Example:

    >>> print(flagfile("vit_b16_bert_cross").splitlines()[-5])
    --model=vit_b16_bert_cross
    """
    head = [
        f"# {spec(name).summary}",
        f"# tatl-train --flagfile=zoo/{name}/train.flags --workdir=runs/{name}",
        "# Flags on the command line win: add --data=your.csv for data of your own.",
    ]
    recipe = RECIPE | (FROM_SCRATCH if _learns_from_scratch(spec(name).image) else {})
    if _is_made_of_class_texts(spec(name)):
        recipe = FROM_CLASS_TEXTS
    return "\n".join([*head, f"--model={name}", *(f"--{k}={v}" for k, v in recipe.items())]) + "\n"


def card(name, results=None):
    """The model card of an entry, in Markdown.

    Args:
        name: the entry's name.
        results: dict from entry to the rows of its results.csv, for this one and its controls.

    Returns:
        str.
    """
    entry = spec(name)
    parts = [("image encoder", entry.image), ("text encoder", entry.text), ("fusion", entry.fusion)]
    rows = [f"| {title} | `{part}` | {_origin(part)} |" for title, part in parts if part]
    arguments = "num_classes=10"
    if _is_made_of_class_texts(entry):
        rows[-1] = "| head | `class_texts` | none: compares pictures with texts of the classes |"
        arguments = 'num_classes=2, class_names=["cat", "dog"]'
    return "\n".join(
        [
            f"# {name}",
            "",
            entry.summary,
            "",
            "| part | name | weights |",
            "|---|---|---|",
            *rows,
            "",
            "```python",
            "from tatl_keras import zoo",
            "",
            f'model = zoo.build("{name}", {arguments})',
            "```",
            "",
            "```console",
            f"tatl-train --flagfile=zoo/{name}/train.flags --workdir=runs/{name}",
            "```",
            "",
            "## Measured",
            "",
            *_results((results or {}).get(name, ())),
            *_comparisons(name, results or {}),
            "",
            "## Limits",
            "",
            *_limits(entry),
            "",
            "Written by `make docs`; edit the entry, its recipe or its results instead.",
            "",
        ]
    )


def table(results):
    """The overview of all entries, in Markdown.

    Args:
        results: dict from entry to the rows of its results.csv.
    """
    lines = [
        "# Models",
        "",
        f"{len(card_names())} models, built by name: `zoo.build(name, num_classes)`. The",
        "accuracy is the mean over seeds on the held-out part of the OpenMoji set; the card has",
        "the spread and the conditions. An empty cell has not been measured.",
        "",
        "| model | what it is | accuracy |",
        "|---|---|---|",
    ]
    for name in card_names():
        accuracy = _mean_accuracy(results.get(name, ()))
        shown = "" if accuracy is None else f"{accuracy:.1%}"
        lines.append(f"| [`{name}`]({name}/README.md) | {spec(name).summary} | {shown} |")
    lines += ["", "The tiny `test_*` models are for tests. Written by `make docs`.", ""]
    return "\n".join(lines)


def pages(folder=FOLDER):
    """All pages that belong under `folder`.

    Returns:
        Dict from path to text.
    """
    results = {name: _read_results(folder / name / "results.csv") for name in card_names()}
    written = {folder / "README.md": table(results)}
    for name in card_names():
        written[folder / name / "README.md"] = card(name, results)
        written[folder / name / "train.flags"] = flagfile(name)
    return written


def main():
    """Writes the pages."""
    for path, text in pages().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _read_results(path):
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _mean_accuracy(rows):
    accuracies = [float(row["accuracy"]) for row in rows]
    return statistics.mean(accuracies) if accuracies else None


def _results(rows):
    if not rows:
        return ["Not measured yet."]
    accuracies = [float(row["accuracy"]) for row in rows]
    spread = f" ± {statistics.stdev(accuracies):.1%} (standard deviation)" if len(rows) > 1 else ""
    one = rows[0]
    lines = [
        f"Accuracy {statistics.mean(accuracies):.1%}{spread} over {len(rows)} seeds on "
        f"{one['num_examples']} held-out examples of `{one['data']}`; always answering the most "
        f"frequent class gives {float(one['majority_accuracy']):.1%}.",
        "",
        "| seed | accuracy | training, s |",
        "|---|---|---|",
        *(
            f"| {r['seed']} | {float(r['accuracy']):.1%} | {float(r['fit_seconds']):.0f} |"
            for r in rows
        ),
        "",
        f"`{one['command']}` at {one['commit']} on {one['date']}, {one['device']}, TensorFlow "
        f"{one['tensorflow']}, Keras {one['keras']}.",
    ]
    return lines


def _comparisons(name, results):
    """A table of what the entry gains over its controls, where it can be told."""
    found = compare(name, results)
    if not found:
        return []
    lines = ["", "| accuracy against | points | 95 % interval | |", "|---|---|---|---|"]
    for other, gain in found:
        mean, low, high = (100 * gain[key] for key in ("mean", "low", "high"))
        interval = f"{low:+.1f} to {high:+.1f}"
        lines.append(f"| `{other}` | {mean:+.1f} | {interval} | {verdict(gain)} |")
    return [
        *lines,
        "",
        "Paired by seed, on one split; intervals allow for seeds and for the held-out pictures.",
    ]


def _limits(entry):
    lines = ["- Pictures are taken as they are stored: EXIF rotation is not applied."]
    if entry.fusion == "no_harm":
        lines.append(
            "- Rows without text are answered as by the image-only model. A text that does not "
            "belong to its picture still costs accuracy, less than with the other fusions: see "
            "`training.estimate_corruption`."
        )
    elif _is_made_of_class_texts(entry):
        lines += _limits_of_class_texts(entry)
    elif entry.image and entry.text:
        lines.append("- Rows without a picture or without text are legal; accuracy falls there.")
    if entry.text in ("minilm", "bert_base"):
        lines.append("- The text encoder knows English.")
    if _learns_from_scratch(entry.image):
        lines.append(
            "- There are no pretrained weights: it needs far more pictures than the others."
        )
        lines.append("- The entry's argument `stem` is `conv` or `attention`.")
    return lines


def _limits_of_class_texts(entry):
    lines = [
        "- The weights are not carried along: KerasHub loads them by the preset's name. "
        f"{_SOURCES[entry.image.split('_')[0]]}.",
        "- The real weights have not been measured here; tiny random ones agree with KerasHub.",
        "- The text encoder knows English. Texts of examples are not read.",
        "- `fit` trains an offset a class, no more; `training.solve_head` learns from pictures.",
    ]
    if entry.image.startswith("clip_"):
        lines.append(
            "- Exports know the model's own classes only: CLIP's tokenizer cannot be served, so "
            "`classify_with_texts` is left out."
        )
    return lines


def _is_made_of_class_texts(entry):
    return bool(entry.text) and entry.fusion == "image_only"


def _learns_from_scratch(part):
    return part in ARCHITECTURES and ARCHITECTURES[part].learned


def _origin(part):
    if part not in ARCHITECTURES:
        return _TRAINED.get(part, "learned with the head")
    architecture = ARCHITECTURES[part]
    if architecture.learned:
        return "random, learned with the head"
    if architecture.folder:
        return f"frozen, carried along in `saved_models/encoders/{architecture.folder}`"
    return f"frozen, KerasHub preset `{architecture.preset}`"


if __name__ == "__main__":
    main()
