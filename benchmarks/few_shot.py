"""Trained and solved heads beside scikit-learn's logistic regression, on few and many pictures.

    python benchmarks/few_shot.py --data=../shared/data/emoji

Reads manifest.jsonl and splits.json there (1,435 emoji, text, five seeds of few-shot splits). For
each model, training set and seed all learn from the same frozen features: `fit` with its defaults;
`training.solve_head` with each solver; and the peer, LogisticRegression(C=10) on unit-length pooled
vectors. Solved heads and the peer also with the class names as further rows without a picture.
Writes benchmarks/results/few_shot.csv, one row a model, training set, method and use of names: mean
accuracy, log-loss, and the difference from the peer, paired by seed, with the peer that has no
names (`difference`) and the one that has what the method has (`difference_like`).
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

_DATA = flags.DEFINE_string("data", None, "Folder with manifest.jsonl, splits.json.", required=True)
_VENDOR = flags.DEFINE_string("vendor", "google", "Whose pictures.")
_SETS = flags.DEFINE_list("sets", ["k1", "k2", "k4", "k8", "full80"], "Training sets.")
_SEEDS = flags.DEFINE_list("seeds", ["0", "1", "2", "3", "4"], "Seeds of the splits.")
_MODELS = flags.DEFINE_list(
    "models",
    ["efficientnet_lite0_image_only", "minilm_text_only", "efficientnet_lite0_minilm_concat"],
    "Models of the zoo.",
)
_METHODS = flags.DEFINE_list("methods", ["fit", "exact", "logistic", "auto"], "Ways to learn.")
_EPOCHS = flags.DEFINE_integer("epochs", 30, "Epochs of fit.")
PEER = "sklearn"


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
        task = Task(name, features, y, names)
        for training_set in _SETS.value:
            found: dict[tuple, list] = {}
            for seed in _SEEDS.value:
                split = splits[seed][training_set]
                train, test = ([position[i] for i in split[side]] for side in ("train", "test"))
                for key, outcome in task.measure(train, test, int(seed)).items():
                    found.setdefault(key, []).append(outcome)
            rows += [_row(name, training_set, key, found) for key in found]
            for row in rows[-len(found) :]:
                print(row, flush=True)
    write_results("few_shot.csv", rows)


def _read():
    with open(os.path.join(_DATA.value, "manifest.jsonl"), encoding="utf-8") as file:
        examples = [row for row in map(json.loads, file) if row["vendor"] == _VENDOR.value]
    with open(os.path.join(_DATA.value, "splits.json"), encoding="utf-8") as file:
        return examples, json.load(file)["splits"]


def _raw(examples):
    images = [os.path.join(_DATA.value, example["image"]) for example in examples]
    return {"image": images, "text": [example["text"] for example in examples]}


class Task:
    """One model's features, and every way to learn from some of them."""

    def __init__(self, name, features, y, names):
        self.name, self.features, self.y, self.names = name, features, y, names
        self.model = zoo.build(name, num_classes=len(names))
        self.model.class_names = names
        self.cache = training.FeatureCache()
        self.pooled = [key for key in features if key.endswith("_pooled")]
        self.named = None
        if self.model.text_encoder is not None:
            texts, _ = heads.encode(name, len(names), {"text": names})
            self.named = unit(texts, self.pooled)

    def measure(self, train, test, seed):
        """Dict from (method, with class names) to (accuracy, log-loss)."""
        found = {}
        x, y = self._pick(train), self.y[train]
        for names in (False, True) if self.named is not None else (False,):
            found[PEER, names] = self._score(self._peer(x, y, test, names), test)
            for method in _METHODS.value:
                if method != "fit":
                    options = {"solver": method, "class_texts": "names" if names else None}
                    options |= {"feature_cache": self.cache, "verbose": 0}
                    training.solve_head(self.model, x, y, **options)
                    found[method, names] = self._score(self._logits(self.model, test), test)
        if "fit" in _METHODS.value:
            options = {"seed": seed, "epochs": _EPOCHS.value}
            model, _ = heads.train(self.name, len(self.names), x, y, **options)
            found["fit", False] = self._score(self._logits(model, test), test)
        return found

    def _pick(self, rows):
        return {key: value[rows] for key, value in self.features.items()}

    def _logits(self, model, test):
        return model.predict(self._pick(test), batch_size=512, verbose=0).astype("float64")

    def _peer(self, x, y, test, names):
        x = unit(x, self.pooled)
        if names:
            x, y = np.concatenate([x, self.named]), np.append(y, np.arange(len(self.names)))
        return fit_peer(x, y).decision_function(unit(self._pick(test), self.pooled))

    def _score(self, logits, test):
        logs = logits - np.logaddexp.reduce(logits, axis=1)[:, None]
        right = logits.argmax(axis=1) == self.y[test]
        return float(right.mean()), float(-logs[np.arange(len(test)), self.y[test]].mean())


def _row(name, training_set, key, found):
    method, names = key
    ours = [accuracy for accuracy, _ in found[key]]
    row = {"model": name, "training_set": training_set, "vendor": _VENDOR.value}
    row |= {"method": method, "class_names": names, "seeds": len(ours)}
    row["accuracy"] = round(statistics.mean(ours), 4)
    row["log_loss"] = round(statistics.mean(loss for _, loss in found[key]), 4)
    for column, peer in (("difference", (PEER, False)), ("difference_like", (PEER, names))):
        gains = [a - b for a, (b, _) in zip(ours, found[peer], strict=True)]
        row[column] = round(statistics.mean(gains), 4)
        row[f"{column}_stdev"] = round(statistics.stdev(gains) if len(gains) > 1 else 0.0, 4)
        row[f"{column}_cells"] = sum(gain >= 0 for gain in gains)
    return row


if __name__ == "__main__":
    app.run(main)
