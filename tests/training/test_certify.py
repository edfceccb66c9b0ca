"""The certificate: runs on features, words that follow from numbers, pages, and errors."""

import base64
import json
import re
from pathlib import Path

import keras
import numpy as np
import pytest

from tatl_keras import data, training, zoo
from tatl_keras._paired import interval
from tatl_keras.training.certificate_words import headline, plain_words
from tatl_keras.training.measurements import measure
from tatl_keras.training.paired_runs import CONDITIONS, PairedRuns
from tatl_keras.training.paired_splits import draw_splits
from tests.pages import parse
from tests.training.runs import draw, write_run

CLASSES = 3


def made_up(rng, text_tells=1.0, image_tells=0.6, count=150):
    """Image, text and masked features, each row of length 1, and labels."""
    labels = np.arange(count) % CLASSES
    parts = []
    for strength, dim in ((image_tells, 11), (text_tells, 7)):
        x = rng.normal(size=(count, dim)) + 3 * strength * np.eye(dim)[labels]
        parts.append(x / np.linalg.norm(x, axis=1, keepdims=True))
    return *parts, labels


def certificate_of(rng, seeds=4, **tells):
    image, text, labels = made_up(rng, **tells)
    runs = PairedRuns(image, text, text, labels, CLASSES)
    units = np.arange(len(labels))
    drawn = [draw_splits(labels, units, (2,), 0.2, seed) for seed in range(seeds)]
    return measure(runs, drawn), runs, drawn


def test_the_head_is_the_best_ridge_by_brute_force(rng):
    image, text, labels = made_up(rng, count=60)
    runs = PairedRuns(image, text, text, labels, CLASSES)
    train, test = np.arange(40), np.arange(40, 60)
    found = runs.run(train, test, 0)
    assert set(found) == set(CONDITIONS)
    targets, centre = np.eye(CLASSES)[labels[:40]], image[:40].mean(axis=0)
    x, y = image[:40] - centre, targets - targets.mean(axis=0)
    fits = []  # the direction of the scores is that of some penalty's closed-form solution
    for penalty in np.logspace(-3, 3, 41) * np.square(x).sum() / 40:
        kernel = np.linalg.solve(x.T @ x + penalty * np.eye(11), x.T @ y)
        scores = (image[40:] - centre) @ kernel + targets.mean(axis=0)
        centred = scores - scores.mean(axis=1, keepdims=True)
        ours = found["image"] - found["image"].mean(axis=1, keepdims=True)
        fits.append(np.corrcoef(centred.ravel(), ours.ravel())[0, 1])
    assert max(fits) == pytest.approx(1, abs=1e-6)
    for logs in (found["image"], found["both"], found["text_swapped"]):
        np.testing.assert_allclose(np.exp(logs).sum(axis=1), 1)


def test_conditions_are_what_they_say(rng):
    image, text, labels = made_up(rng, count=90)
    masked = rng.normal(size=text.shape)
    runs = PairedRuns(image, text, masked, labels, CLASSES)
    train, test = np.arange(60), np.arange(60, 90)
    found = runs.run(train, test, 0)
    plain = PairedRuns(image, masked, masked, labels, CLASSES).run(train, test, 0)
    np.testing.assert_allclose(found["text_masked"], plain["text"])
    np.testing.assert_allclose(found["both_masked"], plain["both"])
    # Without text rows the answer depends on the picture alone: other texts change nothing.
    other = text.copy()
    other[60:] = rng.normal(size=(30, text.shape[1]))
    swapped = PairedRuns(image, other, masked, labels, CLASSES).run(train, test, 0)
    np.testing.assert_array_equal(found["text_missing"], swapped["text_missing"])
    assert not np.allclose(found["image_missing"], swapped["image_missing"])
    assert (found["prior"].argmax(axis=1) < CLASSES).all()


def test_differences_and_shapley_values_are_those_of_the_accuracies(rng):
    results, runs, drawn = certificate_of(rng)
    assert results["main"] == "80/20" and set(results["sets"]) == {"k2", "80/20"}
    one = results["sets"]["80/20"]
    train, test = drawn[0]["80/20"]
    right = runs.run(train, test, 0)["both"].argmax(axis=1) == runs.labels[test]
    assert one["accuracy"]["both"]["values"][0] == right.mean()
    both, image = (np.array(one["accuracy"][name]["values"]) for name in ("both", "image"))
    assert one["differences"]["text_gain"] == interval(both - image, 30 / 120)
    few = results["sets"]["k2"]
    gains = np.subtract(few["accuracy"]["both"]["values"], few["accuracy"]["image"]["values"])
    assert few["differences"]["text_gain"] == interval(gains)
    total = one["shapley"]["image"]["mean"] + one["shapley"]["text"]["mean"]
    prior = one["accuracy"]["prior"]["mean"]
    assert total == pytest.approx(one["accuracy"]["both"]["mean"] - prior)
    curve = results["curves"]["text_missing"]["accuracy"]
    assert curve[0] == pytest.approx(both.mean())
    assert curve[-1] == pytest.approx(one["accuracy"]["text_missing"]["mean"])


