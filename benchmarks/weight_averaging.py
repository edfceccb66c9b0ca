"""What greedy soups of epochs give over the last epoch and the best one, in fine-tuning.

    python benchmarks/weight_averaging.py --data=../shared/data/emoji

Reads manifest.jsonl and splits.json there (1,435 emoji, pictures of one vendor, 80/20 splits by
seed). A part of each training set is held out. The last blocks of a pretrained EfficientNet-Lite0
and a head of pictures alone learn from the rest, with a step size that stays and with warm-up and
cosine (`training.make_optimizer`). Every way to end is taken from the same epochs:

    last epoch      as the training ends
    best epoch      the highest accuracy on what was held out (and there the lowest loss)
    greedy soup     `training.EpochSoup`, of the best 5 epochs or of as many as said
    mean of last    all weights of the last 5 epochs, without looking

Writes benchmarks/results/weight_averaging.csv: accuracy on the held-out part and on the test part,
means over seeds, and the difference of the latter from the last epoch, paired by seed.
"""

import json
import os
import statistics

import keras
import numpy as np
from absl import app, flags
from conditions import write_results

from tatl_keras import training, zoo

_DATA = flags.DEFINE_string("data", None, "Folder with manifest.jsonl, splits.json.", required=True)
_SEEDS = flags.DEFINE_list("seeds", ["0", "1", "2"], "Seeds of the splits.")
_VENDOR = flags.DEFINE_string("vendor", "google", "Whose pictures.")
_EPOCHS = flags.DEFINE_integer("epochs", 20, "Epochs.")
_BLOCKS = flags.DEFINE_integer("unfreeze_last_n", 3, "Blocks that learn.")
_SIZE = flags.DEFINE_integer("image_size", 64, "Height and width in pixels.")
_MODEL = "efficientnet_lite0_image_only"
_BATCH_SIZE, _HELD_OUT, _MEAN_OF = 32, 0.2, 5


def main(argv):
    del argv
    rows, splits = _read()
    found: dict[tuple, list] = {}
    for schedule in ("constant", "cosine"):
        for seed in map(int, _SEEDS.value):
            for end, accuracies in _run(rows, splits[str(seed)]["full80"], schedule, seed).items():
                found.setdefault((schedule, end), []).append(accuracies)
        table = [_row(found, *key) for key in found]
        for row in table[-5:]:
            print(row, flush=True)
    write_results("weight_averaging.csv", table)


def _read():
    with open(os.path.join(_DATA.value, "manifest.jsonl"), encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    with open(os.path.join(_DATA.value, "splits.json"), encoding="utf-8") as file:
        splits = json.load(file)["splits"]
    return {row["id"]: row for row in rows if row["vendor"] == _VENDOR.value}, splits


class Ends(keras.callbacks.Callback):
    """Keeps what each epoch ended with."""

    def on_train_begin(self, logs=None):
        self.weights, self.scores = [], []

    def on_epoch_end(self, epoch, logs=None):
        self.weights.append(training.trained_weights(self.model))
        self.scores.append((logs["val_accuracy"], -logs["val_loss"]))


def _run(rows, split, schedule, seed):
    """Dict from way to end to (held-out accuracy, test accuracy)."""
    keras.utils.set_random_seed(seed)
    ids = np.random.default_rng(seed).permutation(split["train"])
    held = int(_HELD_OUT * len(ids))
    names = sorted({row["label"] for row in rows.values()})
    model = zoo.build(
        _MODEL, len(names), class_names=names, image_size=(_SIZE.value, _SIZE.value), seed=seed
    )
    model.image_encoder.unfreeze(last_n=_BLOCKS.value)
    steps = _EPOCHS.value * -(-(len(ids) - held) // _BATCH_SIZE)
    model.compile(training.make_optimizer(model, steps=steps, learning_rate_schedule=schedule))
    parts = {"held": ids[:held], "train": ids[held:], "test": split["test"]}
    data = {part: _examples([rows[i] for i in parts[part]], names) for part in parts}
    ends = Ends()
    model.fit(
        *data["train"], batch_size=_BATCH_SIZE, epochs=_EPOCHS.value, verbose=0,
        validation_data=data["held"], callbacks=[ends],
    )  # fmt: skip
    order = sorted(range(_EPOCHS.value), key=ends.scores.__getitem__, reverse=True)

    def end_with(ingredients):
        training.greedy_soup(model, ingredients, data["held"])
        return tuple(
            model.evaluate(*data[part], verbose=0, return_dict=True)["accuracy"]
            for part in ("held", "test")
        )

    best = {count: [ends.weights[epoch] for epoch in sorted(order[:count])] for count in (1, 5, 10)}
    mean = [np.mean(some, axis=0) for some in zip(*ends.weights[-_MEAN_OF:], strict=True)]
    return {
        "last epoch": end_with(ends.weights[-1:]),
        "best epoch": end_with(best[1]),
        "greedy soup of 5": end_with(best[5]),
        "greedy soup of 10": end_with(best[10]),
        "mean of last 5": end_with([mean]),
    }


def _examples(rows, names):
    pictures = [os.path.join(_DATA.value, row["image"]) for row in rows]
    return {"image": pictures}, np.array([names.index(row["label"]) for row in rows])


def _row(found, schedule, end):
    held, test = zip(*found[schedule, end], strict=True)
    last = [accuracy for _, accuracy in found[schedule, "last epoch"]]
    gains = [a - b for a, b in zip(test, last, strict=True)]
    row = {"schedule": schedule, "end": end, "seeds": len(test)}
    numbers = {
        "held_out_accuracy": statistics.mean(held),
        "test_accuracy": statistics.mean(test),
        "difference": statistics.mean(gains),
        "difference_stdev": statistics.stdev(gains) if len(gains) > 1 else 0.0,
    }
    return row | {name: round(value, 4) for name, value in numbers.items()}


if __name__ == "__main__":
    app.run(main)
