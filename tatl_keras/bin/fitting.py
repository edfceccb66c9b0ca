"""Trains a model, or solves its head, and writes the files of the run's workdir."""

import functools
import os
import sys
import time

from absl import logging

from tatl_keras.bin import records, writing


def fit_and_record(
    model, splits, workdir, config, *, epochs, batch_size, feature_cache=None, callbacks=(),
    backup=None,
):  # fmt: skip
    """Trains a model and writes the files of its workdir, `metrics.json` last.

    Args:
        model: a compiled `TextAssistedClassifier`, `Captioner` or `Translator`.
        splits: dict from `train`, `test` and perhaps `validation` to data sets of `data.load`, or
            `data.load_pairs`.
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
    import keras

    from tatl_keras import training

    start = time.monotonic()
    files = _start(workdir, config)
    callbacks = [
        *callbacks,
        training.HistoryLog(files["history.csv"], os.path.join(workdir, training.workdir.LOGS)),
        training.FiniteLoss(),
        *([] if backup is None else [backup]),
    ]
    begun: list[float] = []

    def note(epoch, logs):
        begun.append(time.monotonic())

    callbacks += [keras.callbacks.LambdaCallback(on_epoch_begin=note)]
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
    finish = _finish if records.task_of(model) == "classify" else writing.finish
    metrics, write_report = finish(model, splits, config, files, batch_size, feature_cache)
    metrics |= known
    if begun:
        metrics["seconds"]["prepare"] = round(begun[0] - start, 3)
    for callback in callbacks:
        if isinstance(callback, training.EpochSoup):
            metrics["soup"] = callback.soup
    curves = {model.name: training.read_history(files["history.csv"])}
    training.draw_curves(curves, files["curves.png"], {model.name: metrics["accuracy"]})
    write_report(metrics=metrics)
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
    metrics, write_report = _finish(model, splits, config, files, batch_size, feature_cache)
    metrics |= {"epochs": 0, "fit_seconds": round(seconds, 3), "head": solution.summary()}
    training.draw_choices(solution, files["curves.png"])
    write_report(metrics=metrics)
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
    """Saves the model and what it says of the test split; returns metrics and `write_report`."""
    from tatl_keras import training

    model.save(files["model.keras"])
    counts = splits["train"].summary["class_counts"]
    start = time.monotonic()
    metrics, predictions, picked = records.measure(
        model, splits["test"], counts, batch_size, feature_cache
    )
    evaluate = round(time.monotonic() - start, 3)
    training.write_predictions(files["predictions.npz"], **predictions)
    workdir = os.path.dirname(files["metrics.json"])
    training.write_boards(
        os.path.join(workdir, training.workdir.BOARDS),
        model,
        splits["test"],
        predictions["logits"],
        picked=picked,
        step=len(training.read_history(files["history.csv"])["seconds"]),
        batch_size=batch_size,
        feature_cache=feature_cache,
    )
    split = config["data"]["test"]["split"]
    metrics |= {"split": split, "seconds": {"evaluate": evaluate}}
    return metrics, functools.partial(training.write_report, workdir, picked)
