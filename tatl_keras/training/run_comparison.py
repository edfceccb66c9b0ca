"""Runs side by side: how good each is, how sure a difference is, and what they did differently."""

import dataclasses
import os

import numpy as np

from tatl_keras._files import write_whole
from tatl_keras._paired import interval
from tatl_keras._probabilities import log_softmax
from tatl_keras._shares import paired_difference, share_interval
from tatl_keras.training import workdir as files
from tatl_keras.training.history import read_history
from tatl_keras.training.predictions import read_predictions
from tatl_keras.training.report_answers import calibration_of
from tatl_keras.training.run_comparison_page import comparison_page
from tatl_keras.training.run_comparison_words import warnings_of

_NO_MATTER = ("workdir", "overwrite", "debug")  # flags that change nothing of a run
_MOST_IDS = 50


@dataclasses.dataclass(frozen=True)
class RunComparison:
    """What `compare_runs` found.

    Args:
        results: dict that `json` can write. `runs`: one dict a run, with `name`, `folder`, `model`,
            `source`, `seed`, `accuracy` with its 95 % interval `low` and `high`, `loss`, `ece`
            (`None` for a run without predictions), `learned` and `parameters`, `fit_seconds` and
            `epochs`. `pairs`: each run against the first one on the same test examples,
            `only_first` and `only_second` (examples that one alone has right), `difference` of the
            accuracies with `low`, `high` and `p_value`, and `loss`, the difference of the losses as
            of `interval`. `flags`, `versions`, `data`: name → a list with one value a run, where
            these differ. `classes`: class → a list of accuracies. `warnings`: sentences.
        histories: dict from a run's name to its history.

    Example: see `compare_runs`, which makes it.

    >>> RunComparison({"warnings": []}, {}).results
    {'warnings': []}
    """

    results: dict
    histories: dict

    def save(self, path):
        """Writes one HTML page that needs no other file: tables, curves, pairs, warnings."""
        write_whole(path, comparison_page(self.results, self.histories).encode())


def compare_runs(workdirs):
    """Compares finished training runs.

    The same test examples: difference and p-value as of McNemar's exact test and the interval of
    Agresti and Min; for the loss, Student's t over the examples. Intervals are about other test
    examples of the same kind; what another seed would give is not in them.

    Args:
        workdirs: list of one or more folders of `tatl-train`; the others are compared with the
            first.

    Returns:
        A `RunComparison`.

    Raises:
        FileNotFoundError: a folder holds no run, or one that has not finished.
        ValueError: there is no folder, or one twice.

    Example:

    >>> compare_runs(["nowhere"])
    Traceback (most recent call last):
    FileNotFoundError: `workdirs` must be folders of tatl-train. Received: 'nowhere'
    """
    folders = [os.fspath(folder) for folder in workdirs]
    if not folders or len({os.path.realpath(folder) for folder in folders}) < len(folders):
        raise ValueError(
            f"`workdirs` must be one or more different folders. Received: workdirs={folders}"
        )
    held = [_read(folder) for folder in folders]
    names = _names(folders)
    pairs = [
        {"first": names[0], "second": name, **found}
        for name, run in zip(names[1:], held[1:], strict=True)
        if (found := _pair(held[0], run)) is not None
    ]
    configs = [run["config"] for run in held]
    results = {
        "runs": [_summary(*pair) for pair in zip(names, folders, held, strict=True)],
        "pairs": pairs,
        "flags": _different([config["flags"] for config in configs], _NO_MATTER),
        "versions": _different([config["versions"] for config in configs]),
        "data": _different([_facts(config) for config in configs]),
        "classes": _classes(held),
    }
    results["warnings"] = warnings_of(results)
    return RunComparison(results, {n: run["history"] for n, run in zip(names, held, strict=True)})


def _read(folder):
    """All that a run left and a comparison needs."""
    paths = {name: os.path.join(folder, name) for name in files.FILES}
    present = os.listdir(folder) if os.path.isdir(folder) else []
    config = files.read_json(paths[files.CONFIG]) if files.CONFIG in present else {}
    if config.get("program") != files.PROGRAM:
        raise FileNotFoundError(f"`workdirs` must be folders of tatl-train. Received: {folder!r}")
    task = config.get("model", {}).get("task", "classify")
    if task != "classify":
        raise ValueError(
            f"`workdirs` must be runs of models that classify. Received: {folder!r}, to {task}"
        )
    if files.METRICS not in present:
        raise FileNotFoundError(
            f"`workdirs` must be finished runs. Received: {folder!r}, which has no "
            f"{files.METRICS}: the training has not ended, or was interrupted."
        )
    kept = files.PREDICTIONS in present
    return {
        "config": config,
        "metrics": files.read_json(paths[files.METRICS]),
        "history": read_history(paths[files.HISTORY]),
        "predictions": read_predictions(paths[files.PREDICTIONS]) if kept else None,
    }


