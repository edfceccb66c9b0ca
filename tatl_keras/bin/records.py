"""What `tatl-train` writes down and prints: the run's configuration and its result."""

import datetime
import importlib.metadata
import math
import os
import platform
import sys

import tatl_keras
from tatl_keras.bin import common

_PACKAGES = ("tensorflow", "tensorflow-text", "keras", "keras-hub", "numpy")


def config_of_run(model, splits, module, seed):
    """Everything that decides the outcome of a run, as `config.json` holds it.

    Args:
        model: the model, not trained yet.
        splits: dict from `train`, `test` and perhaps `validation` to data sets.
        module: the program's module.
        seed: int.
    """
    return {
        "program": common.name_of(module),
        "command": [common.name_of(module), *sys.argv[1:]],
        "started": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "smoke": common.SMOKE.value,
        "seed": seed,
        "flags": flags_of(module),
        "versions": versions(),
        "model": {
            "name": model.name,
            "task": task_of(model),
            "class_names": splits["train"].class_names if task_of(model) == "classify" else None,
            "trainable_parameters": count(model.trainable_weights),
            "parameters": count(model.weights),
            "parts": {
                title: {"parameters": count(part.weights), "learned": count(part.trainable_weights)}
                for title, part in parts_of(model).items()
            },
            "encoders": {
                modality: {"preset": encoder.preset, "frozen": encoder.frozen}
                for modality, encoder in model.encoders.items()
            },
        },
        "data": {role: dataset.summary for role, dataset in splits.items()},
    }


def flags_of(module):
    """Dict from name to value of a program's flags."""
    return {flag.name: flag.value for flag in common.program_flags(module)}


def parts_of(model):
    """Dict from a title to the layers that a model of the zoo is made of."""
    parts = {f"{modality} encoder": encoder for modality, encoder in model.encoders.items()}
    if task_of(model) == "classify":
        return parts | {"fusion": model.fusion, "head": model.head}
    backward = {"backward decoder": model.backward_decoder} if model.bidirectional else {}
    return parts | {"decoder": model.decoder} | backward


def task_of(model):
    """What a model is for: "classify", "caption" or "translate"."""
    kinds = {"caption": tatl_keras.models.Captioner, "translate": tatl_keras.models.Translator}
    return next((task for task, kind in kinds.items() if isinstance(model, kind)), "classify")


def task_in(config):
    """The same of the model of a run, by its `config.json`."""
    return config["model"].get("task", "classify")


def count(weights):
    """Number of parameters."""
    return sum(math.prod(weight.shape) for weight in weights)


def versions():
    """Versions of Python, this library and those it stands on."""
    found = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {"python": platform.python_version(), "tatl_keras": tatl_keras.__version__, **found}


def measure(model, examples, class_counts, batch_size=32, feature_cache=None):
    """Asks a model about labelled examples, once.

    Args:
        model: a `TextAssistedClassifier`.
        examples: data set of `data.load`.
        class_counts: dict from class to its number of training examples.
        batch_size: int.
        feature_cache: as `predict` takes it.

    Returns:
        The metrics of `training.classification_metrics`, the predictions as
        `training.read_predictions` gives them, and what `training.pick_examples` picked.
    """
    from tatl_keras import training

    names = list(class_counts)
    logits = model.predict(examples, verbose=0, batch_size=batch_size, feature_cache=feature_cache)
    picked = training.pick_examples(examples, logits)
    labels = picked["labels"]
    # Among classes equally frequent in training, the one that makes the baseline hardest to beat.
    frequency = {i: (class_counts[name], labels.count(i)) for i, name in enumerate(names)}
    majority = max(frequency, key=frequency.get)
    metrics = training.classification_metrics(labels, logits, names, majority)
    return metrics, {"ids": examples.ids, "labels": labels, "logits": logits}, picked


def table(rows):
    """Rows of strings as lines with aligned columns; the last column is not padded."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def accuracy_rows(metrics):
    """The first lines of every report: the accuracy, and what guessing would give."""
    count, majority = metrics["num_examples"], metrics["majority"]
    correct = sum(row["correct"] for row in metrics["per_class"].values())
    return [
        [f"{metrics['split']} accuracy", f"{metrics['accuracy']:.1%}", f"{correct} of {count}"],
        ["always the same class", f"{majority['accuracy']:.1%}", majority["class"]],
        [f"{metrics['split']} loss", f"{metrics['loss']:.4f}", ""],
    ]


def result(metrics, config):
    """The table that ends a training."""
    model = config["model"]
    learned = f"{model['trainable_parameters']:,} of {model['parameters']:,} parameters"
    took = f"{metrics['fit_seconds']:.1f} s"
    how = f"epochs: {metrics['epochs']}" if metrics["epochs"] else "solved"
    rows = [["training", took, f"{how}, {learned}"]]
    if metrics.get("soup"):
        rows.append(["validation accuracy", *soup(metrics)])
    return table(accuracy_rows(metrics) + rows)


def soup(metrics):
    """The validation accuracy of averaged weights, and what they are the mean of."""
    found = metrics["soup"]
    mean = "mean of epochs " + ", ".join(map(str, sorted(found["epochs"])))
    return f"{found['accuracy']:.1%}", f"{mean}; {max(found['alone']):.1%} the best alone"


def next_steps(config, workdir):
    """What a run wrote, and the commands that go on from there."""
    data = config["flags"]["data"] or "pets.csv"
    files = tatl_keras.training.workdir.FILES
    written = [name for name in files if os.path.exists(os.path.join(workdir, name))]
    return "\n".join(
        [
            f"Written to {workdir}: " + ", ".join([*written, "logs/"]),
            "Next:",
            f"  tatl-evaluate --workdir={workdir}",
            f"  tatl-predict --model={workdir} --data={data}",
            f"  tatl-export --workdir={workdir} --output=saved_models/{_name(workdir)}/1",
        ]
    )


def _name(workdir):
    return os.path.basename(os.path.normpath(workdir))
