"""From no example to many with class texts, and classes that are added by their texts alone.

    python benchmarks/class_texts.py --data=../shared/data/emoji

Reads manifest.jsonl and splits.json (or --splits) there: emoji of several vendors, text, five
seeds. All learn from the same frozen EfficientNet-Lite0 and MiniLM features; the texts of the
classes are their names.

Writes benchmarks/results/class_texts.csv, one row a training set and method: "nearest" (no example:
the class text nearest to the row's text), "fit" and "solve" (exact) with a linear head without and
with class texts and with a head made of them, and the peer, LogisticRegression(C=10) on unit-length
pooled vectors without and with class names as further rows; `difference` is from the peer with
names, paired by seed. Draws class_texts.png beside it.

Writes class_texts_added.csv: two of eight classes are left out of training (each class once), then
added by their texts. Accuracy on the rows of known and of added classes, their harmonic mean, and
accuracy on all rows, for class-text heads that were solved (with the bias that leaving out classes
found, and without), fitted, and for the nearest class text.
"""

import json
import os
import statistics

import heads
import keras
import numpy as np
from absl import app, flags
from conditions import RESULTS, write_results
from peer import fit_peer, unit

from tatl_keras import models, training, zoo
from tatl_keras.training.canvas import COLOURS, new_figure, save, style_panel

_DATA = flags.DEFINE_string("data", None, "Folder with manifest.jsonl and splits.", required=True)
_SPLITS = flags.DEFINE_string("splits", "splits.json", "File of the splits.")
_LABEL = flags.DEFINE_string("label", "label", "Column of the classes: label or sublabel.")
_VENDOR = flags.DEFINE_string("vendor", "google", "Whose pictures.")
_SETS = flags.DEFINE_list("sets", ["k1", "k2", "k4", "k8", "full80"], "Training sets.")
_PARTS = flags.DEFINE_list("parts", ["shots", "added"], "What to measure; each has its file.")
_ADDED_SETS = flags.DEFINE_list("added_sets", ["k8", "full80"], "Where classes are added.")
_SEEDS = flags.DEFINE_list("seeds", ["0", "1", "2", "3", "4"], "Seeds of the splits.")
_METHODS = flags.DEFINE_list("methods", ["fit", "solve"], "Ways to learn.")
_EPOCHS = flags.DEFINE_integer("epochs", 30, "Epochs of fit.")
_CACHE = flags.DEFINE_string("feature_cache", "memory", "Folder of features; default: none.")
_OUTPUT = flags.DEFINE_string("output", "class_texts", "Name of the results.")
_ENTRY = "efficientnet_lite0_minilm_concat"
_POOLED = ("image_pooled", "text_pooled")
_PEER = "peer, names as rows"


def main(argv):
    del argv
    examples, splits = _read()
    labels = [example[_LABEL.value] for example in examples]
    names = sorted({labels[i] for i in range(len(labels)) if labels[i]} & _used(examples, splits))
    y = np.array([names.index(label) if label in names else -1 for label in labels])
    position = {example["id"]: number for number, example in enumerate(examples)}
    task = Task(_raw(examples), y, names)
    shots, added = [], []
    for training_set in _SETS.value:
        found: dict[str, list] = {}
        unseen: dict[str, list] = {}
        for seed in _SEEDS.value:
            split = splits[seed][training_set]
            sides = [np.array([position[i] for i in split[s]]) for s in ("train", "test")]
            if "shots" in _PARTS.value:
                for method, logits in task.shots(*sides, int(seed)).items():
                    found.setdefault(method, []).append(_score(logits, y[sides[1]]))
            if "added" in _PARTS.value and training_set in _ADDED_SETS.value:
                for method, scores in task.added(*sides, int(seed)).items():
                    unseen.setdefault(method, []).extend(scores)
        shots += [_shots_row(training_set, method, found) for method in found]
        added += [_added_row(training_set, *item) for item in unseen.items()]
        for row in shots[len(shots) - len(found) :] + added[len(added) - len(unseen) :]:
            print(row, flush=True)
    if shots:
        write_results(f"{_OUTPUT.value}.csv", shots)
        draw(shots, RESULTS / f"{_OUTPUT.value}.png")
    if added:
        write_results(f"{_OUTPUT.value}_added.csv", added)


