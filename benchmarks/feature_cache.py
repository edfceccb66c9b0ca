"""What the feature cache saves: epochs, whole trainings, and how fast it is filled.

    python benchmarks/feature_cache.py --data=../shared/data/emoji

For each image encoder at 224 x 224, on the first pictures of manifest.jsonl there:

    epoch         the second epoch of `fit`: without a cache, with features in memory, and with
                  features streamed from the disk
    training      20 epochs of `fit` with an empty cache on the disk, and one pass of `predict` over
                  the same pictures without a cache; each in a process of its own, from the first
                  call on
    fill          pictures/s of filling a cache from picture files, and of the bare encoder on
                  tensors that are ready
    predictions   share of equal labels, and the largest difference of logits, between training
                  with and without a cache, same seed

Medians over rounds; ratios within each round. Writes benchmarks/results/feature_cache.csv.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from absl import app, flags
from conditions import write_results

_DATA = flags.DEFINE_string("data", None, "Folder with manifest.jsonl.", required=True)
_ROUNDS = flags.DEFINE_integer("rounds", 3, "How often each comparison is made.")
_TASK = flags.DEFINE_string("task", None, "One measurement; used by this script itself.")

BATCH, CLASSES = 32, 8
PICTURES = {"efficientnet_lite0": 1024, "resnet50": 384}  # some seconds of encoding each
EPOCHS = 20


def main(argv):
    del argv
    if _TASK.value:
        print(json.dumps(measure(*_TASK.value.split("/"))))
        return
    rows = []
    for encoder in PICTURES:
        for task in ("epoch", "training", "fill", "predictions"):
            found = [run(task, encoder) for _ in range(_ROUNDS.value)]
            for name in found[0]:
                values = [one[name] for one in found]
                rows.append(
                    {"encoder": encoder, "pictures": PICTURES[encoder], "task": task}
                    | {"quantity": name, "median": f"{statistics.median(values):.4g}"}
                    | {"lowest": f"{min(values):.4g}", "highest": f"{max(values):.4g}"}
                )
                print(rows[-1], flush=True)
    write_results("feature_cache.csv", rows)


def run(task, encoder):
    """One round of a task, each side of the training in a process of its own."""
    if task != "training":
        return call(task, encoder)
    once = call("forward", encoder)["seconds"]
    cold = call("cold", encoder)["seconds"]
    return {"forward_seconds": once, "training_seconds": cold, "training_to_forward": cold / once}


def call(task, encoder):
    command = [sys.executable, __file__, f"--data={_DATA.value}", f"--task={task}/{encoder}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure(task, encoder):
    x, y = examples(PICTURES[encoder])
    with tempfile.TemporaryDirectory() as folder:
        return {
            "epoch": epoch,
            "forward": forward,
            "cold": cold,
            "fill": fill,
            "predictions": predictions,
        }[task](encoder, x, y, pathlib.Path(folder))


def examples(count):
    with open(os.path.join(_DATA.value, "manifest.jsonl"), encoding="utf-8") as file:
        rows = [json.loads(line) for line in file][:count]
    names = sorted({row["label"] for row in rows})
    images = [os.path.join(_DATA.value, row["image"]) for row in rows]
    return {"image": images}, [names.index(row["label"]) for row in rows]


def build(encoder):
    import keras

    from tatl_keras import zoo

    keras.utils.set_random_seed(0)
    preset = {} if encoder == "efficientnet_lite0" else {"image_preset": None}
    return zoo.build(f"{encoder}_image_only", num_classes=CLASSES, **preset)


def epoch(encoder, x, y, folder):
    """Seconds of the second epoch; median of the later ones where they are short."""
    import keras

    from tatl_keras import training

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.start = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            seconds.append(time.perf_counter() - self.start)

    found = {}
    disk = training.FeatureCache(folder, memory_gb=0)
    for name, cache, epochs in (("none", None, 2), ("memory", "memory", 6), ("disk", disk, 6)):
        seconds = []
        build(encoder).fit(
            x, y, batch_size=BATCH, epochs=epochs, feature_cache=cache, verbose=0,
            callbacks=[Clock()],
        )  # fmt: skip
        found[f"{name}_seconds"] = statistics.median(seconds[1:])
    found["none_to_memory"] = found["none_seconds"] / found["memory_seconds"]
    found["none_to_disk"] = found["none_seconds"] / found["disk_seconds"]
    return found


def forward(encoder, x, y, folder):
    model = build(encoder)
    start = time.perf_counter()
    model.predict(x, batch_size=BATCH, verbose=0)
    return {"seconds": time.perf_counter() - start}


def cold(encoder, x, y, folder):
    model = build(encoder)
    start = time.perf_counter()
    model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, feature_cache=folder, verbose=0)
    return {"seconds": time.perf_counter() - start}


def fill(encoder, x, y, folder):
    import numpy as np

    from tatl_keras import training
    from tatl_keras.features.batches import compiled
    from tatl_keras.models.pipeline import raw_examples

    model = build(encoder)
    raw = raw_examples(model, x)
    cache = training.FeatureCache(folder / "second")
    bare = compiled(model.image_encoder, cache, ("pooled",))
    ready = np.random.default_rng(0).normal(size=(BATCH, 224, 224, 3)).astype("float32")
    bare(ready)
    few = raw_examples(model, {"image": x["image"][:BATCH]})
    training.encode(few, model, training.FeatureCache(folder / "first"), verbose=0)
    count = len(x["image"]) // BATCH * BATCH
    start = time.perf_counter()
    for _ in range(count // BATCH):
        bare(ready)["pooled"].numpy()
    bare_rate = count / (time.perf_counter() - start)
    start = time.perf_counter()
    training.encode(raw, model, cache, batch_size=BATCH, verbose=0)
    fill_rate = len(x["image"]) / (time.perf_counter() - start)
    return {
        "bare_pictures_per_second": bare_rate,
        "fill_pictures_per_second": fill_rate,
        "fill_to_bare": fill_rate / bare_rate,
    }


def predictions(encoder, x, y, folder):
    import keras
    import numpy as np

    count = 128
    x, y = {"image": x["image"][:count]}, y[:count]
    logits = []
    for cache in (None, folder):
        model = build(encoder)
        keras.utils.set_random_seed(1)
        model.fit(x, y, batch_size=BATCH, epochs=2, feature_cache=cache, verbose=0)
        logits.append(model.predict(x, verbose=0, feature_cache=cache))
    same = (logits[0].argmax(-1) == logits[1].argmax(-1)).mean()
    return {"equal_labels": float(same), "largest_difference": float(np.ptp(logits, 0).max())}


if __name__ == "__main__":
    app.run(main)
