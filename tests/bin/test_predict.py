"""`tatl-predict`: the model's own numbers, from every form of model and every form of input."""

import json
import os

import numpy as np
import pandas
import pytest
import tensorflow as tf

from tatl_keras import data
from tests.bin.conftest import read_lines, run_program, succeed

REPORTED = 1e-6  # probabilities are written with six decimals


pytestmark = pytest.mark.usefixtures("models_loaded_once")


@pytest.fixture(scope="module")
def model(trained, load_once):
    return load_once(str(trained))


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    directory = tmp_path_factory.mktemp("export") / "pets" / "1"
    model.export(directory)
    return directory


@pytest.fixture(scope="module")
def pictures(manifest):
    return sorted((manifest.parent / "images").iterdir())[:3]


def probabilities(model, images, texts):
    logits = model.predict({"image": [str(i) for i in images], "text": texts}, verbose=0)
    return tf.nn.softmax(logits).numpy()


def check(rows, expected, names):
    assert len(rows) == len(expected)
    for row, values in zip(rows, expected, strict=True):
        order = np.argsort(-values)
        assert row["label"] == names[order[0]]
        found = [top["probability"] for top in row["top"]]
        np.testing.assert_allclose(found, values[order[: len(found)]], atol=REPORTED * 2)
        assert [top["label"] for top in row["top"]] == [names[i] for i in order[: len(found)]]


def test_a_manifest_without_labels(model, trained, manifest, tmp_path):
    bare = manifest.parent / "bare.tsv"
    table = pandas.read_csv(manifest)[["image", "text", "id"]]
    table.head(10).to_csv(bare, sep="\t", index=False)
    written = tmp_path / "out.jsonl"
    words = [f"--model={trained}", f"--data={bare}", f"--output={written}", "--top_k=2"]
    outcome = succeed("predict", *words, "--batch_size=4")
    assert outcome.out == ""
    examples = data.load(str(bare), "all", label=False, verbose=False)
    rows = read_lines(written)
    assert [row["id"] for row in rows] == examples.ids
    expected = tf.nn.softmax(model.predict(examples, verbose=0)).numpy()
    check(rows, expected, model.class_names)


def test_every_form_of_model_says_the_same(model, trained, exported, pictures, tmp_path):
    texts = ["something red", "", "a kind of circle"]
    expected = probabilities(model, pictures, texts)
    preset = tmp_path / "preset"
    model.save_to_preset(preset)
    for path in (trained / "model.keras", preset, exported):
        words = [*pictures, *(f"--text={text}" for text in texts), "--format=jsonl", "--top_k=3"]
        outcome = succeed("predict", f"--model={path}", *words)
        rows = [json.loads(line) for line in outcome.out.splitlines()]
        assert [row["id"] for row in rows] == [str(picture) for picture in pictures]
        evidence = [row["evidence"] for row in rows]
        assert evidence == ["image+text", "image", "image+text"]
        names = model.class_names
        if path == exported and rows[0]["label"].isdecimal():  # an export that has no names
            names = ["0", "1", "2"]
        check(rows, expected, names)


def test_pictures_with_and_without_a_flag_and_twice(model, trained, pictures):
    words = [f"--image={pictures[0]}", pictures[1], pictures[1], pictures[1]]
    outcome = succeed("predict", f"--model={trained}", *words, "--format=jsonl")
    rows = [json.loads(line) for line in outcome.out.splitlines()]
    second = str(pictures[1])
    assert [r["id"] for r in rows] == [str(pictures[0]), second, f"{second}#2", f"{second}#3"]
    expected = probabilities(model, [pictures[0], *[second] * 3], [""] * 4)
    check(rows, expected, model.class_names)


def test_texts_alone(model, trained):
    words = ["--text=something red", "--text=something blue", "--format=jsonl"]
    rows = succeed("predict", f"--model={trained}", *words).out.splitlines()
    expected = probabilities(model, ["", ""], ["something red", "something blue"])
    check([json.loads(row) for row in rows], expected, model.class_names)


def test_pictures_that_cannot_be_read_are_reported_at_the_end(trained, pictures, tmp_path):
    (tmp_path / "broken.png").write_bytes(pictures[0].read_bytes()[:60])
    (tmp_path / "page.jpg").write_text("<html>")
    words = ["broken.png", pictures[0], "page.jpg", "absent.png", "--format=jsonl"]
    outcome = run_program("predict", f"--model={trained}", *words)
    assert outcome.status == 1
    rows = [json.loads(line) for line in outcome.out.splitlines()]
    assert [row["id"] for row in rows] == [
        *(str(pictures[0]), "broken.png", "page.jpg", "absent.png")
    ]
    assert "error" not in rows[0] and all("label" not in row for row in rows[1:])
    assert "cannot be decoded" in rows[1]["error"]
    assert "not a JPEG, PNG" in rows[2]["error"] and "no such file" in rows[3]["error"]
    assert outcome.err.endswith("3 of 4 examples could not be read\n")


