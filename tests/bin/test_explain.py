"""`tatl-explain`: one example and many, what is written, and what is refused."""

import json
import re

import numpy as np
import pandas
import pytest
import tensorflow as tf

from tatl_keras.bin import explain
from tests.bin.conftest import read_json, read_lines, run_program, succeed
from tests.training import explanations

FAST = ("--regions=2x2", "--samples=64", "--nograde")

pytestmark = pytest.mark.usefixtures("models_loaded_once")


@pytest.fixture(scope="module")
def model(trained, load_once):
    return load_once(str(trained))


@pytest.fixture(scope="module")
def pictures(manifest):
    return sorted((manifest.parent / "images").iterdir())[:3]


def test_one_example(model, trained, pictures):
    text = "a big red square"
    words = [f"--model={trained}", pictures[0], f"--text={text}", *FAST]
    outcome = succeed("explain", *words, "--output=why.png")
    assert tf.io.decode_png(tf.io.read_file("why.png")).shape[-1] in (3, 4)
    found = read_json("why.json")
    logits = model.predict({"image": [str(pictures[0])], "text": [text]}, verbose=0)[0]
    p = tf.nn.softmax(logits).numpy()
    assert (found["id"], found["label"], found["text"]) == (str(pictures[0]), None, text)
    assert found["picture"] == str(pictures[0])
    np.testing.assert_allclose(found["probabilities"], p, atol=1e-5)
    assert found["class_name"] == model.class_names[int(p.argmax())]
    assert np.shape(found["regions"]) == (2, 2)
    total = found["baseline"] + np.sum(found["regions"]) + np.sum(found["word_values"])
    assert total == pytest.approx(p.max(), abs=1e-4)
    head, picture, of_text, written = outcome.out.splitlines()
    assert head.startswith(f"{pictures[0]}: {found['class_name']} {p.max():.1%}")
    assert picture.split()[0] == "picture" and of_text.split()[0] == "text"
    assert written == "Written: why.png, why.json"
    strongest = max(found["modality"], key=lambda name: abs(found["modality"][name]))
    line = {"image": picture, "text": of_text}[strongest].replace("−", "-")
    assert float(line.split()[1]) == pytest.approx(found["modality"][strongest], abs=0.006)


def test_text_alone_and_another_class(model, trained):
    other = model.class_names[2]
    words = [f"--model={trained}", "--text=blue", f"--class_name={other}", *FAST]
    outcome = succeed("explain", *words)
    assert outcome.out.startswith(f"text 1: {other} ")
    assert re.search(r"^picture +- +not there", outcome.out, re.MULTILINE)
    assert "Written" not in outcome.out


def test_a_class_by_its_number(model, trained):
    outcome = succeed("explain", f"--model={trained}", "--text=blue", "--class_name=1", *FAST)
    assert outcome.out.startswith(f"text 1: {model.class_names[1]} ")


def test_a_number_that_is_a_name():
    assert [explain._known(one, ["7", "1"]) for one in ("7", "0", "cat", None)] == [
        "7", 0, "cat", None
    ]  # fmt: skip
    assert explain._known("1", None) == 1


def test_refused_values_name_no_part():
    reason = "It looks alike with random weights."
    grades = {"shapley": explanations.grade(reason)}
    said = explain._summary("a.png", explanations.make("one dog", grades=grades))
    assert said.count(f"values of parts are refused: {reason}") == 2
    assert "“dog”" not in said and "top" not in said
    assert "“dog”" in explain._summary("a.png", explanations.make("one dog"))


