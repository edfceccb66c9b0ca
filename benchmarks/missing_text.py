"""What missing, wrong and foreign inputs cost: models with text beside one without.

    python benchmarks/missing_text.py --data=../shared/data/emoji

Reads manifest.jsonl and splits.json there (1,435 emoji of several vendors, text, five seeds). All
models learn from the same frozen features of one vendor's pictures and their text, and answer the
same test rows: with text, without, with the texts of other rows, without picture, and with another
vendor's pictures. "solve" is `training.solve_head` with class names as further rows, "fit" training
with its defaults, "adapt" a solved no-harm model after `training.estimate_corruption` on the test
rows, whose labels it does not see. The peer is LogisticRegression(C=10) on unit-length pooled
vectors, a missing one being zero, without and with class names as further rows.

Writes benchmarks/results/missing_text.csv, one row a training set, model, method and condition:
accuracy, log-loss and calibration error (15 bins) as means over seeds; the difference in accuracy
from the solved image-only model on the same pictures, paired by seed. `ece_pooled` is the error of
all seeds' answers taken together; `ece_chance` what a perfectly calibrated model with the same
confidences would have on as few rows: the error of a single seed cannot be told from zero below it.
"""

import json
import os
import statistics

import heads
import numpy as np
from absl import app, flags
from conditions import write_results
from peer import fit_peer, unit

from tatl_keras import training, zoo
from tatl_keras._reliability import reliability

_DATA = flags.DEFINE_string("data", None, "Folder with manifest.jsonl, splits.json.", required=True)
_SETS = flags.DEFINE_list("sets", ["k8", "full80", "k4", "k2", "k1"], "Training sets.")
_SEEDS = flags.DEFINE_list("seeds", ["0", "1", "2", "3", "4"], "Seeds of the splits.")
_VENDORS = flags.DEFINE_list("vendors", ["google", "twitter"], "Learned from, and the other one.")
_EPOCHS = flags.DEFINE_integer("epochs", 30, "Epochs of fit.")
_ENTRY = "efficientnet_lite0_minilm"
_IMAGE_ONLY = ("image_only", "solve")
_DROPOUT = 0.3
_DRAWS = 100


def main(argv):
    del argv
    examples, splits = _read()
    ours, theirs = (examples[vendor] for vendor in _VENDORS.value)
    names = sorted({row["label"] for row in ours})
    y = np.array([names.index(row["label"]) for row in ours])
    position = {row["id"]: number for number, row in enumerate(ours)}
    texts = [row["text"] for row in ours]
    x, foreign = (
        heads.encode(f"{_ENTRY}_concat", len(names), {"image": images, "text": texts})[0]
        for images in (_pictures(ours), _pictures(theirs))
    )
    named, _ = heads.encode(f"{_ENTRY}_concat", len(names), {"text": names})
    task = Task(x, foreign["image_pooled"], y, names, named)
    rows = []
    for training_set in _SETS.value:
        found: dict[tuple, list] = {}
        for seed in _SEEDS.value:
            split = splits[seed][training_set]
            train, test = ([position[i] for i in split[side]] for side in ("train", "test"))
            for key, logits in task.measure(np.array(train), np.array(test), int(seed)).items():
                found.setdefault(key, []).append((logits, y[test]))
        for key in found:
            rows.append(_row(training_set, key, found))
            print(rows[-1], flush=True)
        write_results("missing_text.csv", rows)


