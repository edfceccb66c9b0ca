"""One browser for a run of the tests; pages of every kind, made without a training."""

import os

import numpy as np
import pytest

from tatl_keras import training
from tatl_keras.data import synthetic
from tatl_keras.training.gallery_page import gallery_page
from tatl_keras.training.measurements import measure
from tatl_keras.training.paired_runs import PairedRuns
from tatl_keras.training.paired_splits import draw_splits
from tests.browser import chromium
from tests.training import explanations
from tests.training.runs import draw, write_run


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium; without one tests skip, but fail where the variable CI is set."""
    path = chromium.find()
    if path is None:
        said = f"needs a browser: none of {', '.join(chromium.NAMES)} is on the PATH"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(said)
    browser = chromium.Browser(path)
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def pages(tmp_path_factory):
    """Dict from a name to the path of a page."""
    folder = tmp_path_factory.mktemp("pages")
    examples = synthetic.examples(8, 80, missing_text=0.2, missing_image=0.1)
    names = [f"{name}, with a name that is rather long" for name in examples.class_names]
    examples.class_names = names
    labels = np.array([int(label) for _, label in examples])
    runs = []
    for number, name in enumerate(("concat", "gated_with_a_long_name_of_a_folder", "cross")):
        logits = draw(8, 80, seed=number)[1] + np.eye(8, dtype=np.float32)[labels]
        flags = {"learning_rate": 0.1**number, "image_column": "pictures/of/some/long/path.jpg"}
        write_run(folder / name, names, labels, logits, ids=examples.ids, flags=flags, seed=number)
        runs.append(folder / name)
    certificate = _certificate(names[:3])
    certificate.save(runs[0])
    training.write_report(runs[0], examples)
    training.compare_runs(runs).save(folder / "compare.html")
    (folder / "gallery.html").write_text(_gallery(examples, names), encoding="utf-8")
    return {
        "gallery": folder / "gallery.html",
        "report": runs[0] / "report.html",
        "compare": folder / "compare.html",
        "certificate": runs[0] / "certificate.html",
    }


def _gallery(examples, names):
    """A gallery of four examples, among them one without a text and one without a picture."""
    found = []
    for row, (x, _) in enumerate(examples.take(4).as_numpy_iterator()):
        example = {"image": x["image"] * (row != 1), "text": x["text"].decode() * (row != 2)}
        explanation = explanations.make(example["text"], bool(example["image"]))
        known = {"id": f"a/long/path/to/{row}.jpg", "row": row, "label": names[row % 2]}
        found.append(known | example | {"explanation": explanation})
    logits = np.random.default_rng(0).normal(size=(2, 80, 8))
    chosen = {"best": [0, 1], "worst": [], "changed": [2], "uncertain": [3, 0]}
    return gallery_page(found, chosen, *logits, np.arange(80) % 8)


def _certificate(names):
    """A certificate of random features, in which a word gives the label away."""
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 3
    image, text = (rng.normal(size=(120, 9)) + 2 * np.eye(9)[labels] for _ in range(2))
    units = np.arange(120)
    drawn = [draw_splits(labels, units, (1, 2), 0.2, seed) for seed in range(2)]
    leaks = {
        "alarms": ["words"], "words": [{"word": "antler", "class": names[0]}], "pictures": None,
        "groups": None, "names": {"share": 0.1, "by_chance": 0.1, "p_value": 0.5},
    }  # fmt: skip
    about = {"num_examples": 120, "class_names": names, "missing_text": 3, "missing_image": 0,
             "seeds": 2, "seconds": 1.5, "leaks": leaks}  # fmt: skip
    found = measure(PairedRuns(image, text, text, labels, 3), drawn)
    return training.Certificate({**found, **about})
