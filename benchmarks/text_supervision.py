"""What texts teach a classifier of pictures that never sees one again.

    python benchmarks/text_supervision.py --data=../shared/data/emoji --ways=solved
    python benchmarks/text_supervision.py --data=../shared/data/emoji --ways=fit \\
        --output=text_supervision_fit.csv
    python benchmarks/text_supervision.py --data=../shared/data/emoji --ways=solved \\
        --tasks=twitter:splits:k2,openmoji:splits:k8,google:splits_sub:k4 \\
        --output=text_supervision_check.csv

Reads manifest.jsonl and the splits there (1,435 emoji of three vendors, text, five seeds). All
methods learn from the same frozen features of the same rows and answer pictures alone:

    image_only   EfficientNet-Lite0 on pictures, without texts
    taught       text_at_inference=False: texts in training, and the names of the classes

each solved (`training.solve_head`) and trained (`fit` with its defaults; the class names as further
rows). `shuffled` are solved heads whose texts are those of other training rows. The peer is
LogisticRegression(C=10) on unit-length pooled vectors of the pictures.

Writes benchmarks/results/text_supervision.csv, or another `--output`, one row a vendor, task,
training set and method: mean accuracy and log-loss, the difference from `image_only` learned the
same way, paired by seed, with its 95 % interval (Student's t), and in how many seeds the texts were
kept; `image_only` itself is compared with the peer. The settings were
chosen on other draws of google's pictures; the other vendors and the task of 40 classes
(splits_sub.json) are the check.
"""

import json
import os

import heads
import keras
import numpy as np
import tensorflow as tf
from absl import app, flags
from conditions import write_results
from peer import fit_peer, unit

from tatl_keras import training, zoo
from tatl_keras._paired import interval

_DATA = flags.DEFINE_string("data", None, "Folder with manifest.jsonl, splits.json.", required=True)
_TASKS = flags.DEFINE_list(
    "tasks",
    [f"google:splits:{name}" for name in ("k1", "k2", "k4", "k8", "full80")],
    "vendor:splits:training set.",
)
_WAYS = flags.DEFINE_list("ways", ["solved", "fit"], "How heads are learned.")
_OUTPUT = flags.DEFINE_string("output", "text_supervision.csv", "File in benchmarks/results.")
_SEEDS = flags.DEFINE_list("seeds", ["0", "1", "2", "3", "4"], "Seeds of the splits.")
_EPOCHS = flags.DEFINE_integer("epochs", 30, "Epochs of fit.")
_ENTRY = "efficientnet_lite0_minilm_concat"
_LIKE = {
    "taught solved": "image_only solved",
    "shuffled solved": "image_only solved",
    "taught fit": "image_only fit",
    "image_only solved": "sklearn",
    "image_only fit": "sklearn",
}


def main(argv):
    del argv
    with open(os.path.join(_DATA.value, "manifest.jsonl"), encoding="utf-8") as file:
        manifest = [json.loads(line) for line in file]
    by: dict = {}
    for row in manifest:
        by.setdefault(row["vendor"], {})[row["id"]] = row
    rows, tasks, cache = [], {}, training.FeatureCache()
    for asked in _TASKS.value:
        vendor, splits, training_set = asked.split(":")
        if (vendor, splits) not in tasks:
            tasks[vendor, splits] = Task(by[vendor], splits, cache)
        task, found = tasks[vendor, splits], {}
        for seed in _SEEDS.value:
            for method, outcome in task.measure(training_set, seed).items():
                found.setdefault(method, []).append(outcome)
        for method in found:
            rows.append({"vendor": vendor, "splits": splits, "training_set": training_set})
            rows[-1] |= _row(method, found)
            print(rows[-1], flush=True)
    write_results(_OUTPUT.value, rows)