def difference(mean, half):
    ends = {"low": mean - half, "high": mean + half, "half_width": half}
    return {
        "mean": mean,
        **ends,
        "p_value": 0.01 if abs(mean) > half else 0.4,
        "values": [mean] * 2,
    }


def results_with(**changed):
    """The numbers of a certificate in which text gains 9.8 ± 1.2 points."""
    means = {"text_gain": (0.098, 0.012), "text_gain_without_names": (0.09, 0.01)}
    means |= {"names_in_text": (0.02, 0.01), "other_texts_gain": (0.001, 0.01)}
    means |= {"text_missing": (0.001, 0.004), "text_swapped": (-0.2, 0.02)}
    means |= {"image_gain": (0.05, 0.01), "image_missing": (-0.03, 0.01)} | changed
    differences = {name: difference(*pair) for name, pair in means.items()}
    accuracy = {name: {"mean": 0.5} for name in CONDITIONS} | {"both": {"mean": 0.75}}
    accuracy |= {"prior": {"mean": 0.25}}
    shapley = {"image": difference(0.2, 0.01), "text": difference(0.3, 0.01), "text_share": 0.6}
    one = {"train": 100, "test": 25, "accuracy": accuracy}
    one |= {"differences": differences, "shapley": shapley}
    names = {"share": 0.03, "by_chance": 0.01, "p_value": 0.2}
    leaks = {"alarms": [], "names": names, "words": [], "pictures": None, "groups": None}
    calibration = {"ece": 0.021, "bins": []}
    results = {"main": "80/20", "sets": {"80/20": one}, "leaks": leaks, "seeds": 5}
    return results | {"calibration": calibration}


def test_words_follow_from_the_numbers():
    said = "\n".join(plain_words(results_with()))
    assert "Text adds 9.8 ± 1.2 points to pictures alone" in said
    assert "75.0 % instead of 50.0 %" in said and "p = 0.010" in said
    assert "3.0 % of the texts contain a word of their class's name" in said
    assert "still adds 9.0 ± 1.0 points, and text alone loses 2.0 ± 1.0 points" in said
    assert "Asked without text, it is equal to pictures alone within 0.5 points" in said
    assert "Asked with a wrong text, it falls 20.0 ± 2.0 points below" in said
    assert "falls 3.0 ± 1.0 points below text alone" in said
    assert "text brings 30.0 ± 1.0 points and pictures 20.0 ± 1.0 points" in said
    assert "2.1 points off" in said
    assert headline(results_with()) == "Text helps. No leak was found."


@pytest.mark.parametrize(
    ("gain", "said", "title"),
    [
        (
            (0.01, 0.02),
            "by 1.0 ± 2.0 points, which may be chance",
            "No gain from text can be shown",
        ),
        ((-0.01, 0.02), "by -1.0 ± 2.0 points, which may be chance", "No gain"),
        ((-0.05, 0.02), "Text costs 5.0 ± 2.0 points", "Text does harm"),
    ],
)
def test_a_gain_that_is_not_sure_is_not_claimed(gain, said, title):
    results = results_with(text_gain=gain)
    first = plain_words(results)[0]
    assert said in first and "adds" not in first
    assert headline(results).startswith(title)


def test_words_turn_with_the_numbers():
    changed = {"text_missing": (-0.135, 0.02), "text_gain_without_names": (0.001, 0.01)}
    said = "\n".join(plain_words(results_with(**changed, other_texts_gain=(0.03, 0.01))))
    assert "a plain head on both falls 13.5 ± 2.0 points below pictures alone" in said
    assert "does not surely add (0.1 ± 1.0 points)" in said
    assert "add 3.0 ± 1.0 points, so part of the gain is not from what the texts say" in said


def test_alarms_are_told():
    results = results_with()
    row = {"word": "id7", "class": "cat", "precision": 1.0, "recall": 1.0, "p_value": 0.0}
    results["leaks"] |= {
        "alarms": ["names", "words", "pictures"],
        "words": [row] * 7,
        "pictures": 2,
    }
    said = "\n".join(plain_words(results))
    assert "“id7” for cat" in said and "and 2 more" in said
    assert "3.0 % of the texts contain a word of their own class's name; 1.0 % would" in said
    assert "2 pictures are in two of the given splits" in said
    assert "No word, picture or group" not in said
    assert headline(results).endswith("something gives the label away.")


@pytest.fixture(scope="module")
def certified():
    """A certificate of made-up pictures on tiny random encoders."""
    keras.utils.set_random_seed(0)
    model = zoo.build("test_efficientnet_bert_concat", num_classes=2, seed=0)
    examples = data.synthetic.examples(2, 60, seed=0)
    options = {"shots": (2, 400), "seeds": 2, "verbose": 0}
    return model, examples, training.certify(model, examples, **options)


