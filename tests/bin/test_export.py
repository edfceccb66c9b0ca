"""`tatl-export`: nothing appears that does not answer as the model does."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import flagsaver

from tatl_keras import data, serving
from tatl_keras.bin import common, export
from tatl_keras.serving import verification
from tests.bin.conftest import read_json, run_program, succeed


@pytest.fixture
def no_process(monkeypatch):
    """Answers in this process; a new one takes seconds and has its own test."""

    def ask(directory, examples):
        loaded = serving.load(directory)
        images, texts = ([e[key] for e in examples] for key in ("image", "text"))
        return loaded.answer(images, texts)

    monkeypatch.setattr(verification, "_ask_fresh_process", ask)


def test_it_exports_and_proves_it_in_a_new_process(trained, manifest, tmp_path):
    output = tmp_path / "saved_models" / "pets" / "1"
    outcome = succeed("export", f"--workdir={trained}", f"--output={output}", "--examples=3")
    assert f"Exported {trained} to {output}" in outcome.out
    assert "5 examples asked in a new process without Keras: largest difference" in outcome.out
    difference = float(outcome.out.split("largest difference ")[1].split()[0])
    assert difference <= 1e-5
    assert [path.name for path in output.parent.iterdir()] == ["1"]
    model = keras.models.load_model(trained / "model.keras")
    picture = next((manifest.parent / "images").iterdir()).read_bytes()
    logits = model.predict({"image": [picture, b""], "text": ["", "something red"]}, verbose=0)
    found = serving.load(output).predict([picture, b""], ["", "something red"])
    np.testing.assert_allclose(found, tf.nn.softmax(logits), atol=1e-6)


def test_a_wrong_export_is_not_kept(trained, tmp_path, no_process):
    model = keras.models.load_model(trained / "model.keras")
    examples = [{"image": b"", "text": "something red"}, {"image": b"", "text": ""}]
    columns = {key: [e[key] for e in examples] for key in ("image", "text")}
    logits = model.predict(columns, verbose=0)
    output = tmp_path / "1"
    output.mkdir()
    mark = output / "mark"
    mark.write_text("the good one")
    tampered = logits.copy()
    tampered[1, 0] += 0.01
    with pytest.raises(ValueError, match="a difference of 0.00.* in example 1. Do not serve it"):
        export.export_verified(model, output, examples, tampered)
    assert mark.read_text() == "the good one"
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


def test_an_export_is_replaced_only_when_told(trained, tmp_path, no_process):
    output = tmp_path / "1"
    output.mkdir()
    (output / "saved_model.pb").write_bytes(b"")
    words = [f"--workdir={trained}", f"--output={output}"]
    outcome = run_program("export", *words)
    assert outcome.status == 1
    assert f"--output must be a new folder. Received: '{output}'. Choose the next" in outcome.err
    succeed("export", *words, "--overwrite")
    assert (output / "saved_model.pb").stat().st_size > 0


def test_a_folder_that_is_no_export_is_never_replaced(trained, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    words = [f"--workdir={trained}", f"--output={tmp_path}", "--overwrite"]
    outcome = run_program("export", *words)
    assert outcome.status == 1 and f"Received: '{tmp_path}'. It is no export." in outcome.err
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_examples_are_those_of_the_test_split_and_some_with_gaps(trained, manifest, capsys):
    config = read_json(trained, "config.json")
    with flagsaver.flagsaver():
        common.parse(["tatl-export", "--examples=2"], export)
        examples = export._examples(config)
        config["flags"]["data"] = "gone.csv"
        made_up = export._examples(config)
    splits = ("train", "validation", "test")
    test = data.load(str(manifest), splits, verbose=False)[2]
    pictures = [x["image"].numpy() for x, _ in test.take(2)]
    assert [e["image"] for e in examples] == [*pictures, b"", pictures[0]]
    assert examples[3]["text"] == "" and examples[2]["text"] == examples[0]["text"]
    assert len(made_up) == 4
    told = capsys.readouterr().err
    assert "(gone.csv): compared on made-up examples. --data names it." in told


def test_smoke_leaves_nothing(smoke_run, tmp_path, no_process):
    outcome = succeed("export", "--smoke", f"--workdir={smoke_run}")
    assert "largest difference" in outcome.out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--workdir and --output must be given."),
        (["--workdir=run"], "--output must be given."),
        (["--workdir=run", "--output=1", "2"], "there must be flags only. Received: '2'"),
    ],
)
def test_wrong_command_lines(words, message):
    outcome = run_program("export", *words)
    assert outcome.status == 2 and message in outcome.err
