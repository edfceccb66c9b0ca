"""What checkpoints cost, beside `keras.callbacks.BackupAndRestore`.

    python benchmarks/backup.py

`head` is efficientnet_lite0_minilm_gated on features (encoders frozen), `encoder` the same with
its picture encoder learning. Each trains for some epochs of two steps, with a checkpoint after each
epoch: ours, Keras's, none; they take turns. `seconds` is what a checkpoint adds to an epoch,
`bytes` its file; medians over rounds, ratios within each round. The loss of the last epoch must be
the same.

Writes benchmarks/results/backup.csv.
"""

import os
import pathlib
import statistics
import tempfile
import time

import keras
import numpy as np
from absl import app, flags
from conditions import write_results

from tatl_keras import training, zoo

_ROUNDS = flags.DEFINE_integer("rounds", 7, "How often the methods take turns.")

EPOCHS, BATCH, CLASSES = 6, 32, 10


class Seconds(keras.callbacks.Callback):
    """Times the epochs; the first one, which traces, does not count."""

    def on_train_begin(self, logs=None):
        self.begins = []

    def on_epoch_begin(self, epoch, logs=None):
        self.begins.append(time.perf_counter())

    def on_train_end(self, logs=None):
        self.begins.append(time.perf_counter())
        self.median = statistics.median(np.diff(self.begins)[1:])


def make(network):
    """A compiled model, and arrays of two batches."""
    keras.utils.set_random_seed(0)
    model = zoo.build("efficientnet_lite0_minilm_gated", CLASSES, seed=0)
    rng = np.random.default_rng(0)
    count = 2 * BATCH
    x = {"text_pooled": rng.normal(size=(count, model.text_encoder.output_dim))}
    x |= {"has_image": np.ones(count, "int32"), "has_text": np.ones(count, "int32")}
    if network == "encoder":
        model.image_encoder.unfreeze()
        x["images"] = rng.normal(size=(count, 64, 64, 3))
    else:
        x["image_pooled"] = rng.normal(size=(count, model.image_encoder.output_dim))
    model.compile()
    x = {k: v.astype("float32") if v.dtype == "float64" else v for k, v in x.items()}
    return model, x, rng.integers(CLASSES, size=count)


def turn(network, method, folder):
    """Seconds of an epoch, bytes of a checkpoint, and the last loss."""
    model, x, y = make(network)
    clock = Seconds()
    made = {
        "ours": lambda: training.BackupAndRestore(folder, delete_checkpoint=False),
        "keras": lambda: keras.callbacks.BackupAndRestore(folder, delete_checkpoint=False),
    }
    callbacks = [clock] + ([made[method]()] if method in made else [])
    options = {"batch_size": BATCH, "epochs": EPOCHS, "verbose": 0, "callbacks": callbacks}
    loss = model.fit(x, y, **options).history["loss"][-1]
    sizes = [path.stat().st_size for path in pathlib.Path(folder).glob("*") if path.is_file()]
    return {"seconds": clock.median, "bytes": max(sizes, default=0), "loss": loss}


def main(argv):
    del argv
    rows = []
    for network in ("head", "encoder"):
        rounds = []
        for number in range(_ROUNDS.value):
            with tempfile.TemporaryDirectory() as folder:
                found = {
                    method: turn(network, method, os.path.join(folder, method))
                    for method in ("none", "ours", "keras")
                }
            assert len({one["loss"] for one in found.values()}) == 1, found
            rounds.append(found)
            print(network, number, found, flush=True)
        for method in ("ours", "keras"):
            added = [one[method]["seconds"] - one["none"]["seconds"] for one in rounds]
            keras_added = [one["keras"]["seconds"] - one["none"]["seconds"] for one in rounds]
            ratios = [mine / theirs for mine, theirs in zip(added, keras_added, strict=True)]
            rows.append(
                {"network": network, "method": method}
                | {"bytes": rounds[0][method]["bytes"]}
                | {"seconds": f"{statistics.median(added):.4f}"}
                | {"to_keras": f"{statistics.median(ratios):.3f}", "rounds": len(rounds)}
            )
    write_results("backup.csv", rows)


if __name__ == "__main__":
    app.run(main)
