"""Measures the entries whose encoders are carried along and writes zoo/<name>/results.csv.

    python benchmarks/zoo_results.py

Trains each entry by its recipe (zoo/<name>/train.flags) on the split of the OpenMoji set. Each seed
fixes the initial weights and the order, so the spread over seeds tells nothing of the pictures.
`tatl-train --flagfile=zoo/<name>/train.flags --seed=<seed> --workdir=…` does the same. Run
`make docs` afterwards to bring the numbers into the cards.
"""

import collections
import csv

import heads
from absl import app, flags
from conditions import conditions

from tatl_keras import data, zoo
from tatl_keras.zoo import cards

_MODELS = flags.DEFINE_list(
    "models",
    zoo.list_models("efficientnet_lite0_*", task="classify") + ["minilm_text_only"],
    "Models of the zoo.",
)
_SEEDS = flags.DEFINE_list(
    "seeds", ["0", "1", "2", "3", "4"], "Seeds of initial weights and order."
)
_CACHE = flags.DEFINE_string("feature_cache", "memory", "Folder to keep features in.")


def main(argv):
    del argv
    recipe = cards.RECIPE
    train, test = data.load(recipe["data"])
    for name in _MODELS.value:
        rows = [_measure(name, recipe, int(seed), train, test) for seed in _SEEDS.value]
        _write(cards.FOLDER / name / "results.csv", rows)


def _measure(name, recipe, seed, train, test):
    """The row of one seed."""
    num_classes = len(train.class_names)
    x, y = heads.encode(name, num_classes, train, feature_cache=_CACHE.value)
    x_test, y_test = heads.encode(name, num_classes, test, feature_cache=_CACHE.value)
    options = {"epochs": recipe["epochs"], "batch_size": recipe["batch_size"]}
    model, seconds = heads.train(name, num_classes, x, y, seed=seed, **options)
    most_frequent = collections.Counter(y.tolist()).most_common(1)[0][0]
    row = {
        "seed": seed,
        "accuracy": round(heads.accuracy(model, x_test, y_test), 4),
        "fit_seconds": round(seconds, 1),
        "data": recipe["data"],
        "num_train": len(y),
        "num_examples": len(y_test),
        "majority_accuracy": round(float((y_test == most_frequent).mean()), 4),
        "epochs": recipe["epochs"],
    }
    print(name, row, flush=True)
    return row


def _write(path, rows):
    columns = conditions()
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0], *columns], lineterminator="\n")
        writer.writeheader()
        writer.writerows(row | columns for row in rows)


if __name__ == "__main__":
    app.run(main)
