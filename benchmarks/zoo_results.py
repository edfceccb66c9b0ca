"""Measures the entries whose encoders are carried along and writes zoo/<name>/results.csv.

    python benchmarks/zoo_results.py

Trains each entry by its recipe (zoo/<name>/train.flags) with seeds 0, 1 and 2 on the OpenMoji set.
`tatl-train --flagfile=zoo/<name>/train.flags --seed=<seed> --workdir=…` gives the same accuracy.
Run `make docs` afterwards to bring the numbers into the cards.
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
    zoo.list_models("efficientnet_lite0_*") + ["minilm_text_only"],
    "Models of the zoo.",
)
_SEEDS = flags.DEFINE_list("seeds", ["0", "1", "2"], "Seeds of initial weights and order.")


def main(argv):
    del argv
    recipe = cards.RECIPE
    train, test = data.load(recipe["data"])
    counts = collections.Counter(int(label) for _, label in test)
    most_frequent = collections.Counter(int(label) for _, label in train).most_common(1)[0][0]
    shared = {
        "data": recipe["data"],
        "num_examples": len(test.ids),
        "majority_accuracy": round(counts[most_frequent] / len(test.ids), 4),
        "epochs": recipe["epochs"],
    }
    for name in _MODELS.value:
        num_classes = len(train.class_names)
        x, y = heads.encode(name, num_classes, train)
        x_test, y_test = heads.encode(name, num_classes, test)
        rows = []
        for seed in map(int, _SEEDS.value):
            options = {"epochs": recipe["epochs"], "batch_size": recipe["batch_size"]}
            model, seconds = heads.train(name, num_classes, x, y, seed=seed, **options)
            measured = {"accuracy": round(heads.accuracy(model, x_test, y_test), 4)}
            rows.append({"seed": seed, **measured, "fit_seconds": round(seconds, 1)} | shared)
            print(name, rows[-1], flush=True)
        _write(cards.FOLDER / name / "results.csv", rows)


def _write(path, rows):
    columns = conditions()
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0], *columns], lineterminator="\n")
        writer.writeheader()
        writer.writerows(row | columns for row in rows)


if __name__ == "__main__":
    app.run(main)
