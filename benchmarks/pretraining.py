"""What an image encoder learns from captions alone, as a frozen encoder of a classifier (VirTex).

    python benchmarks/pretraining.py --data=../shared/data/emoji

Reads manifest.jsonl and splits.json there: 1,435 emoji of one vendor in 8 classes, 80/20 splits of
two seeds. An EfficientNet of 0.07 million weights, for pictures of 48 pixels, starts from random
weights, the same for all methods of a seed:

    random      it stays as it is
    captions    pretrained by captioning the training pictures with their texts (annotation and
                tags), without labels
    captions2   likewise, by captions in both directions
    labels      trained on the labels, with its classifier

All but the last answer by a head solved in closed form (`training.solve_head`) on frozen features;
captioned encoders are written with `training.save_encoder` and loaded as presets. Labels are those
of 8 training pictures a class, or of all. Captioning and training on all labels take the same
number of steps.

Writes benchmarks/results/pretraining.csv, one row a number of labels and method: accuracy on the
test pictures of each seed and on average, the differences from `random` and from `labels`, paired
by test picture, with their 95 % intervals (Student's t over the pictures of all seeds: they say
what other pictures would change, not what other trainings would), and CPU seconds of one training.
"""

import json
import os
import tempfile
import time

import keras
import keras_hub
import numpy as np
from absl import app, flags
from conditions import write_results

from tatl_keras import data, encoders, fusion, models, training, zoo
from tatl_keras._paired import interval
from tatl_keras.encoders.backbones import build_backbone

_DATA = flags.DEFINE_string("data", None, "Folder with manifest.jsonl, splits.json.", required=True)
_VENDOR = flags.DEFINE_string("vendor", "google", "Whose pictures.")
_SEEDS = flags.DEFINE_list("seeds", ["0", "1"], "Seeds of the splits.")
_EPOCHS = flags.DEFINE_integer("epochs", 12, "Epochs of captioning, and of training on all labels.")
_OUTPUT = flags.DEFINE_string("output", "pretraining.csv", "File in benchmarks/results.")

_SIZE, _BATCH, _RATE = 48, 32, 1e-3
_FEW = 8  # labelled pictures a class
_FEW_STEPS = 200
# Plain convolutions, quick on CPUs: 48 × 48 pixels become 6 × 6 positions of 128 channels.
_NETWORK = dict(
    stackwise_width_coefficients=[1.0] * 3,
    stackwise_depth_coefficients=[1.0] * 3,
    stackwise_kernel_sizes=[3] * 3,
    stackwise_num_repeats=[1, 1, 1],
    stackwise_input_filters=[16, 24, 48],
    stackwise_output_filters=[24, 48, 96],
    stackwise_expansion_ratios=[1] * 3,
    stackwise_squeeze_and_excite_ratios=[0] * 3,
    stackwise_strides=[2, 2, 1],
    stackwise_block_types=["cba"] * 3,
    activation="relu6",
    dropout=0,
    include_stem_padding=False,
    stem_conv_padding="same",
    batch_norm_momentum=0.9,
    num_features=128,
)
_DECODER = dict(hidden_dim=64, num_layers=1, num_heads=4, vocabulary_size=1024, sequence_length=24)
_METHODS = ("random", "captions", "captions2", "labels")


def main(argv):
    del argv
    with open(os.path.join(_DATA.value, "manifest.jsonl"), encoding="utf-8") as file:
        manifest = [json.loads(line) for line in file]
    rows = {row["id"]: row for row in manifest if row["vendor"] == _VENDOR.value}
    with open(os.path.join(_DATA.value, "splits.json"), encoding="utf-8") as file:
        asked = json.load(file)
    found: dict = {}
    for seed in _SEEDS.value:
        split = asked["splits"][seed]["full80"]
        sides = [[rows[i] for i in split[side]] for side in ("train", "test")]
        for key, outcome in measure(*sides, asked["classes"], int(seed)).items():
            found.setdefault(key, []).append(outcome)
            print(seed, *key, outcome[0].mean().round(4), round(outcome[1], 1), flush=True)
    counts = list(dict.fromkeys(count for count, _ in found))
    write_results(_OUTPUT.value, [_row(found, count, m) for count in counts for m in _METHODS])


