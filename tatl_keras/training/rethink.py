"""Does pre-training help here, and for how long: random and pretrained weights side by side."""

import collections
import csv
import dataclasses
import io
import itertools
import os
import time

import keras
import numpy as np
import tensorflow as tf

from tatl_keras import __version__
from tatl_keras._files import write_whole
from tatl_keras.features import FeatureCache
from tatl_keras.features.locks import taking_turns
from tatl_keras.training import rethink_checks
from tatl_keras.training.catch_up import catch_up, check_settings
from tatl_keras.training.rethink_figure import draw_rethinking
from tatl_keras.training.rethink_runs import ARMS, Runner
from tatl_keras.training.rethink_samples import choose_rows, draw_order, evaluation_steps
from tatl_keras.training.rethink_words import sentences
from tatl_keras.training.workdir import write_json

CONFIG, CURVES, FIGURE, SUMMARY = "config.json", "curves.csv", "curves.png", "summary.json"
FEATURES = "features"
_COLUMNS = ("size", "seed", "arm", "step", "samples", "accuracy", "loss")


def rethink(
    model,
    train,
    test,
    workdir,
    *,
    arms=ARMS,
    sizes=None,
    steps=500,
    seeds=3,
    batch_size=32,
    image_size=None,
    learning_rates=None,
    batch_norm_momentum=0.9,
    margin=0.01,
    confidence=0.95,
    image_options=None,
    text_options=None,
    on_run=None,
):
    """Compares random initialisation with pretrained weights, over training steps and data sizes.

    | arm | network |
    |---|---|
    | `random` | the entry's image encoder from random weights, all of it learns; pictures alone |
    | `finetuned` | the same from its pretrained weights |
    | `frozen` | the pretrained image encoder stays as it is, a head learns; pictures alone |
    | `frozen_text` | the entry itself: frozen encoders of pictures and text, its fusion learns |

    All arms of one data size and seed see the same examples in the same order, so that equal steps
    are equal samples seen. They are evaluated on all test data at twelve steps, at equal distances
    on a logarithmic scale. The learning rate is constant: every point of a curve is what stopping
    there gives. A schedule made for each length, which decays at its end, would lift the curves of
    networks that learn.

        config.json     what is compared, versions, fingerprints of the data; written first
        curves.csv      a row for each evaluation: size, seed, arm, step, samples, accuracy, loss
        features/       features of frozen encoders, computed once
        curves.png      accuracy over steps, a panel a size
        summary.json    the step where `random` catches up with each other arm, with its interval;
                        the same in words; written last

    The rows of a training are written when it is finished. Called again with the same folder, only
    trainings that are missing are done; `arms`, `sizes`, `seeds`, `margin` and `confidence` may
    have changed, nothing else. A second process in the same folder waits until the first is done.
    The global Keras seed is set.

    Args:
        model: str, entry of the zoo; its image encoder is that of all arms.
        train, test: data sets of `data.load`; encoded training pictures are kept in memory.
        workdir: folder, new or of an earlier call.
        arms: names of arms.
        sizes: numbers of training examples; each class is there at least once, otherwise in
            proportion. Defaults to all examples.
        steps: int, training steps of each arm.
        seeds: int, trainings of each arm; a seed decides weights, chosen examples and their order.
        batch_size: int.
        image_size: int, height and width in pixels; `None` for the preset's.
        learning_rates: dict from arm to float. Defaults to the model's own recipe: Adam with 1e-3
            for `random` and 1e-4 for `finetuned`, SGD with 0.002 for a linear head.
        batch_norm_momentum: float from 0 to 1, of the moving averages in networks that learn. With
            0.99, those of random weights would lag behind for hundreds of steps. `None` leaves the
            network's own.
        margin: float, accuracy by which `random` may be behind and still counts as caught up.
        confidence: float, of intervals.
        image_options, text_options: dicts of arguments of `zoo.build`, such as `image_preset` and
            `text_preset`; the first are those of all arms, the second of `frozen_text` alone.
        on_run: function called after each training with a dict of `arm`, `size`, `seed`,
            `accuracy`, `done`, `left` and `seconds_left`.

    Returns:
        The dict in `summary.json`.

    Raises:
        ValueError: an argument is none of these, or `workdir` holds another comparison; the message
            names what differs.

    Example:

    >>> import tempfile
    >>> from tatl_keras import data, training
    >>> train, test = (data.synthetic.examples(2, 12, seed=seed) for seed in (0, 1))
    >>> workdir, arms = tempfile.mkdtemp(), ("random", "frozen")
    >>> options = dict(arms=arms, sizes=[8], steps=2, seeds=1, batch_size=4)
    >>> summary = training.rethink(
    ...     "test_efficientnet_image_only", train, test, workdir, **options)
    >>> summary["sizes"]["8"]["frozen"]["last_step"]
    2

    Reference: He, Girshick and Dollár, "Rethinking ImageNet Pre-training", 2019,
    https://arxiv.org/abs/1811.08883
    """
    arms, sizes = tuple(arms), _sizes(sizes, train)
    learning_rates = dict.fromkeys(ARMS) | dict(learning_rates or {})
    image_options, text_options = dict(image_options or {}), dict(text_options or {})
    if image_size is not None:
        image_options["image_size"] = (image_size, image_size)
    recipe = {"batch_size": batch_size, "learning_rates": learning_rates}
    recipe |= {"batch_norm_momentum": batch_norm_momentum}
    recipe |= {"image_options": image_options, "text_options": text_options}
    rethink_checks.check(model, train, test, arms, sizes, steps, seeds, recipe)
    check_settings(margin, confidence)
    grid = evaluation_steps(steps)
    config = {"program": "tatl-rethink", "model": model, "evaluation_steps": grid, **recipe}
    config |= {"train": train.summary["fingerprint"], "test": test.summary["fingerprint"]}
    config |= {"versions": _versions()}
    workdir = os.fspath(workdir)
    rethink_checks.check_workdir(workdir, os.path.join(workdir, CONFIG), config)
    with taking_turns(workdir):
        # Another process may have been here since.
        rethink_checks.check_workdir(workdir, os.path.join(workdir, CONFIG), config)
        write_json(os.path.join(workdir, CONFIG), config)
        runner = Runner(model, train, test, FeatureCache(os.path.join(workdir, FEATURES)), **recipe)
        wanted = list(itertools.product(sizes, range(seeds), arms))
        rows = _train_missing(runner, wanted, grid, os.path.join(workdir, CURVES), on_run)
        curves = _curves(rows, sizes, seeds, arms, grid)
        return _conclude(workdir, curves, margin, confidence, batch_size)