def test_a_run_with_its_test_split(model, trained, manifest):
    outcome = succeed("explain", f"--workdir={trained}", "--output=out/why", "--count=1", *FAST)
    config = read_json(trained, "config.json")
    lines = read_lines("out/why/explanations.jsonl")
    page = open("out/why/gallery.html", encoding="utf-8").read()
    chosen = {name: line for line in lines for name in line["sections"]}
    assert 1 <= len(lines) <= 4 and {"changed", "uncertain"} <= set(chosen)
    rows = pandas.read_csv(manifest).set_index("id", drop=False)
    for line in lines:
        row = rows.loc[line["id"]]
        assert line["label"] == row["label"]
        assert line["picture"] == str(manifest.parent / row["image"])
        assert f"{line['id']}: " in page and line["id"] in outcome.out
        x = {"image": [line["picture"]], "text": [line["text"]]}
        p = tf.nn.softmax(model.predict(x, verbose=0)[0]).numpy()
        np.testing.assert_allclose(line["probabilities"], p, atol=1e-5)
    right = sum(r["correct"] for r in read_json(trained, "metrics.json")["per_class"].values())
    count = config["data"]["test"]["num_examples"]
    assert f"{right} of {count} answers are right" in page
    if right == count:
        assert "No answer is wrong." in page
    assert "Written: out/why/gallery.html, out/why/explanations.jsonl" in outcome.out
    outcome = run_program("explain", f"--workdir={trained}", "--output=out/why", *FAST)
    assert outcome.status == 1 and "'out/why/gallery.html' is there" in outcome.err


def test_a_folder_without_labels(trained, pictures, tmp_path):
    (tmp_path / "new").mkdir()
    for number, picture in enumerate(pictures[:2]):
        (tmp_path / "new" / f"{number}.png").write_bytes(picture.read_bytes())
    (tmp_path / "new" / "0.txt").write_text("something red")
    words = [f"--model={trained}", "--data=new", "--output=out", "--count=2", *FAST]
    outcome = succeed("explain", *words)
    assert "without labels: " in outcome.err
    lines = read_lines("out/explanations.jsonl")
    assert [(line["id"], line["label"], line["text"]) for line in lines] == [
        ("0.png", None, "something red"),
        ("1.png", None, ""),
    ]
    assert lines[0]["sections"] == ["changed", "uncertain"]
    assert "The examples have no labels" in open("out/gallery.html", encoding="utf-8").read()


@pytest.mark.parametrize("words", [["--nograde"], ["cat.jpg", "--text=red", "--output=cat.svg"]])
def test_smoke(smoke_run, words, tmp_path):
    outcome = succeed("explain", f"--model={smoke_run}", "--smoke", "--count=1", *words)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == (["cat.json", "cat.svg"] if len(words) > 1 else [])
    assert ("chosen as" in outcome.out) == (len(words) == 1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["cat.jpg"], "either --model or --workdir must be given."),
        (["--model=a", "--workdir=b"], "either --model or --workdir must be given."),
        (["--model=a"], "--output must be given."),
        (["--model=a", "--data=b.csv", "c.jpg"], "Received: --data=b.csv and 'c.jpg'"),
        (["--model=a", "b.jpg", "c.jpg"], "--data takes more. Received: 2 pictures, 0 texts"),
        (["--model=a", "b.jpg", "--regions=3"], "such as 3x3. Received: '3'"),
        (["--model=a", "b.jpg", "--regions=0x3"], "such as 3x3. Received: '0x3'"),
    ],
)
def test_wrong_command_lines(words, message):
    outcome = run_program("explain", *words)
    assert outcome.status == 2 and message in outcome.err


def test_what_is_refused(trained, pictures, tmp_path):
    export = tmp_path / "export" / "1"
    export.mkdir(parents=True)
    (export / "saved_model.pb").write_bytes(b"")
    (tmp_path / "old.json").write_text("{}")
    run = f"--model={trained}"
    for words, message in (
        ([f"--model={export}", "--text=a"], "an exported model, which does not show"),
        ([f"--model={export.parent}", "--text=a"], "Give the run it was exported from."),
        ([run, "--text=a", "--output=a.jpg"], "must end in .png, .pdf, .svg for one example"),
        ([run, "--text=a", "--output=old.png"], "'old.json' is there. --overwrite replaces it."),
        ([run, "--text=a", "--output=no/a.png"], "must be in a folder that exists"),
        ([run, "gone.png"], "gone.png: no such file"),
        (["--workdir=gone", "--output=a"], "--workdir must be a folder that tatl-train wrote."),
        (
            [run, "--data=gone.csv", "--output=a"],
            "`source` must exist. Received: source='gone.csv'",
        ),
        ([run, pictures[0], "--class_name=zebra", *FAST], "zebra"),
    ):
        outcome = run_program("explain", *words)
        assert outcome.status == 1 and message in outcome.err, outcome.err
    assert json.loads((tmp_path / "old.json").read_text()) == {}