def measure(train, test, names, seed):
    """Dict from (number of labels, method) to (which answers are right, CPU seconds)."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        start = os.path.join(folder, "random")
        _write_random(start, seed)
        presets = {"random": (start, 0.0)}
        for method in ("captions", "captions2"):
            path = os.path.join(folder, method)
            seconds = _caption(start, train, method == "captions2", seed, path)
            presets[method] = (path, seconds)
        cache = training.FeatureCache()
        for labelled in (train, _few(train, names, seed)):
            for method, (path, seconds) in presets.items():
                model = zoo.compose(len(names), image=path, class_names=names, seed=seed)
                options = {"feature_cache": cache, "verbose": 0}
                training.solve_head(model, *_rows(labelled), solver="exact", **options)
                found[len(labelled), method] = _right(model, test, names, **options), seconds
            found[len(labelled), "labels"] = _learn(start, labelled, test, names, seed)
    return found


def _write_random(path, seed):
    """Writes the network with random weights as a preset."""
    backbone = build_backbone("EfficientNetBackbone", _NETWORK, seed=seed)
    size = (_SIZE, _SIZE)
    converter = keras_hub.layers.ImageConverter(image_size=size, scale=1 / 127.5, offset=-1.0)
    encoder = encoders.ImageEncoder(backbone)
    encoder.build((None, *size, 3))
    model = models.TextAssistedClassifier(
        encoder, None, fusion.get("image_only"), 2, preprocessor=data.Preprocessor(converter)
    )
    training.save_encoder(model, path)


def _caption(start, rows, bidirectional, seed, path):
    """Pretrains the encoder by captioning, writes it; returns the CPU seconds."""
    keras.utils.set_random_seed(seed)
    model = zoo.compose_captioner(
        image=start, frozen=False, bidirectional=bidirectional, seed=seed, **_DECODER
    )
    steps = _EPOCHS.value * -(-len(rows) // _BATCH)
    model.compile(training.make_optimizer(model, steps=steps, learning_rate=_RATE))
    x, _ = _rows(rows)
    x["text"] = [row["text"] for row in rows]
    began = time.process_time()
    model.fit(x, batch_size=_BATCH, epochs=_EPOCHS.value, verbose=0)
    seconds = time.process_time() - began
    training.save_encoder(model, path)
    return seconds


def _learn(start, rows, test, names, seed):
    """(which answers are right, CPU seconds) of the same network trained on labels."""
    keras.utils.set_random_seed(seed)
    model = zoo.compose(len(names), image=start, frozen=False, class_names=names, seed=seed)
    batches = -(-len(rows) // _BATCH)
    epochs = max(_EPOCHS.value, -(-_FEW_STEPS // batches)) if _EPOCHS.value > 1 else 1
    options = {"learning_rate": _RATE, "learning_rate_schedule": "cosine"}
    model.compile(training.make_optimizer(model, steps=epochs * batches, **options))
    began = time.process_time()
    model.fit(*_rows(rows), batch_size=_BATCH, epochs=epochs, verbose=0)
    seconds = time.process_time() - began
    return _right(model, test, names, verbose=0), seconds


def _rows(rows):
    """Pictures and labels, as `fit` takes them."""
    images = [os.path.join(_DATA.value, row["image"]) for row in rows]
    return {"image": images}, [row["label"] for row in rows]


def _few(rows, names, seed):
    """The first few training pictures of each class, in an order drawn from the seed."""
    order = [rows[i] for i in np.random.default_rng(seed).permutation(len(rows))]
    return [row for name in names for row in [r for r in order if r["label"] == name][:_FEW]]


def _right(model, rows, names, **options):
    x, labels = _rows(rows)
    answers = model.predict(x, batch_size=128, **options).argmax(axis=1)
    return (np.array(names)[answers] == labels).astype(float)


def _row(found, count, method):
    right, seconds = zip(*found[count, method], strict=True)
    row = {"vendor": _VENDOR.value, "labels": count, "method": method}
    row["accuracy"] = round(float(np.concatenate(right).mean()), 4)
    row["accuracies"] = " ".join(f"{one.mean():.4f}" for one in right)
    for other in ("random", "labels"):
        theirs = [one for one, _ in found[count, other]]
        ends = interval(np.concatenate(right) - np.concatenate(theirs))
        row |= {f"above_{other}": round(ends["mean"], 4)}
        row |= {f"above_{other}_{end}": round(ends[end], 4) for end in ("low", "high")}
    return row | {"cpu_seconds": round(float(np.mean(seconds)), 1)}


if __name__ == "__main__":
    app.run(main)
