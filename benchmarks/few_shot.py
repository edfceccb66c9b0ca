"""The default recipe beside scikit-learn's logistic regression, on few and on many pictures.

    python benchmarks/few_shot.py --data=../shared/data/emoji

Reads manifest.jsonl and splits.json there (1,435 emoji, text, five seeds of few-shot splits). For
each model, training set and seed both learn from the same frozen features: ours with `fit` and its
defaults, the peer with LogisticRegression(C=10) on unit-length pooled vectors. Writes
benchmarks/results/few_shot.csv, one row a model and training set, with the paired difference.
"""

import json
import os
import statistics
import warnings

import heads
import numpy as np
from absl import app, flags
from conditions import write_results
from sklearn.linear_model import LogisticRegression

_DATA = flags.DEFINE_string("data", None, "Folder with manifest.jsonl, splits.json.", required=True)
_VENDOR = flags.DEFINE_string("vendor", "google", "Whose pictures.")
_SETS = flags.DEFINE_list("sets", ["k1", "k2", "k4", "k8", "full80"], "Training sets.")
_SEEDS = flags.DEFINE_list("seeds", ["0", "1", "2", "3", "4"], "Seeds of the splits.")
_MODELS = flags.DEFINE_list(
    "models",
    ["efficientnet_lite0_image_only", "minilm_text_only", "efficientnet_lite0_minilm_concat"],
    "Models of the zoo.",
)
_EPOCHS = flags.DEFINE_integer("epochs", 30, "Epochs of ours.")


def main(argv):
    del argv
    rows = []
    examples, splits = _read()
    labels = np.array([example["label"] for example in examples])
    names = sorted(set(labels))
    y = np.array([names.index(label) for label in labels])
    position = {example["id"]: number for number, example in enumerate(examples)}
    for name in _MODELS.value:
        features, _ = heads.encode(name, len(names), _raw(examples))
        for training_set in _SETS.value:
            ours, peer = [], []
            for seed in _SEEDS.value:
                split = splits[seed][training_set]
                train, test = ([position[i] for i in split[side]] for side in ("train", "test"))
                ours.append(_ours(name, features, y, train, test, int(seed), len(names)))
                peer.append(_peer(features, y, train, test))
            rows.append(_row(name, training_set, ours, peer))
            print(rows[-1], flush=True)
    write_results("few_shot.csv", rows)


def _read():
    with open(os.path.join(_DATA.value, "manifest.jsonl"), encoding="utf-8") as file:
        examples = [row for row in map(json.loads, file) if row["vendor"] == _VENDOR.value]
    with open(os.path.join(_DATA.value, "splits.json"), encoding="utf-8") as file:
        return examples, json.load(file)["splits"]


def _raw(examples):
    images = [os.path.join(_DATA.value, example["image"]) for example in examples]
    return {"image": images, "text": [example["text"] for example in examples]}


def _ours(name, features, y, train, test, seed, num_classes):
    def pick(rows):
        return {key: value[rows] for key, value in features.items()}

    options = {"seed": seed, "epochs": _EPOCHS.value}
    model, _ = heads.train(name, num_classes, pick(train), y[train], **options)
    return heads.accuracy(model, pick(test), y[test])


def _peer(features, y, train, test):
    pooled = [value for key, value in features.items() if key.endswith("_pooled")]
    unit = [value / np.linalg.norm(value, axis=-1, keepdims=True) for value in pooled]
    x = np.concatenate(unit, axis=-1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = LogisticRegression(C=10, max_iter=2000).fit(x[train], y[train])
    return float(peer.score(x[test], y[test]))


def _row(name, training_set, ours, peer):
    differences = [a - b for a, b in zip(ours, peer, strict=True)]
    spread = statistics.stdev(differences) if len(differences) > 1 else 0.0
    return {
        "model": name,
        "training_set": training_set,
        "vendor": _VENDOR.value,
        "seeds": len(ours),
        "accuracy": round(statistics.mean(ours), 4),
        "peer_accuracy": round(statistics.mean(peer), 4),
        "difference": round(statistics.mean(differences), 4),
        "difference_stdev": round(spread, 4),
    }


if __name__ == "__main__":
    app.run(main)