class Task:
    """One vendor's features and one way to divide them, and every method on them."""

    def __init__(self, examples, splits, cache):
        with open(os.path.join(_DATA.value, f"{splits}.json"), encoding="utf-8") as file:
            asked = json.load(file)
        self.splits, names = asked["splits"], asked["classes"]
        rows = [row for row in examples.values() if row[asked["target"]] in names]
        self.position = {row["id"]: number for number, row in enumerate(rows)}
        self.y = np.array([names.index(row[asked["target"]]) for row in rows])
        raw = {"image": [os.path.join(_DATA.value, row["image"]) for row in rows]}
        raw["text"] = [row["text"] for row in rows]
        self.x, _ = heads.encode(_ENTRY, len(names), raw, cache)
        self.named, _ = heads.encode(_ENTRY, len(names), {"text": names}, cache)
        self.cache = cache
        options = {"class_names": names, "seed": 0}
        alone = "efficientnet_lite0_image_only"
        self.models = {
            "image_only": zoo.build(alone, len(names), **options),
            "taught": zoo.build(_ENTRY, len(names), text_at_inference=False, **options),
        }
        self.fresh = {name: _state(model) for name, model in self.models.items()}

    def measure(self, training_set, seed):
        """Dict from method to (accuracy, log-loss, whether the texts were kept)."""
        split = self.splits[seed][training_set]
        train, test = ([self.position[i] for i in split[side]] for side in ("train", "test"))
        x, y = {name: value[train] for name, value in self.x.items()}, self.y[train]
        peer = fit_peer(unit(x, ["image_pooled"]), y)
        pictures = {name: self.x[name][test] for name in ("image_pooled", "has_image")}
        scores = peer.decision_function(unit(pictures, ["image_pooled"]))
        found = {"sklearn": _score(scores, self.y[test], None)}
        found |= self._solve(x, y, pictures, test, seed) if "solved" in _WAYS.value else {}
        return found | (self._fit(x, y, pictures, test, seed) if "fit" in _WAYS.value else {})

    def _solve(self, x, y, pictures, test, seed):
        order = np.random.default_rng(int(seed)).permutation(len(y))
        shuffled = x | {name: x[name][order] for name in ("text_pooled", "has_text")}
        found = {}
        for method, examples in (("image_only", x), ("taught", x), ("shuffled", shuffled)):
            model = self.models["image_only" if method == "image_only" else "taught"]
            texts = None if method == "image_only" else "names"
            options = {"class_texts": texts, "feature_cache": self.cache, "verbose": 0}
            solution = training.solve_head(model, examples, y, **options)
            scores = model.predict(pictures, batch_size=512, verbose=0)
            found[f"{method} solved"] = _score(scores, self.y[test], solution.text_supervision)
        return found

    def _fit(self, x, y, pictures, test, seed):
        found = {}
        for method, model in self.models.items():
            keras.utils.set_random_seed(int(seed))
            for variable, value in self.fresh[method]:
                variable.assign(value)
            rows = (x, y) if method == "image_only" else self._with_names(x, y)
            # As raw examples come: in a new order each epoch.
            batches = tf.data.Dataset.from_tensor_slices(rows).shuffle(len(rows[1]), int(seed))
            model.fit(batches.batch(32), epochs=_EPOCHS.value, verbose=0)
            scores = model.predict(pictures, batch_size=512, verbose=0)
            found[f"{method} fit"] = _score(scores, self.y[test], None)
        return found

    def _with_names(self, x, y):
        """Examples, and behind them the class names, as `fit` adds `class_texts`."""
        count = len(self.named["has_text"])
        added = {name: np.zeros((count, *x[name].shape[1:]), x[name].dtype) for name in x}
        added |= {name: self.named[name] for name in ("text_pooled", "has_text")}
        return {name: np.concatenate([x[name], added[name]]) for name in x}, np.append(
            y, np.arange(count)
        )


def _state(model):
    variables = (*model.weights, *model.optimizer.variables)
    return [(variable, variable.numpy()) for variable in variables]


def _score(scores, labels, kept):
    scores = scores.astype("float64")
    logs = scores - np.logaddexp.reduce(scores, axis=1)[:, None]
    right = (scores.argmax(axis=1) == labels).mean()
    return float(right), float(-logs[np.arange(len(labels)), labels].mean()), kept


def _row(method, found):
    ours = np.array([outcome[:2] for outcome in found[method]])
    row = {"method": method, "seeds": len(ours)}
    row |= dict(zip(("accuracy", "log_loss"), ours.mean(axis=0).round(4).tolist(), strict=True))
    like = _LIKE.get(method, method)
    gains = ours - np.array([outcome[:2] for outcome in found[like]])
    row["compared_with"] = like if like != method else ""
    for place, name in enumerate(("difference", "difference_log_loss")):
        ends = interval(gains[:, place])
        row |= {name: round(ends["mean"], 4)}
        row |= {f"{name}_{end}": round(ends[end], 4) for end in ("low", "high")}
    kept = [outcome[2] for outcome in found[method]]
    row["texts_kept"] = "" if None in kept else sum(share > 0 for share in kept)
    return row


if __name__ == "__main__":
    app.run(main)