def _read():
    """Rows of the manifest by vendor, in the same order, and the splits."""
    with open(os.path.join(_DATA.value, "manifest.jsonl"), encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    by = {vendor: {r["id"]: r for r in rows if r["vendor"] == vendor} for vendor in _VENDORS.value}
    ids = list(by[_VENDORS.value[0]])
    with open(os.path.join(_DATA.value, "splits.json"), encoding="utf-8") as file:
        return {vendor: [by[vendor][i] for i in ids] for vendor in by}, json.load(file)["splits"]


def _pictures(rows):
    return [os.path.join(_DATA.value, row["image"]) for row in rows]


class Task:
    """Features of all examples, and every way to learn from some and to answer others."""

    def __init__(self, x, foreign, y, names, named):
        self.x, self.foreign, self.y, self.names, self.named = x, foreign, y, names, named
        self.cache = training.FeatureCache()
        self.models = {
            fusion: zoo.build(_name(fusion), num_classes=len(names), class_names=names)
            for fusion in ("image_only", "concat", "no_harm")
        }

    def measure(self, train, test, seed):
        """Dict from (model, method, condition) to logits of the test rows."""
        conditions, found = self._conditions(test, seed), {}
        x, y = self._pick(train), self.y[train]
        for fusion, model in self.models.items():
            texts = None if fusion == "image_only" else "names"
            options = {"class_texts": texts, "feature_cache": self.cache, "verbose": 0}
            training.solve_head(model, _read_by(model, x), y, **options)
            for condition, inputs in conditions.items():
                found[fusion, "solve", condition] = _logits(model, inputs)
                if fusion == "no_harm" and condition in ("with text", "texts of others", "foreign"):
                    before = model.head.corruption
                    training.estimate_corruption(model, inputs, verbose=0)
                    found[fusion, "adapt", condition] = _logits(model, inputs)
                    model.head.corruption = before
        for fusion, dropout in (("concat", 0.0), ("concat", _DROPOUT), ("no_harm", 0.0)):
            options = {"seed": seed, "epochs": _EPOCHS.value, "modality_dropout": dropout}
            model, _ = heads.train(_name(fusion), len(self.names), x, y, **options)
            method = f"fit, modality_dropout={dropout}" if dropout else "fit"
            for condition, inputs in conditions.items():
                found[fusion, method, condition] = _logits(model, inputs)
        for method in ("fit", "fit, class names"):
            peer = self._peer(x, y, "names" in method)
            for condition, inputs in conditions.items():
                logits = peer.decision_function(_unit(inputs))
                found["sklearn concat", method, condition] = logits
        return found

    def _conditions(self, test, seed):
        x = self._pick(test)
        order = np.random.default_rng(seed).permutation(len(test))
        absent = np.zeros_like(x["has_text"])
        return {
            "with text": x,
            "no text": x | {"has_text": absent},
            "texts of others": x | {"text_pooled": x["text_pooled"][order]},
            "no picture": x | {"has_image": absent},
            "foreign": x | {"image_pooled": self.foreign[test]},
        }

    def _pick(self, rows):
        return {key: value[rows] for key, value in self.x.items()}

    def _peer(self, x, y, with_names):
        x = _unit(x)
        if with_names:
            x, y = np.concatenate([x, _unit(self.named)]), np.append(y, np.arange(len(self.names)))
        return fit_peer(x, y)


def _name(fusion):
    return "efficientnet_lite0_image_only" if fusion == "image_only" else f"{_ENTRY}_{fusion}"


def _read_by(model, x):
    return {key: value for key, value in x.items() if key in model.fusion.uses}


def _logits(model, x):
    return np.asarray(model(_read_by(model, x), training=False), "float64")


def _unit(x):
    present = {f"{m}_pooled": x[f"{m}_pooled"] * x[f"has_{m}"][:, None] for m in ("image", "text")}
    return unit(present, list(present))


def _row(training_set, key, found):
    model, method, condition = key
    pairs = [(_probabilities(logits), labels) for logits, labels in found[key]]
    pictures = "foreign" if condition == "foreign" else "with text"
    control = [_accuracy(*pair) for pair in found[(*_IMAGE_ONLY, pictures)]]
    accuracies = [_accuracy(*pair) for pair in pairs]
    gains = [a - b for a, b in zip(accuracies, control, strict=True)]
    losses = [-np.log(p[np.arange(len(labels)), labels]).mean() for p, labels in pairs]
    numbers = {
        "accuracy": statistics.mean(accuracies),
        "difference": statistics.mean(gains),
        "difference_stdev": statistics.stdev(gains) if len(gains) > 1 else 0.0,
        "log_loss": np.mean(losses),
        "ece": np.mean([reliability(*pair)["ece"] for pair in pairs]),
        "ece_pooled": reliability(*map(np.concatenate, zip(*pairs, strict=True)))["ece"],
        "ece_chance": np.mean([_chance(p) for p, _ in pairs]),
    }
    row = {"training_set": training_set, "model": model, "method": method, "condition": condition}
    row |= {"learned_from": _VENDORS.value[0], "foreign": _VENDORS.value[1], "seeds": len(pairs)}
    return row | {name: round(float(value), 4) for name, value in numbers.items()}


def _probabilities(logits):
    return np.exp(logits - np.logaddexp.reduce(logits, axis=1)[:, None])


def _accuracy(scores, labels):
    return float((scores.argmax(axis=1) == labels).mean())


def _chance(probabilities):
    """Mean calibration error of labels drawn from the probabilities themselves."""
    rng = np.random.default_rng(0)
    below = probabilities.cumsum(axis=1)[:, :-1]
    draws = ((rng.random((len(probabilities), 1)) > below).sum(axis=1) for _ in range(_DRAWS))
    return np.mean([reliability(probabilities, labels)["ece"] for labels in draws])


if __name__ == "__main__":
    app.run(main)
