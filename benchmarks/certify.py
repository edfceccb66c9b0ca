"""The certificate: how often its leak alarm is right, and what it costs.

    python benchmarks/certify.py --data=../shared/data/emoji

Reads manifest.jsonl there (1,435 emoji with captions, eight classes).

leaks: 200 times, 480 captions are drawn, in a setting without a leak or with one planted, and
`training.find_leaks` is asked. Without: captions with labels dealt out anew; captions without the
words of class names, with their own labels, which they help to tell. Planted into the latter: a
code word of the class in nine of ten captions; a file name that begins with the class, its number
being another each time; the class's name in a tenth. An alarm counts for a planted leak if it names
the sign that the leak belongs to. Writes benchmarks/results/certify_leaks.csv, a row a setting,
with the exact (Clopper-Pearson) 95 % interval of the share of alarms.

cost: the wall-clock time of `training.certify` with its defaults on all of one vendor's emoji, the
features cached before. Writes benchmarks/results/certify_cost.csv.
"""

import json
import os
import time

import numpy as np
from absl import app, flags
from conditions import write_results
from scipy import stats

from tatl_keras import training, zoo
from tatl_keras.training.class_words import mask_class_words

_DATA = flags.DEFINE_string("data", None, "Folder with manifest.jsonl.", required=True)
_VENDOR = flags.DEFINE_string("vendor", "google", "Whose pictures.")
_PARTS = flags.DEFINE_multi_enum("part", ["leaks", "cost"], ["leaks", "cost"], "What to measure.")
_SIMULATIONS = flags.DEFINE_integer("simulations", 200, "Draws of captions in each setting.")
_ROWS = flags.DEFINE_integer("rows", 480, "Captions in one draw.")
_MODEL = flags.DEFINE_string("model", "efficientnet_lite0_minilm_concat", "Model of the zoo.")


def main(argv):
    del argv
    with open(os.path.join(_DATA.value, "manifest.jsonl"), encoding="utf-8") as file:
        examples = [row for row in map(json.loads, file) if row["vendor"] == _VENDOR.value]
    names = sorted({example["label"] for example in examples})
    labels = np.array([names.index(example["label"]) for example in examples])
    if "leaks" in _PARTS.value:
        rows = [_simulate(setting, examples, labels, names) for setting in SETTINGS]
        write_results("certify_leaks.csv", rows)
    if "cost" in _PARTS.value:
        write_results("certify_cost.csv", [_cost(examples, labels, names)])


def _code(rng, text, label, names):
    return f"{text} id{7 * label}" if rng.random() < 0.9 else text


def _file_name(rng, text, label, names):
    return f"img{label}_{rng.integers(10**6):06d} {text}"


def _name(rng, text, label, names):
    return f"{names[label]} {text}" if rng.random() < 0.1 else text


# Setting → (the sign that should raise the alarm, what is planted into a caption).
SETTINGS = {
    "no leak: labels dealt out anew": (None, None),
    "no leak: class words taken out": (None, None),
    "planted: a code word of the class in 90 %": ("words", _code),
    "planted: a file name that begins with the class": ("words", _file_name),
    "planted: the class's name in 10 %": ("names", _name),
}


def _simulate(setting, examples, labels, names):
    """The row of one setting."""
    sign, plant = SETTINGS[setting]
    rng, alarms = np.random.default_rng(0), 0
    captions = [example["text"] for example in examples]
    dealt = "dealt" in setting
    if not dealt:
        captions = mask_class_words(captions, names)
    for seed in range(_SIMULATIONS.value):
        drawn = rng.choice(len(labels), _ROWS.value, replace=False)
        texts, y = [captions[i] for i in drawn], labels[drawn]
        if dealt:
            y = rng.permutation(y)
        if plant is not None:
            texts = [plant(rng, text, label, names) for text, label in zip(texts, y, strict=True)]
        found = training.find_leaks(texts, y, names, seed=seed)["alarms"]
        alarms += bool(found) if sign is None else sign in found
    low, high = _interval(alarms, _SIMULATIONS.value)
    row = {"setting": setting, "sign": sign or "any", "simulations": _SIMULATIONS.value}
    row |= {"rows": _ROWS.value, "alarms": alarms, "share": alarms / _SIMULATIONS.value}
    row |= {"low": round(low, 4), "high": round(high, 4)}
    print(row, flush=True)
    return row


def _interval(count, total):
    """The exact 95 % interval of a share."""
    low = stats.beta.ppf(0.025, count, total - count + 1) if count else 0.0
    high = stats.beta.ppf(0.975, count + 1, total - count) if count < total else 1.0
    return float(low), float(high)


def _cost(examples, labels, names):
    """Seconds with all features cached, and those of the call that computed them."""
    images = [os.path.join(_DATA.value, example["image"]) for example in examples]
    x = {"image": images, "text": [example["text"] for example in examples]}
    model = zoo.build(_MODEL.value, num_classes=len(names))
    options = {"class_names": names, "feature_cache": training.FeatureCache(), "verbose": 0}
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        certificate = training.certify(model, x, labels, **options)
        seconds.append(time.perf_counter() - start)
    row = {"model": _MODEL.value, "vendor": _VENDOR.value, "examples": len(examples)}
    row |= {"seeds": certificate.results["seeds"], "sets": "+".join(certificate.results["sets"])}
    row |= {"seconds": round(seconds[1], 2), "seconds_with_encoding": round(seconds[0], 2)}
    print(certificate)
    print(row, flush=True)
    return row


if __name__ == "__main__":
    app.run(main)
