"""Measures the entries that write and have their weights here, and writes zoo/<name>/results.csv.

    python benchmarks/zoo_texts.py

Runs `tatl-train --flagfile=zoo/<name>/train.flags` with each seed, as anybody would, and takes the
scores, and those of the baselines on the same held-out examples, from the run's metrics.json. Each
seed fixes the initial weights and the order; the split is one. Run `make docs` afterwards to bring
the numbers into the cards.
"""

import csv
import json
import os
import subprocess
import sys
import tempfile

from absl import app, flags
from conditions import conditions

from tatl_keras import zoo
from tatl_keras.zoo import cards
from tatl_keras.zoo.card_texts import result_row

_MODELS = flags.DEFINE_list(
    "models",
    zoo.list_models("efficientnet_lite0_*_caption")
    + [name for name in zoo.list_models(task="translate") if not name.startswith("test_")],
    "Models of the zoo.",
)
_SEEDS = flags.DEFINE_list("seeds", ["0"], "Seeds of initial weights and order.")


def main(argv):
    del argv
    for name in _MODELS.value:
        rows = [_measure(name, int(seed)) for seed in _SEEDS.value]
        with (cards.FOLDER / name / "results.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


def _measure(name, seed):
    """The row of one seed."""
    recipe = str(cards.FOLDER / name / "train.flags")
    with tempfile.TemporaryDirectory() as folder:
        workdir = os.path.join(folder, "run")
        words = [f"--flagfile={recipe}", f"--seed={seed}", f"--workdir={workdir}"]
        subprocess.run([sys.executable, "-m", "tatl_keras.bin.train", *words], check=True)
        config, metrics = (_read(workdir, f"{part}.json") for part in ("config", "metrics"))
    row = {
        "seed": seed,
        **result_row(metrics),
        "fit_seconds": round(metrics["fit_seconds"], 1),
        "data": config["flags"]["data"],
        "num_train": config["data"]["train"]["num_examples"],
        "num_examples": metrics["num_examples"],
        "epochs": metrics["epochs"],
    }
    print(name, row, flush=True)
    return row | conditions()


def _read(workdir, name):
    with open(os.path.join(workdir, name), encoding="utf-8") as file:
        return json.load(file)


if __name__ == "__main__":
    app.run(main)