def _read():
    with open(os.path.join(_DATA.value, "manifest.jsonl"), encoding="utf-8") as file:
        examples = [row for row in map(json.loads, file) if row["vendor"] == _VENDOR.value]
    with open(os.path.join(_DATA.value, _SPLITS.value), encoding="utf-8") as file:
        return examples, json.load(file)["splits"]


def _used(examples, splits):
    """The classes of the task; a finer one may leave some rows out."""
    ids = {i for sets in splits.values() for split in sets.values() for i in split["train"]}
    return {example[_LABEL.value] for example in examples if example["id"] in ids}


def _raw(examples):
    images = [os.path.join(_DATA.value, example["image"]) for example in examples]
    return {"image": images, "text": [example["text"] for example in examples]}


class Task:
    """Examples, their features, and every way to learn from some of them."""

    def __init__(self, raw, y, names):
        self.raw, self.y, self.names = raw, y, names
        self.parts = zoo.build(_ENTRY, num_classes=len(names))
        self.cache = training.FeatureCache.get(_CACHE.value)
        self.features, _ = heads.encode(_ENTRY, len(names), raw, self.cache)
        self.named = unit(heads.encode(_ENTRY, len(names), {"text": names})[0], _POOLED)
        self.pooled = unit(self.features, _POOLED)
        self.made: dict[tuple, tuple] = {}
        self.nearest = self.model(names, "class_texts")

    def model(self, names, head, class_texts="names"):
        """A model on the same encoders, not trained."""
        dim = self.parts.text_encoder.output_dim
        made = models.ClassTextHead(len(names), dim, text_start=True, name="head")
        return models.TextAssistedClassifier(
            self.parts.image_encoder, self.parts.text_encoder, "concat", len(names),
            head=made if head == "class_texts" else None, class_names=names,
            class_texts=class_texts, preprocessor=self.parts.preprocessor,
        )  # fmt: skip

    def shots(self, train, test, seed):
        """Dict from method to logits (test rows, classes)."""
        x, y = self.pooled[train], self.y[train]
        found = {"nearest": self.logits(self.nearest, test)}
        found["peer"] = fit_peer(x, y).decision_function(self.pooled[test])
        x, y = np.concatenate([x, self.named]), np.append(y, np.arange(len(self.names)))
        found[_PEER] = fit_peer(x, y).decision_function(self.pooled[test])
        heads_and_texts = {
            "linear": ("linear", None),
            "linear, class texts": ("linear", "names"),
            "class-text head": ("class_texts", "names"),
        }
        for title, options in heads_and_texts.items():
            for method in _METHODS.value:
                model = self.learn(method, self.names, options, train, self.y[train], seed)
                found[f"{method}, {title}"] = self.logits(model, test)
        return found

    def added(self, train, test, seed):
        """Dict from method to scores, one for each pair of classes left out."""
        found: dict[str, list] = {}
        order = np.random.default_rng(seed).permutation(len(self.names))
        size = len(order) // 4
        for out in (order[start : start + size] for start in range(0, 4 * size, size)):
            known = [c for c in range(len(order)) if c not in out]
            classes = [*known, *out]
            rows = train[np.isin(self.y[train], known)]
            texts = {self.names[c]: self.names[c] for c in out}
            answers = {}
            names, local = [self.names[c] for c in known], np.argsort(classes)
            for method in _METHODS.value:
                options = ("class_texts", "names")
                learned = self.learn(method, names, options, rows, local[self.y[rows]], seed)
                model = self.model(names, *options)  # what learned is used again, and stays small
                model.head.set_weights(learned.head.get_weights())
                model.add_classes(texts)
                answers[method] = self.logits(model, test)
                if method == "solve":
                    answers["solve, bias 0"] = answers[method] - model.head.bias.numpy()
            nearest = self.logits(self.nearest, test)
            answers["nearest"] = nearest[:, classes]
            for method, logits in answers.items():
                right = np.array(classes)[logits.argmax(axis=1)] == self.y[test]
                new = np.isin(self.y[test], out)
                scores = right[~new].mean(), right[new].mean(), right.mean()
                found.setdefault(method, []).append(scores)
        return found

    def learn(self, method, names, options, rows, y, seed):
        """A model of `names` with these `options` of `model`, trained or solved on some rows."""
        keras.utils.set_random_seed(seed)
        model = self.untrained(names, options)
        x = {name: value[rows] for name, value in self.features.items()}
        if method == "solve":
            training.solve_head(model, x, y, solver="exact", verbose=0)
        elif options == ("linear", "names"):  # texts are added to raw examples alone
            raw = {name: [column[i] for i in rows] for name, column in self.raw.items()}
            given = {"feature_cache": self.cache, "verbose": 0}
            model.fit(raw, y.tolist(), epochs=_EPOCHS.value, **given)
        else:
            model.fit(x, y, epochs=_EPOCHS.value, verbose=0)
        return model

    def untrained(self, names, options):
        """One model for each kind, as it was made, so that its graph is traced once."""
        key = len(names), options
        if key not in self.made:
            model = self.model(names, *options)
            weights = [*model.head.variables, *model.prior.variables, *model.optimizer.variables]
            self.made[key] = model, [(weight, weight.numpy()) for weight in weights]
        model, start = self.made[key]
        for weight, value in start:
            weight.assign(value)
        model.class_names = names
        if options[1]:
            model.class_texts = dict(enumerate(names))
        return model

    def logits(self, model, rows):
        """As `model.predict`, from features, without a graph for each model."""
        found = model({name: value[rows] for name, value in self.features.items()})
        return keras.ops.convert_to_numpy(found).astype("float64")