def test_files(certified, tmp_path):
    *_, certificate = certified
    paths = certificate.save(tmp_path / "new" / "pets")
    numbers = json.loads((tmp_path / "new" / "pets" / "certificate.json").read_text())
    assert numbers["words"] == certificate.words and numbers["num_examples"] == 60
    page = (tmp_path / "new" / "pets" / "certificate.html").read_text(encoding="utf-8")
    picture = (tmp_path / "new" / "pets" / "certificate.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    (embedded,) = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert base64.b64decode(embedded) == picture
    assert not re.search(r"https?://|<script|<link", page)
    assert len(paths) == 3 and str(certificate).startswith(certificate.headline)
    assert certificate.words[0].replace("'", "&#x27;") in page


def test_a_report_shows_the_certificate_in_its_folder(certified, tmp_path):
    *_, certificate = certified
    write_run(tmp_path / "run", ["a", "b"], *draw(2, 10))
    path = training.write_report(tmp_path / "run")
    assert "Does text help?" not in Path(path).read_text(encoding="utf-8")
    certificate.save(tmp_path / "run")
    tree = parse(Path(training.write_report(tmp_path / "run")).read_text(encoding="utf-8"))
    assert "Does text help?" in tree.text_of("h2") and certificate.words[0] in tree.text_of("li")
    both = certificate.results["sets"]["80/20"]["accuracy"]["both"]["mean"]
    cells = [row[-1] for rows in tree.tables for row in rows if row[0] == "both"]
    assert [cell.split(" %")[0] for cell in cells] == [f"{100 * both:.1f}"]


def test_a_certificate_of_made_up_pictures(certified):
    _, examples, certificate = certified
    results = certificate.results
    empty = sum(not x["text"] for x, _ in examples.as_numpy_iterator())
    assert set(results["sets"]) == {"k2", "80/20"}  # 400 examples a class there are not
    assert results["missing_text"] == empty > 0 and results["missing_image"] == 0
    # A third of the texts names the colour and a third the shape, where there is one.
    assert "names" in results["leaks"]["alarms"]
    assert 0.4 < results["leaks"]["names"]["share"] < 0.75


def test_splits_that_share_pictures_raise_the_alarm(certified):
    model, examples, _ = certified
    raw = [x for x, _ in examples.as_numpy_iterator()]
    raw += raw[:1]
    labels = [int(y) for _, y in examples] + [0]
    x = {name: [row[name] for row in raw] for name in ("image", "text")}
    splits = ["train"] * 60 + ["test"]
    options = {"shots": (), "seeds": 2, "verbose": 0, "class_names": ["a", "b"]}
    found = training.certify(model, x, labels, splits=splits, **options).results["leaks"]
    assert "pictures" in found["alarms"] and found["pictures"] == 1
    assert found["repeated_pictures"] == 1 and found["groups"] is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": 1}, "`seeds` must be an int of at least 2. Received: seeds=1"),
        ({"shots": (0,)}, r"`shots` must be ints.*Received: shots=\(0,\)"),
        ({"held_out": 1.0}, "`held_out` must be above 0.*Received: held_out=1.0"),
        ({"groups": ["a"]}, "`groups` must have one key for each of 60.*Received: 1 keys"),
        ({"splits": ["a"] * 3}, "`splits` must have one key.*Received: 3 keys"),
        ({"feature_cache": None}, "Received: feature_cache=None"),
        ({"class_names": ["one"]}, "labels from 0 to 0.*Received: labels from 0 to 1"),
        ({"groups": ["all"] * 60}, "two examples of every class that.*Received: 1 of "),
    ],
)
def test_errors(certified, change, message):
    model, examples, _ = certified
    with pytest.raises(ValueError, match=message):
        training.certify(model, examples, **({"verbose": 0} | change))


def test_what_cannot_be_certified(certified):
    model, examples, _ = certified
    with pytest.raises(ValueError, match="Received: model of type Sequential"):
        training.certify(keras.Sequential(), examples)
    alone = zoo.build("test_efficientnet_image_only", num_classes=2)
    with pytest.raises(ValueError, match=r"that reads \['image'\]"):
        training.certify(alone, examples)
    learning = zoo.build("test_efficientnet_lstm_concat", num_classes=2)
    with pytest.raises(ValueError, match=r"Received: \['text'\] not frozen"):
        training.certify(learning, examples)
    with pytest.raises(ValueError, match="`y` must hold the labels. Received: y=None"):
        training.certify(model, {"text": ["a"], "image": [""]}, verbose=0)
    with pytest.raises(ValueError, match="Received: 2 texts and 0 pictures in 2 examples"):
        training.certify(model, {"text": ["a", "b"]}, [0, 1], class_names=["a", "b"], verbose=0)
