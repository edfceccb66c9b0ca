"""Captions and translations of emoji that were held out, beside texts that need no model.

    python benchmarks/writing.py --data=../shared/data/emoji

Captions: Google's pictures in --data with the names of emoji, on frozen EfficientNet-Lite0.
Translations: names of emoji in other languages (`data.emoji_pairs`), read by an encoder that learns
with the decoder and by frozen MiniLM. No emoji, and no near duplicate of one, stands on both sides.
Each model is trained from each seed with warm-up and cosine (`training.make_optimizer`) and asked
by beam search; numbers are of all held-out examples of one seed, intervals resample groups of near
duplicates, and gains are paired with the best baseline.
Writes benchmarks/results/writing.csv, one row a task, method and seed.
"""

import collections
import itertools
import json
import math
import os
import time

import keras
import numpy as np
from absl import app, flags
from conditions import write_results

from tatl_keras import data, models, training, zoo

_DATA = flags.DEFINE_string("data", None, "Folder with manifest.jsonl.", required=True)
_LANGUAGES = flags.DEFINE_list("languages", ["de", "es"], "Languages to translate to.")
_SEEDS = flags.DEFINE_list("seeds", ["0"], "Seeds of the models; the split is one.")
_KINDS = flags.DEFINE_list("kinds", ["transformer", "lstm"], "Decoders.")
_EPOCHS = flags.DEFINE_integer("epochs", 40, "Epochs.")
_BATCH = 32


def main(argv):
    del argv
    rows = captions()
    for language in _LANGUAGES.value:
        write_results("writing.csv", rows)
        rows += translations(language)
    write_results("writing.csv", rows)


def captions():
    """Rows of all methods on captions."""
    manifest = os.path.join(_DATA.value, "manifest.jsonl")
    options = {
        "text": "text_annotation",
        "label": False,
        "id": False,
        "where": {"vendor": "google"},
    }
    train, test = data.load(manifest, **options)
    with open(manifest, encoding="utf-8") as file:
        group = {row["image"]: row["group"] for row in map(json.loads, file)}
    groups = [group.get(i, group.get(os.path.relpath(i, _DATA.value))) for i in test.ids]
    model = zoo.build("efficientnet_lite0_image_only", 2)
    vectors = [training.encode(part, model, "memory").arrays()[0] for part in (train, test)]
    pooled = [part["image_pooled"] for part in vectors]
    texts = [list(part.rows["text"]) for part in (train, test)]
    baselines = training.generation_baselines(
        texts[0], len(test), train_features=pooled[0], features=pooled[1]
    )
    task = ("captions", train, test, texts, groups, baselines)
    return measure(*task, ["efficientnet_lite0_{}_caption"])


def translations(language):
    """Rows of all methods on translations from English."""
    train, test = data.emoji_pairs("en", language)
    texts = [list(part.rows["target"]) for part in (train, test)]
    sources = [list(part.rows["text"]) for part in (train, test)]
    vectors = _grams(*sources)
    baselines = training.generation_baselines(
        texts[0], len(test), train_features=vectors[0], features=vectors[1], sources=sources[1]
    )
    groups = list(test.rows["group"])
    names = ["{}_translate", "minilm_{}_translate"]
    return measure(f"en-{language}", train, test, texts, groups, baselines, names)


def measure(task, train, test, texts, groups, baselines, names):
    """Trains each kind of decoder from each seed; rows of these and of the baselines."""
    rows, best = [], None
    for name, kind in itertools.product(names, _KINDS.value):
        for seed in map(int, _SEEDS.value):
            keras.utils.set_random_seed(seed)
            model = zoo.build(name.format(kind), seed=seed, sequence_length=16)
            frozen = all(encoder.frozen for encoder in model.encoders.values())
            options = {"feature_cache": "memory" if frozen else None}
            steps = _EPOCHS.value * math.ceil(len(train) / _BATCH)
            model.compile(training.make_optimizer(model, steps=steps), models.TokenCrossentropy())
            start = time.monotonic()
            model.fit(train, batch_size=_BATCH, epochs=_EPOCHS.value, verbose=0, **options)
            seconds = time.monotonic() - start
            perplexity = model.evaluate(test, verbose=0, return_dict=True, **options)["perplexity"]
            written = model.generate(test, sampler="beam", **options)
            found = training.generation_metrics(
                written, texts[1], baselines=baselines, groups=groups
            )
            best = max(found["baselines"], key=lambda n: found["baselines"][n]["chrf"]["value"])
            gain = found["baselines"][best]["gain"]["chrf"]
            about = {"perplexity": round(perplexity, 2), "fit_seconds": round(seconds, 1)}
            rows.append(_row(task, model.name, seed, found) | about | _gain(best, gain))
            print(rows[-1], flush=True)
            for place in range(0, len(written), max(1, len(written) // 8)):
                print("   ", texts[1][place], "|", written[place], flush=True)
    for baseline, scores in found["baselines"].items():
        about = {"perplexity": "", "fit_seconds": ""} | _gain("", None)
        rows.append(_row(task, baseline, "", found | scores) | about)
    return rows


def _row(task, method, seed, found):
    row = {"task": task, "method": method, "seed": seed, "examples": found["num_examples"]}
    for score in ("chrf", "bleu", "exact_match"):
        for part in ("value", "low", "high"):
            row[score if part == "value" else f"{score}_{part}"] = round(found[score][part], 3)
    return row


def _gain(best, gain):
    values = {"": "", "_low": "", "_high": ""}
    if gain is not None:
        values = {"": gain["value"], "_low": gain["low"], "_high": gain["high"]}
        values = {ending: round(value, 2) for ending, value in values.items()}
    return {"best_baseline": best} | {f"chrf_gain{end}": value for end, value in values.items()}


def _grams(*columns):
    """Counts of the grams of two to four characters of texts, as matrices of floats."""
    counted = [
        [
            collections.Counter(
                padded[i : i + n] for n in (2, 3, 4) for i in range(len(padded) - n + 1)
            )
            for padded in (f" {text.lower()} " for text in column)
        ]
        for column in columns
    ]
    known = {gram: place for place, gram in enumerate(sorted(set().union(*counted[0])))}
    matrices = []
    for column in counted:
        matrix = np.zeros((len(column), len(known)), "float32")
        for row, counts in enumerate(column):
            for gram, count in counts.items():
                if gram in known:
                    matrix[row, known[gram]] = count
        matrices.append(matrix)
    return matrices


if __name__ == "__main__":
    app.run(main)
