"""Writes the pages under zoo/: a table of all models, and a card and a flagfile for each.

    python -m tatl_keras.zoo.cards

Measured results are read from zoo/<name>/results.csv, which `benchmarks/zoo_results.py` writes and,
of models that write, `benchmarks/zoo_texts.py`; proofs from zoo/<name>/proofs.json, which
`tatl-zoo verify` writes. Between two markers, the README of the project gets a table, too.
"""

import csv
import json
import pathlib

from tatl_keras.encoders.catalog import ARCHITECTURES
from tatl_keras.zoo.card_limits import is_made_of_class_texts, learns_from_scratch, limit_lines
from tatl_keras.zoo.card_proofs import overview_lines, proof_lines, with_models
from tatl_keras.zoo.card_results import result_lines
from tatl_keras.zoo.card_texts import decoder_row, text_overview_lines, text_result_lines
from tatl_keras.zoo.registry import CAPTION, CLASSIFY, list_models, spec

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "zoo"
RECIPE = {"data": "tfds:openmoji", "epochs": 30, "batch_size": 32, "seed": 0}
_OF_TEXTS = {"epochs": 40, "sequence_length": 16}
# Names of emoji: as captions of their pictures, and in two languages.
CAPTIONS = {"data": "tfds:openmoji", "text_column": "caption"} | _OF_TEXTS
TRANSLATIONS = {"data": "emoji:en-de"} | _OF_TEXTS
# What networks that learn from scratch need besides: more epochs, smaller pictures, larger steps.
FROM_SCRATCH = {"epochs": 60, "image_size": 128, "learning_rate": 0.001}
# A solved head where `fit` would train nothing but an offset for each class.
FROM_CLASS_TEXTS = {"data": RECIPE["data"], "head_solver": "auto", "batch_size": 32, "seed": 0}
_TRAINED = {
    "concat": "none: the head is linear",
    "no_harm": "none: the three heads are linear",
    "image_only": "none: the head is linear",
    "text_only": "none: the head is linear",
    "lstm": "learned from the training text: vocabulary, embedding and bidirectional LSTM",
    "embed": "learned from the training text: vocabulary and embedding",
    "transformer": "learned from the training text: vocabulary, embedding and Transformer",
}


def card_names(task=None):
    """The entries that have a card: all but the tiny `test_*` ones; those of a task, or all."""
    return [name for name in list_models(task=task) if not name.startswith("test_")]


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
    recipe = RECIPE | (FROM_SCRATCH if learns_from_scratch(spec(name).image) else {})
    if is_made_of_class_texts(spec(name)):
        recipe = FROM_CLASS_TEXTS
    elif spec(name).task != CLASSIFY:
        recipe = RECIPE | (CAPTIONS if spec(name).task == CAPTION else TRANSLATIONS)
    return "\n".join([*head, f"--model={name}", *(f"--{k}={v}" for k, v in recipe.items())]) + "\n"


def card(name, results=None, proofs=None):
    """The model card of an entry, in Markdown.

    Args:
        name: the entry's name.
        results: dict from entry to the rows of its results.csv, for this one and its controls.
        proofs: dict as its proofs.json holds it.

    Returns:
        str.
    """
    entry = spec(name)
    parts = [("image encoder", entry.image), ("text encoder", entry.text), ("fusion", entry.fusion)]
    rows = [f"| {title} | `{part}` | {_origin(part)} |" for title, part in parts if part]
    arguments = ", num_classes=10"
    measured = _measured(name, results or {})
    if entry.task != CLASSIFY:
        rows.append(decoder_row(entry))
        arguments = ""
    if is_made_of_class_texts(entry):
        rows[-1] = "| head | `class_texts` | none: compares pictures with texts of the classes |"
        arguments = ', num_classes=2, class_names=["cat", "dog"]'
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
            f'model = zoo.build("{name}"{arguments})',
            "```",
            "",
            "```console",
            f"tatl-train --flagfile=zoo/{name}/train.flags --workdir=runs/{name}",
            "```",
            "",
            "## Measured",
            "",
            *measured,
            "",
            "## Proofs",
            "",
            *proof_lines(name, proofs),
            "",
            "## Limits",
            "",
            *limit_lines(entry),
            "",
            "Written by `make docs`; edit the entry, its recipe or its results instead.",
            "",
        ]
    )


def _measured(name, results):
    """Lines of Markdown on what was measured."""
    if spec(name).task != CLASSIFY:
        return text_result_lines(results.get(name, ()))
    return result_lines(name, results)


def table(results, proofs=None):
    """The overview of all entries, in Markdown.

    Args:
        results: dict from entry to the rows of its results.csv.
        proofs: dict from entry to what its proofs.json holds, or `None`.
    """
    return "\n".join(
        [
            "# Models",
            "",
            f"{len(card_names())} models, built by name. An empty cell has not been measured.",
            "",
            "## Models that classify",
            "",
            "`zoo.build(name, num_classes)`. The accuracy is the mean over seeds on the held-out",
            "part of the OpenMoji set; the card has the spread and the conditions.",
            "",
            "Parameters are of a model for ten classes, GFLOP of one picture and one text of 64",
            "tokens, a multiplication and an addition counting two. Speed is a class, from tiny to",
            "huge, by the time of a prediction beside one convolution. What was verified, and how,",
            "is in the card; `tatl-zoo verify` does it again.",
            "",
            *overview_lines(card_names(CLASSIFY), proofs or {}, results),
            "",
            "## Models that write",
            "",
            "`zoo.build(name)`. chrF and BLEU, from 0 to 100, are means over seeds on held-out",
            "examples. The nearest text is that of the training example whose picture, or source,",
            "is most like the one asked about: what a model has to beat. Parameters are of a model",
            "with its largest vocabulary, GFLOP are those of reading a picture or a text, and the",
            "speed is that of writing.",
            "",
            *text_overview_lines(results, proofs or {}),
            "",
            "The tiny `test_*` models are for tests. Written by `make docs`.",
            "",
        ]
    )


def pages(folder=FOLDER):
    """All pages that belong under `folder`, and the README beside it.

    Returns:
        Dict from path to text.
    """
    results = {name: _read_results(folder / name / "results.csv") for name in card_names()}
    proofs = {name: _read_proofs(folder / name / "proofs.json") for name in card_names()}
    written = {folder / "README.md": table(results, proofs)}
    for name in card_names():
        written[folder / name / "README.md"] = card(name, results, proofs[name])
        written[folder / name / "train.flags"] = flagfile(name)
    readme = folder.parent / "README.md"
    if readme.exists():
        written[readme] = with_models(readme.read_text(encoding="utf-8"), proofs, results)
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


def _read_proofs(path):
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


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