def _names(folders):
    """Of each path the shortest end that no other path ends with."""
    parts = [os.path.abspath(folder).split(os.sep) for folder in folders]

    def shortest(path):
        counts = range(1, len(path) + 1)
        return next(n for n in counts if sum(p[-n:] == path[-n:] for p in parts) == 1)

    return ["/".join(path[-shortest(path) :]) for path in parts]


def _summary(name, folder, run):
    config, metrics, predictions = run["config"], run["metrics"], run["predictions"]
    correct = sum(row["correct"] for row in metrics["per_class"].values())
    low, high = share_interval(correct, metrics["num_examples"])
    test, train = config["data"]["test"], config["data"]["train"]
    return {
        "name": name, "folder": folder, "command": config["command"], "smoke": config["smoke"],
        "model": config["model"]["name"], "source": test.get("source", ""), "seed": config["seed"],
        "split": metrics["split"], "num_examples": metrics["num_examples"], "correct": correct,
        "accuracy": metrics["accuracy"], "low": low, "high": high, "loss": metrics["loss"],
        "ece": None if predictions is None else calibration_of(predictions)["ece"],
        "learned": config["model"]["trainable_parameters"],
        "parameters": config["model"]["parameters"], "epochs": metrics["epochs"],
        "fit_seconds": metrics["fit_seconds"], "started": config["started"],
        "test": test["fingerprint"], "train": train["fingerprint"],
        "fingerprint_of": test.get("fingerprint_of"), "class_names": config["model"]["class_names"],
    }  # fmt: skip


def _pair(first, second):
    """How two runs differ on the same examples, or `None` where these are not the same."""
    sides = [_answers(run) for run in (first, second)]
    if None in sides:
        return None
    (ids, labels, right, losses), (other_ids, other_labels, other_right, other_losses) = sides
    if ids != other_ids or labels != other_labels:
        return None
    apart = [
        [name for name, ours, theirs in zip(ids, *pair, strict=True) if ours and not theirs]
        for pair in ((right, other_right), (other_right, right))
    ]
    return {
        "examples": len(ids), "only_first": len(apart[0]), "only_second": len(apart[1]),
        **paired_difference(len(apart[0]), len(apart[1]), len(ids)),
        "loss": _loss_difference(other_losses - losses),
        "only_first_ids": apart[0][:_MOST_IDS], "only_second_ids": apart[1][:_MOST_IDS],
    }  # fmt: skip


def _answers(run):
    """Names of the examples and of their classes, whether each is right, its loss."""
    found = run["predictions"]
    if found is None:
        return None
    names, labels = run["config"]["model"]["class_names"], found["labels"]
    logits = np.asarray(found["logits"], np.float64)
    losses = -log_softmax(logits)[np.arange(len(labels)), labels]
    right = logits.argmax(axis=1) == labels
    return found["ids"], [names[label] for label in labels], right.tolist(), losses


def _loss_difference(values):
    found = interval(values) if len(values) > 1 else None
    return found and {name: found[name] for name in ("mean", "low", "high", "p_value")}


def _facts(config):
    """What a run learned from and was asked about."""
    facts = {}
    for role, summary in config["data"].items():
        facts[f"{role}: source"] = summary.get("source", "")
        facts[f"{role}: split"] = summary["split"]
        facts[f"{role}: examples"] = summary["num_examples"]
        facts[f"{role}: fingerprint"] = summary["fingerprint"][:12]
    return facts


def _different(values, ignored=()):
    """Name → a list with one value a run, of what is not the same in all of them."""
    names = list(dict.fromkeys(name for one in values for name in one if name not in ignored))
    columns = {name: [one.get(name) for one in values] for name in names}
    return {n: column for n, column in columns.items() if any(v != column[0] for v in column)}


def _classes(held):
    """Class → its accuracy in each run, the most different first."""
    per_class = [run["metrics"]["per_class"] for run in held]
    columns = {
        name: [one.get(name, {}).get("accuracy") for one in per_class]
        for name in dict.fromkeys(name for one in per_class for name in one)
    }

    def spread(name):
        known = [value for value in columns[name] if value is not None]
        return max(known) - min(known) if known else 0.0

    return {name: columns[name] for name in sorted(columns, key=spread, reverse=True)}