def _score(logits, labels):
    logs = logits - np.logaddexp.reduce(logits, axis=1)[:, None]
    right = logits.argmax(axis=1) == labels
    return float(right.mean()), float(-logs[np.arange(len(labels)), labels].mean())


def _shots_row(training_set, method, found):
    gains = [ours[0] - theirs[0] for ours, theirs in zip(found[method], found[_PEER], strict=True)]
    return {
        "task": _LABEL.value,
        "vendor": _VENDOR.value,
        "training_set": training_set,
        "method": method,
        "seeds": len(gains),
        "accuracy": round(statistics.mean(accuracy for accuracy, _ in found[method]), 4),
        "log_loss": round(statistics.mean(loss for _, loss in found[method]), 4),
        "difference": round(statistics.mean(gains), 4),
        "difference_stdev": round(statistics.stdev(gains) if len(gains) > 1 else 0.0, 4),
    }


def _added_row(training_set, method, scores):
    known, new, every = np.array(scores).T
    both = 2 * known * new / np.maximum(known + new, 1e-12)
    columns = {"known": known, "added": new, "harmonic_mean": both, "all": every}
    return {
        "task": _LABEL.value,
        "vendor": _VENDOR.value,
        "training_set": training_set,
        "method": method,
        "runs": len(scores),
        **{name: round(float(values.mean()), 4) for name, values in columns.items()},
        "harmonic_mean_stdev": round(float(both.std(ddof=1)), 4),
    }


def draw(rows, path):
    """Accuracy over the number of examples, one line a method."""
    figure = new_figure(7.2, 4.4)
    axes = figure.subplots()
    methods = [row["method"] for row in rows if row["training_set"] == rows[0]["training_set"]]
    sets = list(dict.fromkeys(row["training_set"] for row in rows))
    titles = ["0", *(name.removeprefix("k").replace("full80", "80 %") for name in sets)]
    by = {(row["training_set"], row["method"]): row["accuracy"] for row in rows}
    start = by[sets[0], "nearest"]
    colours = {}
    for method in methods[1:]:
        title = method.split(", ", 1)[-1] if "," in method else method
        colours.setdefault(title, COLOURS[len(colours) % len(COLOURS)])
        style = ":" if "peer" in method else "--" if method.startswith("fit") else "-"
        points = [by[name, method] for name in sets]
        places = np.arange(1, len(sets) + 1)
        if "class" in method:
            points, places = [start, *points], np.arange(len(sets) + 1)
        axes.plot(
            places, points, style, marker="o", markersize=4, color=colours[title], label=method
        )
    axes.set_xticks(range(len(titles)), titles)
    axes.set_xlabel("examples a class")
    axes.set_ylabel("accuracy")
    style_panel(axes, "With class texts, from no example to many")
    save(figure, path)


if __name__ == "__main__":
    app.run(main)
