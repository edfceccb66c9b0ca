"""Explanations: what they cost, how exact they are, and whether they find what was planted.

    python benchmarks/explain.py

Makes a data set in which it is known what decides. Every example has a picture of 3 x 3 cells, a
shape in each, and a text of 12 words. In half of the examples one cell, anywhere, has a shape in
the colour of the class, and every word is neutral; in the other half one word, anywhere, names the
class, and every shape has a neutral colour. A model on frozen EfficientNet-Lite0 and MiniLM learns
from --train of them and explains --examples others with the defaults of `model.explain`.

Writes benchmarks/results/explain.csv, a row a measure:

seconds          wall-clock time of one example, with grades and without: of the first call, which
                 compiles, and of later ones (median, lowest, highest); and the processors' time of
                 a later one, which other programs on the machine disturb less
standard error   the largest of an example's values (median, lowest, highest of examples), and
                 the root mean square distance to values from 1,600 samples
planted found    share of examples in which the highest of the 9 regions and 12 words is the planted
                 one, with its exact (Clopper-Pearson) 95 % interval; of maps, the highest of the
                 part that they rank and that holds the planted one
random weights   correlation with the same map of models with random weights, mean over the examples
                 with its 95 % interval
"""

import time

import keras
import numpy as np
from absl import app, flags
from conditions import write_results
from scipy import stats

from tatl_keras import training, zoo
from tatl_keras.models.explanation.players import region_means

_TRAIN = flags.DEFINE_integer("train", 600, "Examples to learn from.")
_EXAMPLES = flags.DEFINE_integer("examples", 60, "Examples to explain.")
_GRADED = flags.DEFINE_integer("graded", 20, "So many of them with grades.")
_TIMED = flags.DEFINE_integer("timed", 5, "Later calls that are timed.")
_ERRORS = flags.DEFINE_integer("errors", 4, "Examples of which the error is measured.")
_SAMPLES = flags.DEFINE_multi_integer("samples", [100, 200, 400], "Numbers of samples to try.")
_MODEL = flags.DEFINE_string("model", "efficientnet_lite0_minilm_concat", "Model of the zoo.")

_SIDE, _GRID, _WORDS, _MANY = 224, 3, 12, 1600
_COLOURS = {"red": (215, 40, 40), "blue": (40, 70, 220), "green": (30, 150, 60)}
_NEUTRAL_COLOURS = [(120, 120, 120), (60, 60, 60), (175, 165, 150), (95, 80, 70)]
_NAMES = ["apple", "train", "violin"]  # in texts, of the classes in the order of their colours
_NEUTRAL_WORDS = (
    "this here with some very often about there which other still quite seems after under "
    "between around small usual simple common plain second later early several"
).split()


def main(argv):
    del argv
    keras.utils.set_random_seed(0)
    classes = list(_COLOURS)
    model = zoo.build(_MODEL.value, num_classes=len(classes), class_names=classes, seed=0)
    x, y, _ = planted(_TRAIN.value, seed=1)
    training.solve_head(model, x, y, feature_cache="memory")
    x, y, places = planted(_EXAMPLES.value, seed=2)
    right = float((model.predict(x, verbose=0).argmax(-1) == y).mean())
    rows = [_row("right answers", "model", right, *_interval(right, len(y)), len(y))]
    for measure in (_seconds, _evidence, _sampling_errors):
        rows += measure(model, x, y, places)
        write_results("explain.csv", rows)


def planted(count, seed):
    """Examples, their classes, and which of the 9 regions and 12 words decides (0 to 20)."""
    rng = np.random.default_rng(seed)
    x, labels, places = {"image": [], "text": []}, np.arange(count) % len(_COLOURS), []
    for number, label in enumerate(labels):
        in_text = number // len(_COLOURS) % 2
        place = int(rng.integers(_WORDS if in_text else _GRID**2))
        words = list(rng.choice(_NEUTRAL_WORDS, _WORDS, replace=False))
        colours = [_NEUTRAL_COLOURS[i] for i in rng.integers(len(_NEUTRAL_COLOURS), size=_GRID**2)]
        if in_text:
            words[place] = _NAMES[label]
        else:
            colours[place] = list(_COLOURS.values())[label]
        x["image"].append(_picture(colours, rng))
        x["text"].append(" ".join(words))
        places.append(place + _GRID**2 * in_text)
    return x, labels, places


def _picture(colours, rng):
    """Pixels of one shape a cell: a disc, a square or a diamond, of some size."""
    picture = np.full((_SIDE, _SIDE, 3), rng.integers(225, 250), np.uint8)
    y, x = np.mgrid[:_SIDE, :_SIDE]
    for cell, colour in enumerate(colours):
        middle = (np.array(divmod(cell, _GRID)) + 0.5) * _SIDE / _GRID + rng.uniform(-6, 6, 2)
        dy, dx, size = abs(y - middle[0]), abs(x - middle[1]), rng.uniform(22, 30)
        distance = [np.hypot(dy, dx), np.maximum(dy, dx), (dy + dx) / 1.2][rng.integers(3)]
        picture[distance < size] = colour
    return picture