def _sizes(sizes, train):
    return [train.summary["num_examples"]] if sizes is None else list(sizes)


def _versions():
    return {"tatl_keras": __version__, "keras": keras.__version__, "tensorflow": tf.__version__}


def _train_missing(runner, wanted, grid, path, on_run):
    """Trains what the file lacks; returns a dict from (size, seed, arm) to its rows."""
    rows = _read(path, grid)
    missing = [run for run in wanted if run not in rows]
    seconds = collections.defaultdict(list)
    for done, (size, seed, arm) in enumerate(missing, start=1):
        started = time.monotonic()
        chosen = choose_rows(runner.labels, size, seed)
        order = draw_order(chosen, grid[-1], runner.batch_size, seed)
        results = runner.run(arm, seed, order, grid)
        known = {"size": size, "seed": seed, "arm": arm}
        rows[size, seed, arm] = [
            known | result | {"samples": result["step"] * runner.batch_size} for result in results
        ]
        _write(path, rows)
        seconds[arm].append(time.monotonic() - started)
        if on_run is not None:
            left = [run[2] for run in missing[done:]]
            progress = {"done": len(wanted) - len(left), "left": len(left)}
            progress |= {"seconds_left": _seconds_left(seconds, left)}
            on_run(known | {"accuracy": results[-1]["accuracy"]} | progress)
    return rows


def _seconds_left(seconds, arms):
    """What arms will take: as long as before, or as long as all on average."""
    everything = np.mean([value for values in seconds.values() for value in values])
    return float(sum(np.mean(seconds.get(arm, everything)) for arm in arms))


def _read(path, grid):
    """Rows of finished trainings; those of one that is not whole are left out."""
    found = {}
    if os.path.isfile(path):
        with open(path, newline="", encoding="utf-8") as file:
            for text in csv.DictReader(file):
                row = {name: int(text[name]) for name in ("size", "seed", "step", "samples")}
                row |= {"arm": text["arm"]}
                row |= {name: float(text[name]) for name in ("accuracy", "loss")}
                found.setdefault((row["size"], row["seed"], row["arm"]), []).append(row)
    return {run: rows for run, rows in found.items() if [row["step"] for row in rows] == grid}


def _write(path, rows):
    """Replaces the file by one that is whole, in an order that does not tell what came first."""
    order = sorted(rows, key=lambda run: (run[0], run[1], ARMS.index(run[2])))
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(row for run in order for row in rows[run])
    write_whole(path, file.getvalue().encode())


def _curves(rows, sizes, seeds, arms, grid):
    """Dict from size to arm to `(steps, accuracies)`, a row a seed."""
    return {
        size: {
            arm: (
                grid,
                np.array([[r["accuracy"] for r in rows[size, s, arm]] for s in range(seeds)]),
            )
            for arm in arms
        }
        for size in sizes
    }


def _conclude(workdir, curves, margin, confidence, batch_size):
    """Writes the figure and the summary; returns the latter."""
    found, marked, words = {}, {}, []
    for size, arms in curves.items():
        found[size] = {}
        for arm, (steps, accuracies) in arms.items():
            if arm == "random" or "random" not in arms:
                continue
            options = {"margin": margin, "confidence": confidence}
            pair = {"random": arms["random"][1], "pretrained": accuracies}
            found[size][arm] = catch_up(steps, **pair, **options)
        marked[size] = found[size].get("finetuned") or next(iter(found[size].values()), None)
        final = {arm: float(accuracies[:, -1].mean()) for arm, (_, accuracies) in arms.items()}
        words += sentences(size, batch_size, found[size], final)
    draw_rethinking(curves, os.path.join(workdir, FIGURE), marked)
    summary = {
        "words": words,
        "sizes": {
            str(size): {arm: dataclasses.asdict(catch) for arm, catch in arms.items()}
            for size, arms in found.items()
        },
        "final_accuracy": {
            str(size): {arm: values[:, -1].tolist() for arm, (_, values) in arms.items()}
            for size, arms in curves.items()
        },
    }
    write_json(os.path.join(workdir, SUMMARY), summary)
    return summary
