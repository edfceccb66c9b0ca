"""The page of a run: its numbers are those of NumPy, its pictures those of the examples."""

import base64
import re
import shlex

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tatl_keras import data, training
from tatl_keras._files import write_whole
from tatl_keras.data import synthetic
from tatl_keras.training import report_examples, report_setup
from tests.pages import check_alone, parse
from tests.training.runs import draw, write_run

CLASSES, COUNT = 3, 60


@pytest.fixture(scope="module")
def examples():
    return synthetic.examples(CLASSES, COUNT, missing_text=0.2, missing_image=0.2)


@pytest.fixture(scope="module")
def answers(examples):
    labels = np.array([int(label) for _, label in examples])
    return labels, draw(CLASSES, COUNT)[1] + 1.2 * np.eye(CLASSES, dtype=np.float32)[labels]


@pytest.fixture(scope="module")
def run(examples, answers, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "pets"
    write_run(folder, examples.class_names, *answers, ids=examples.ids)
    return folder


@pytest.fixture(scope="module")
def page(run, examples):
    assert training.write_report(run, examples) == str(run / "report.html")
    return (run / "report.html").read_text(encoding="utf-8")


def softmax(logits):
    powers = np.exp(np.float64(logits) - np.float64(logits).max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_it_is_one_page_that_needs_nothing(page):
    check_alone(page)
    assert len(page.encode()) < 1_000_000
    tree = parse(page)
    assert all(attributes["alt"] for attributes in tree.attributes("img"))
    for attributes in tree.attributes("img"):
        picture = tf.io.decode_image(base64.b64decode(attributes["src"].partition(",")[2]))
        assert picture.shape[0] > 20 and picture.numpy().std() > 1


def test_the_result_is_that_of_numpy(page, answers):
    labels, logits = answers
    rows = parse(page).table("measure", "value")
    right = int((logits.argmax(axis=1) == labels).sum())
    interval = scipy.stats.binomtest(right, COUNT).proportion_ci(method="wilson")
    ends = f"{interval.low:.1%} to {interval.high:.1%}"
    assert rows["accuracy"] == [f"{right / COUNT:.1%}", f"{right} of 60; 95 % interval {ends}"]
    probabilities = softmax(logits)
    assert rows["loss"][0] == f"{-np.log(probabilities[np.arange(COUNT), labels]).mean():.4f}"
    confidence, hits = probabilities.max(axis=1), logits.argmax(axis=1) == labels
    error = 0.0
    for low in np.arange(15) / 15:
        inside = (confidence > low) & (confidence <= low + 1 / 15)
        if inside.any():
            error += inside.mean() * abs(hits[inside].mean() - confidence[inside].mean())
    assert rows["calibration error"][0] == f"{error:.1%}"
    assert f"{100 * abs(confidence.mean() - hits.mean()):.1f} points" in parse(page).words
    bins = parse(page).table("probability", "examples")
    assert sum(int(row[0]) for row in bins.values()) == COUNT


def test_confusions_and_classes_are_counted_one_by_one(page, answers, examples):
    labels, logits = answers
    names, said = examples.class_names, logits.argmax(axis=1)
    tree = parse(page)
    pairs = tree.table("class → taken for", "examples")
    expected = {}
    for label, answer in zip(labels, said, strict=True):
        if label != answer:
            key = f"{names[label]} → {names[answer]}"
            expected[key] = expected.get(key, 0) + 1
    assert {key: int(row[0]) for key, row in pairs.items()} == expected
    counts = [int(row[0]) for row in pairs.values()]
    assert len(counts) > 2 and counts == sorted(counts, reverse=True)
    classes = tree.table("class", "examples", "right")
    for number, name in enumerate(names):
        asked = labels == number
        right = (said[asked] == number).mean()
        assert classes[name][:3] == [f"{asked.sum()}", f"{(said[asked] == number).sum()}",
                                     f"{right:.1%}"]  # fmt: skip
    shares = [float(row[2].rstrip("%")) for row in classes.values()]
    assert shares == sorted(shares)


def test_the_worst_mistakes_are_shown(page, answers, examples):
    labels, logits = answers
    probabilities, said = softmax(logits), logits.argmax(axis=1)
    wrong = [i for i in np.argsort(-probabilities.max(axis=1)) if said[i] != labels[i]]
    assert len(wrong) > report_examples.MISTAKES
    shown = wrong[: report_examples.MISTAKES]
    tree = parse(page)
    alarms = [f"Says {examples.class_names[said[i]]}, {probabilities[i].max():.0%}" for i in shown]
    assert [text for text in tree.text_of("p") if text.startswith("Says ")] == alarms
    raw = [x for x, _ in examples.as_numpy_iterator()]
    alts = [a["alt"] for a in tree.attributes("img") if a["alt"].startswith("Example 0-")]
    seen = [i for i in shown if raw[i]["image"]]
    assert alts == [
        f"Example {examples.ids[i]}: {examples.class_names[labels[i]]}, taken for "
        f"{examples.class_names[said[i]]}"
        for i in seen
    ]
    picked = training.pick_examples(examples, logits)["mistakes"]
    assert 0 < len(seen) < len(shown) and "no picture" in tree.words and "no text" in tree.words
    for i, example in zip(shown, picked, strict=True):
        assert example["text"] == raw[i]["text"].decode()
        if raw[i]["image"]:
            small = tf.io.decode_image(raw[i]["image"]).numpy().mean(axis=(0, 1))
            drawn = tf.io.decode_jpeg(example["image"]).numpy().mean(axis=(0, 1))
            np.testing.assert_allclose(drawn, small, atol=3)


def test_what_was_trained_and_how_to_go_on(page, run):
    tree = parse(page)
    rows = tree.table("part", "what it is")
    assert rows["model"] == ["some_model"]
    assert rows["image encoder"] == ["some_preset; 9,000 parameters, frozen"]
    assert rows["learned in all"] == ["1,000 of 10,000 parameters (10.00%)"]
    assert rows["how"] == ["3 epochs of AdamW"] and rows["seed"] == ["0"]
    assert "keras 3.15.1" in rows["versions"][0]
    assert tree.table("flag", "value")["--epochs"] == ["3"]
    steps = {
        step: [cell.replace("\N{NO-BREAK SPACE}", " ") for cell in row]
        for step, row in tree.table("step", "time").items()
    }
    assert steps["encoding, before the first step"][0] == "1 min 0 s"
    assert steps["epochs"] == ["15.0 s", "4.00 s an epoch (median), the first 9.00 s"]
    assert steps["answering 60 examples"] == ["0.50 s", "120.0 examples a second"]
    blocks = tree.text_of("code")
    assert shlex.split(blocks[0].replace("\\\n", "")) == [
        "tatl-train", "--data=my pets.csv", f"--workdir={run}",
    ]  # fmt: skip
    assert any(f"tatl-export --workdir={run} --output=saved_models/pets/1" in b for b in blocks)
    assert any("tatl-client --server=localhost:8500 --model=pets" in b for b in blocks)
    assert "keras==3.15.1" in "".join(blocks) and "a" * 64 in "".join(blocks)
    counts = tree.table("split", "examples")
    assert counts["train"] == ["60", "20 to 20", "1 (1.7%)", "0 (0.0%)"]


def test_without_examples_there_are_no_pictures_of_them(run, tmp_path):
    path = training.write_report(run, path=tmp_path / "page.html")
    tree = parse(path.read_text(encoding="utf-8"))
    assert not any(a["alt"].startswith("Example") and a["src"].startswith("data:image/jpeg")
                   for a in tree.attributes("img"))  # fmt: skip
    assert "answers are wrong." in tree.words and not (tmp_path / "report.html").exists()


def test_examples_must_be_those_of_the_predictions(run):
    with pytest.raises(ValueError, match="`examples` must be those .* 60 examples, 60 predictions"):
        training.write_report(run, synthetic.examples(CLASSES, COUNT, seed=5))
    with pytest.raises(ValueError, match="each of 6 examples. Received: logits with 4 rows"):
        training.pick_examples(synthetic.examples(2, 6), np.zeros((4, 2)))


def test_many_classes_are_a_list_of_pairs_and_not_a_matrix(tmp_path):
    names = [f"class <{i}>" for i in range(120)]
    labels, logits = draw(120, 400, skill=2)
    write_run(tmp_path / "run", names, labels, logits)
    training.write_report(tmp_path / "run")
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    tree = parse(page)
    assert "120 classes are too many for a matrix" in tree.words
    assert not any("matrix" in attributes["alt"] for attributes in tree.attributes("img"))
    assert len(tree.table("class → taken for", "examples")) == 12
    asked = len(set(labels.tolist()))
    assert f"All {asked} classes" in tree.text_of("summary")
    assert f"{120 - asked} classes have no example here." in tree.words and 120 > asked


def test_a_solved_head_says_why_and_a_trial_run_what_it_is_worth(tmp_path):
    labels, logits = draw(2, 10, skill=50)
    metrics = write_run(tmp_path / "run", ["a", "b"], labels, logits, smoke=True)
    head = {"reason": "exact, asked for.", "solver": "exact"}
    training.write_report(tmp_path / "run", metrics=metrics | {"epochs": 0, "head": head})
    tree = parse((tmp_path / "run" / "report.html").read_text(encoding="utf-8"))
    assert "exact, asked for." in tree.text_of("p") and "How the head was chosen" in tree.words
    assert tree.words.count("No answer is wrong.") == 1
    (alarm,) = [text for text in tree.text_of("p") if "--smoke" in text]
    assert "the numbers mean nothing" in alarm


def test_predictions_come_back_as_they_were(tmp_path):
    labels, logits = draw(4, 7)
    path = tmp_path / "predictions.npz"
    ids = ["ä", "b/c.jpg", "", "d e", "5", "日本", "g"]
    training.write_predictions(path, ids, labels.tolist(), logits)
    found = training.read_predictions(path)
    assert found["ids"] == ids and found["logits"].dtype == np.float32
    np.testing.assert_array_equal(found["labels"], labels)
    np.testing.assert_array_equal(found["logits"], logits)
    with pytest.raises(ValueError, match="one for each of 7 rows. Received: 6 ids"):
        training.write_predictions(path, ids[:6], labels, logits)
    with pytest.raises(ValueError, match="from 0 to 3. Received: labels from 0 to 4"):
        training.write_predictions(path, ids, [0, 1, 2, 3, 4, 0, 0], logits)
    for contents in (b"", b"no archive", b"PK\x03\x04 cut"):
        write_whole(path, contents)
        with pytest.raises(ValueError, match="must be a file of predictions. Received: path='.*"):
            training.read_predictions(path)
    np.savez(path, ids=np.array([{"a": 1}], object), labels=[0], logits=[[0.0]])  # a pickle
    with pytest.raises(ValueError, match="file of predictions"):
        training.read_predictions(path)


@pytest.mark.parametrize(
    ("shape", "expected"), [((30, 60), (100, 200)), ((900, 300), (200, 67)), ((1, 1), (200, 200))]
)
def test_thumbnails_keep_their_proportions(shape, expected):
    pixels = np.full((*shape, 3), (10, 200, 90), np.uint8)
    small = report_examples.thumbnail(tf.io.encode_png(pixels).numpy())
    decoded = tf.io.decode_jpeg(small).numpy()
    assert decoded.shape[:2] == expected
    np.testing.assert_allclose(decoded.reshape(-1, 3).mean(axis=0), (10, 200, 90), atol=3)
    assert report_examples.thumbnail(b"no picture") is None


def test_names_of_folders_cannot_spoil_a_command(tmp_path):
    labels, logits = draw(2, 10)
    folder = tmp_path / "a run; rm -rf $HOME"
    write_run(folder, ["a", "b"], labels, logits)
    training.write_report(folder)
    blocks = parse((folder / "report.html").read_text(encoding="utf-8")).text_of("code")
    (serve,) = [block for block in blocks if "tatl-export" in block]
    assert "--output=saved_models/a-run--rm--rf--HOME/1" in serve
    assert re.search(r"tatl-evaluate --workdir='[^']+rm -rf \$HOME'", serve)


def test_durations():
    said = {0.0: "0.00 s", 9.994: "9.99 s", 59.94: "59.9 s", 60: "1 min 0 s", 3599.4: "59 min 59 s"}
    assert {value: report_setup.duration(value) for value in said} == said
    assert report_setup.duration(2 * 3600 + 60) == "2 h 1 min"


def test_loaded_examples_have_pictures_too(tmp_path):
    path = synthetic.write_manifest(str(tmp_path), 2, 20)
    examples = data.load(path, "test", verbose=False)
    logits = np.zeros((len(examples.ids), 2)) + [0, 1]
    picked = training.pick_examples(examples, logits)
    assert picked["labels"] == [int(label) for _, label in examples]
    assert [example["id"] for example in picked["some"]] == [
        examples.ids[picked["labels"].index(label)] for label in (0, 1)
    ]