def _one(x, number):
    return [{name: values[number % len(values)] for name, values in x.items()}]


def _seconds(model, x, *_):
    """Rows of the first call and of later ones, without and with grades."""
    rows = []
    for grade in (False, True):
        wall, busy = [], []
        for number in range(_TIMED.value + 1):
            start, start_busy = time.perf_counter(), time.process_time()
            model.explain(_one(x, number), grade=grade, verbose=0)
            wall.append(time.perf_counter() - start)
            busy.append(time.process_time() - start_busy)
        kind = "with grades" if grade else "without grades"
        rows.append(_row("seconds, first call", kind, wall[0], wall[0], wall[0], 1))
        for measure, found in (("seconds", wall[1:]), ("processor seconds", busy[1:])):
            spread = np.median(found), min(found), max(found)
            target = 2.0 if measure == "seconds" else ""
            rows.append(_row(measure, kind, *spread, len(found), target))
    return rows


def _sampling_errors(model, x, *_):
    """Rows of the errors that are claimed, and of the distance to what many samples give."""
    options = {"grade": False, "verbose": 0}
    count = min(_ERRORS.value, _EXAMPLES.value)
    some = [_one(x, number)[0] for number in range(count)]
    exact = [_values(one) for one in model.explain(some, samples=_MANY, seed=1, **options)]
    rows = []
    for samples in _SAMPLES.value:
        found = model.explain(some, samples=samples, **options)
        claimed = [_values(one, errors=True).max() for one in found]
        apart = [_values(one) - other for one, other in zip(found, exact, strict=True)]
        apart = [np.sqrt(np.square(one).mean()) for one in apart]
        for measure, values in (("largest standard error", claimed), ("rms distance", apart)):
            spread = np.median(values), min(values), max(values)
            rows.append(_row(measure, f"{samples} samples", *spread, count, 0.01))
    return rows


def _values(one, errors=False):
    regions, words = (
        (one.regions_error, one.word_errors) if errors else (one.regions, one.word_values)
    )
    return np.concatenate([regions.ravel(), words])


def _evidence(model, x, y, places):
    """Rows of what was found of what was planted, and of correlations with random weights."""
    some = [_one(x, number)[0] for number in range(len(places))]
    classes, graded = [int(label) for label in y], _GRADED.value
    explained = model.explain(some[:graded], class_name=classes[:graded])
    explained += model.explain(some[graded:], class_name=classes[graded:], grade=False)
    claimed = [_values(one, errors=True).max() for one in explained]
    spread = np.median(claimed), min(claimed), max(claimed)
    rows = [_row("largest standard error", "defaults", *spread, len(claimed), 0.01)]
    for name in explained[0].grades:
        found = [_finds(*pair, name) for pair in zip(explained, places, strict=True)]
        for kind, among in (("region", range(_GRID**2)), ("word", range(_GRID**2, 21))):
            hits = [hit for hit, place in zip(found, places, strict=True) if place in among]
            if hits[0] is not None:
                rows.append(_share(f"planted {kind} found", name, hits))
        if None not in found:
            rows.append(_share("planted found", name, found, 0.95))
    for name in explained[0].grades:
        known = [one.grades[name]["random_weights_correlation"] for one in explained[:graded]]
        known = np.array([value for value in known if value is not None])
        half = 1.96 * known.std(ddof=1) / np.sqrt(len(known))
        mean = known.mean(), known.mean() - half, known.mean() + half
        rows.append(_row("random weights", name, *mean, len(known), 0.1))
        refused = [one.grades[name]["refused"] for one in explained[:graded]]
        rows.append(_share("refused", name, refused))
    return rows


def _finds(one, place, name):
    """Whether the planted part is the highest; `None` where a map does not rank its like."""
    if name == "shapley":
        return int(_values(one).argmax()) == place
    found, in_text = one.maps[name], place >= _GRID**2
    values = found.word_values if in_text else found.values
    if values is None:
        return None
    values = values if in_text else region_means(values, one.grid)
    return int(values.argmax()) == place - in_text * _GRID**2


def _share(measure, of, hits, target=""):
    share = float(np.mean(hits))
    return _row(measure, of, share, *_interval(share, len(hits)), len(hits), target)


def _interval(share, total):
    """The exact 95 % interval of a share."""
    count = round(share * total)
    low = stats.beta.ppf(0.025, count, total - count + 1) if count else 0.0
    high = stats.beta.ppf(0.975, count + 1, total - count) if count < total else 1.0
    return float(low), float(high)


def _row(measure, of, value, low, high, count, target=""):
    row = {"measure": measure, "of": of, "value": round(float(value), 4)}
    row |= {"low": round(float(low), 4), "high": round(float(high), 4)}
    row |= {"count": count, "target": target}
    print(row, flush=True)
    return row


if __name__ == "__main__":
    app.run(main)