def test_nothing_that_can_be_read(trained):
    outcome = run_program("predict", f"--model={trained}", "absent.png")
    assert outcome.status == 1
    fields = outcome.out.splitlines()[1].split(maxsplit=4)
    assert fields[:4] == ["absent.png", "-", "-", "-"] and fields[4].startswith("no such file")
    assert outcome.err == "1 of 1 examples could not be read\n"


def test_bad_rows_of_a_manifest_are_reported(trained, manifest, tmp_path):
    rows = manifest.read_text().replace("images/", f"{manifest.parent}/images/").splitlines()[:4]
    (tmp_path / "new.csv").write_text("\n".join([*rows, "gone.png,text,red square,x"]) + "\n")
    written = tmp_path / "out.jsonl"
    words = [f"--model={trained}", "--data=new.csv", f"--output={written}"]
    outcome = run_program("predict", *words)
    assert outcome.status == 1 and "1 of 4 examples could not be read" in outcome.err
    assert read_lines(written)[-1]["id"] == "x" and "gone.png" in read_lines(written)[-1]["error"]


def test_the_table_is_aligned(model, trained, pictures):
    outcome = succeed("predict", f"--model={trained}", pictures[0], "--top_k=2")
    header, row = outcome.out.splitlines()
    values = probabilities(model, [pictures[0]], [""])[0]
    first, second = np.argsort(-values)[:2]
    names = model.class_names
    assert header.split() == ["id", "label", "probability", "evidence", "then"]
    assert row[header.index("label") :].startswith(names[first])
    assert row[header.index("probability") :].startswith(f"{values[first]:.3f}")
    assert row[header.index("then") :] == f"{names[second]} {values[second]:.3f}"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--model must be given."),
        (["--model=run"], "there must be pictures, --text or --data."),
        (["--model=run", "--data=a.csv", "b.png"], "Received: --data=a.csv and 'b.png'"),
        (["--model=run", "a.png", "b.png", "--text=x"], "Received: 2 pictures, 1 texts"),
    ],
)
def test_wrong_command_lines(words, message):
    outcome = run_program("predict", *words)
    assert outcome.status == 2 and message in outcome.err


def test_models_that_are_none(tmp_path, exported):
    (tmp_path / "weights.h5").write_text("")
    (tmp_path / "empty").mkdir()
    for path, message in (
        ("nowhere", "Received: 'nowhere', which does not exist"),
        ("weights.h5", "must be a .keras file when it is a file. Received: 'weights.h5'"),
        ("empty", "Received: 'empty', which holds none of them."),
        (exported.parent, f"Did you mean {os.path.join(exported.parent, '1')!r}?"),
    ):
        outcome = run_program("predict", f"--model={path}", "--text=x")
        assert outcome.status == 1 and message in outcome.err


def test_with_a_runner(exported, manifest, pictures, tmp_path):
    table = pandas.read_csv(manifest).head(12)
    table["image"] = [str(manifest.parent / name) for name in table["image"]]
    (tmp_path / "broken.png").write_bytes(pictures[0].read_bytes()[:60])
    table.loc[5, "image"] = str(tmp_path / "broken.png")
    table.to_csv("new.csv", index=False)
    words = [f"--model={exported}", "--data=new.csv", "--top_k=2", "--batch_size=4"]
    runner = ["--runner=DirectRunner", "--", "--direct_num_workers=1"]
    outcome = run_program("predict", *words, "--output=out", *runner)
    assert outcome.status == 1 and "1 of 12 examples could not be read" in outcome.err
    assert outcome.out.startswith("12 rows in 1 files, ")
    found = read_lines("out/predictions-00000-of-00001.jsonl")
    alone = run_program("predict", *words, "--output=alone.jsonl")
    assert alone.status == 1
    wanted = {row["id"]: row for row in read_lines("alone.jsonl")}
    assert [row["id"] for row in found] == [str(name) for name in table["id"]]
    for row in found:
        want = wanted[row["id"]]
        assert ("error" in row) is ("error" in want) is (row["id"] == str(table["id"][5]))
        assert row.get("label") == want.get("label")
        if "label" in row:
            values = [[top["probability"] for top in one["top"]] for one in (row, want)]
            np.testing.assert_allclose(*values, atol=2 * REPORTED)
    outcome = run_program("predict", *words, "--output=out", *runner)
    assert outcome.status == 1 and "`output` must hold no predictions" in outcome.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["cat.jpg"], "those of Beam stand behind -- and come with --runner. Received: 'cat.jpg'"),
        (["--output=out"], "--data must be given."),
        (["--data=a.csv", "--output=o", "--format=table"], "--runner must come without --format"),
        (["--data=a.csv", "--output=o", "--smoke"], "--runner must come without --smoke"),
    ],
)
def test_wrong_command_lines_with_a_runner(words, message):
    outcome = run_program("predict", "--model=run", "--runner=DirectRunner", *words)
    assert outcome.status == 2 and message in outcome.err


def test_smoke(smoke_run):
    words = [f"--model={smoke_run}", "--smoke", "--format=jsonl", "--top_k=2"]
    rows = [json.loads(line) for line in succeed("predict", *words).out.splitlines()]
    assert len(rows) == 16
    assert all(sum(top["probability"] for top in r["top"]) == pytest.approx(1) for r in rows)
