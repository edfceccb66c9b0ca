"""What `tatl-train` writes down: the run's configuration, its curves and its result."""

import datetime
import importlib.metadata
import math
import os
import platform
import sys
import time

from absl import logging

import tatl_keras
from tatl_keras.bin import common

_PACKAGES = ("tensorflow", "tensorflow-text", "keras", "keras-hub", "numpy")


def config_of_run(model, splits, module, seed):
    """Everything that decides the outcome of a run, as `config.json` holds it.

    Args:
        model: the model, not trained yet.
        splits: dict from `train`, `test` and perhaps `validation` to data sets of `data.load`.
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
            "class_names": splits["train"].class_names,
            "trainable_parameters": count(model.trainable_weights),
            "parameters": count(model.weights),
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


def count(weights):
    """Number of parameters."""
    return sum(math.prod(weight.shape) for weight in weights)


def versions():
    """Versions of Python, this library and those it stands on."""
    found = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {"python": platform.python_version(), "tatl_keras": tatl_keras.__version__, **found}


def fit_and_record(
    model, splits, workdir, config, *, epochs, batch_size, feature_cache=None, callbacks=(),
    backup=None,
):  # fmt: skip
    """Trains a model and writes the files of its workdir, `metrics.json` last.

    Args:
        model: a compiled `TextAssistedClassifier`.
        splits: dict from `train`, `test` and perhaps `validation` to data sets of `data.load`.
        workdir: folder made by `training.create_workdir`.
        config: dict for `config.json`.
        epochs, batch_size, feature_cache: as `fit` takes them.
        callbacks: further `keras.callbacks`.
        backup: a `training.BackupAndRestore`, whose checkpoints go when all is written.

    Returns:
        The dict in `metrics.json`.

    Raises:
        ValueError: the loss became NaN or infinite; the workdir holds a run on other data.
    """
    from tatl_keras import training

    start = time.monotonic()
    files = _start(workdir, config)
    callbacks = [
        *callbacks,
        training.HistoryLog(files["history.csv"], os.path.join(workdir, training.workdir.LOGS)),
        training.FiniteLoss(),
        *([] if backup is None else [backup]),
    ]
    verbose = 1 if sys.stdout.isatty() else 2  # a bar that moves, or a line an epoch
    history = model.fit(
        splits["train"],
        validation_data=splits.get("validation"),
        epochs=epochs,
        batch_size=batch_size,
        feature_cache=feature_cache,
        callbacks=callbacks,
        verbose=verbose,
    ).history
    known = {"epochs": len(history["loss"]), "fit_seconds": round(time.monotonic() - start, 3)}
    metrics = _finish(model, splits, config, files, batch_size, feature_cache) | known
    for callback in callbacks:
        if isinstance(callback, training.EpochSoup):
            metrics["soup"] = callback.soup
    curves = {model.name: training.read_history(files["history.csv"])}
    training.draw_curves(curves, files["curves.png"], {model.name: metrics["accuracy"]})
    training.write_json(files["metrics.json"], metrics)
    if backup is not None:
        backup.delete()
    return metrics


def solve_and_record(model, splits, workdir, config, *, solver, batch_size, feature_cache):
    """Solves a model's head and writes the files of its workdir, as `fit_and_record`.

    `history.csv` has one epoch, of the solved head; `curves.png` shows what was looked at.

    Args:
        model, splits, workdir, config, batch_size, feature_cache: see `fit_and_record`.
        solver: as `training.solve_head` takes it.

    Returns:
        The dict in `metrics.json`; `head` in it says what was chosen and why.
    """
    import dataclasses

    from tatl_keras import training

    start = time.monotonic()
    files = _start(workdir, config)
    options = {"batch_size": batch_size, "feature_cache": feature_cache}
    solution = training.solve_head(model, splits["train"], solver=solver, **options)
    seconds = time.monotonic() - start
    print(solution.report())
    log = training.HistoryLog(files["history.csv"], os.path.join(workdir, training.workdir.LOGS))
    log.on_epoch_begin(0)
    logs = model.evaluate(splits["train"], return_dict=True, verbose=0, **options)
    if "validation" in splits:
        held_out = model.evaluate(splits["validation"], return_dict=True, verbose=0, **options)
        logs |= {f"val_{name}": value for name, value in held_out.items()}
    log.on_epoch_end(0, logs)
    log.on_train_end()
    metrics = _finish(model, splits, config, files, batch_size, feature_cache)
    head = {name: v for name, v in dataclasses.asdict(solution).items() if name != "choices"}
    metrics |= {"epochs": 0, "fit_seconds": round(seconds, 3), "head": head}
    training.draw_choices(solution, files["curves.png"])
    training.write_json(files["metrics.json"], metrics)
    return metrics


def _start(workdir, config):
    """Writes `config.json`, or checks that it is of the same run; returns the paths of all files.

    Raises:
        ValueError: the data have changed since the run began.
    """
    from tatl_keras import training

    files = {name: os.path.join(workdir, name) for name in training.workdir.FILES}
    if not os.path.exists(files["config.json"]):
        training.write_json(files["config.json"], config)
        return files
    known = training.read_json(files["config.json"])
    for role, summary in config["data"].items():
        was, now = known["data"][role]["fingerprint"], summary["fingerprint"]
        if was != now:
            raise ValueError(
                f"--data must be what the run in {workdir!r} began with. Received: another {role} "
                f"split (fingerprint {now}, was {was}). --overwrite begins anew."
            )
    if known["versions"] != config["versions"]:
        logging.warning("Goes on with other versions: %s before.", known["versions"])
    return files


def _finish(model, splits, config, files, batch_size, feature_cache):
    """Saves the model; returns its metrics on the test split."""
    model.save(files["model.keras"])
    counts = splits["train"].summary["class_counts"]
    metrics = measure(model, splits["test"], counts, batch_size, feature_cache)
    return metrics | {"split": config["data"]["test"]["split"]}


def measure(model, examples, class_counts, batch_size=32, feature_cache=None):
    """Metrics of a model on labelled examples (see `training.classification_metrics`).

    Args:
        model: a `TextAssistedClassifier`.
        examples: data set of `data.load`.
        class_counts: dict from class to its number of training examples.
        batch_size: int.
        feature_cache: as `predict` takes it.
    """
    from tatl_keras import training

    names = list(class_counts)
    labels = [int(label) for label in examples.map(lambda x, y: y)]
    # Among classes equally frequent in training, the one that makes the baseline hardest to beat.
    frequency = {i: (class_counts[name], labels.count(i)) for i, name in enumerate(names)}
    majority = max(frequency, key=frequency.get)
    options = {"batch_size": batch_size, "feature_cache": feature_cache}
    logits = model.predict(examples, verbose=0, **options)
    return training.classification_metrics(labels, logits, names, majority)


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
        soup = metrics["soup"]
        mean = "mean of epochs " + ", ".join(map(str, sorted(soup["epochs"])))
        best = f"{max(soup['alone']):.1%} the best alone"
        rows.append(["validation accuracy", f"{soup['accuracy']:.1%}", f"{mean}; {best}"])
    return table(accuracy_rows(metrics) + rows)


def next_steps(config, workdir):
    """What a run wrote, and the commands that go on from there."""
    data = config["flags"]["data"] or "pets.csv"
    return "\n".join(
        [
            f"Written to {workdir}: " + ", ".join([*tatl_keras.training.workdir.FILES, "logs/"]),
            "Next:",
            f"  tatl-evaluate --workdir={workdir}",
            f"  tatl-predict --model={workdir} --data={data}",
            f"  tatl-export --workdir={workdir} --output=saved_models/{_name(workdir)}/1",
        ]
    )


def _name(workdir):
    return os.path.basename(os.path.normpath(workdir))
