"""`tatl-export`: nothing appears that does not answer as the model does."""

import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import flagsaver

from tatl_keras import data, serving
from tatl_keras.bin import common, export, exporting
from tatl_keras.serving import verification
from tests.bin.conftest import read_json, run_program, succeed


@pytest.fixture
def no_process(monkeypatch):
    """Answers in this process; a new one takes seconds and has its own test."""

    def ask(directory, inputs, outputs):
        return serving.load(directory).answer(inputs["image_bytes"], inputs["text"])

    monkeypatch.setattr(verification, "_ask_fresh_process", ask)


def log_loss(logits, labels):
    """Mean over rows, in float64, for any leading dimensions of temperatures."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return -logs[..., np.arange(len(labels)), labels].mean(axis=-1)


def test_it_exports_and_proves_it_in_a_new_process(trained, manifest, tmp_path):
    output = tmp_path / "saved_models" / "pets"
    outcome = succeed("export", f"--workdir={trained}", f"--output={output}", "--examples=3")
    assert f"Exported {trained} to {output}/1" in outcome.out
    assert "5 examples asked in a new process without Keras: largest difference" in outcome.out
    difference = float(outcome.out.split("largest difference ")[1].split()[0])
    assert difference <= 1e-5
    assert [path.name for path in output.iterdir()] == ["1"]
    about = read_json(output, "1", "MANIFEST.json")
    model = keras.models.load_model(trained / "model.keras")
    splits = data.load(str(manifest), ("train", "validation", "test"), verbose=False)
    logits = model.predict(splits[1], verbose=0).astype("float64")
    labels = np.array([int(label) for _, label in splits[1]])
    temperatures = about["temperature"] * np.geomspace(0.5, 2, 201)
    scaled = logits / temperatures[:, None, None]
    losses, doubt = log_loss(scaled, labels), 1 / (len(labels) + 1)
    even = np.mean([log_loss(scaled, np.full_like(labels, c)) for c in range(3)], axis=0)
    assert ((1 - doubt) * losses + doubt * even).argmin() == 100  # none on the grid is better
    effect = about["metrics"]["validation"]
    assert effect["num_examples"] == len(labels) and effect["same_label"] == 1
    assert effect["log_loss"] == pytest.approx(losses[100], abs=1e-5)
    assert effect["reference_log_loss"] == pytest.approx(log_loss(logits, labels), abs=1e-5)
    assert "  log-loss " in outcome.out
    picture = next((manifest.parent / "images").iterdir()).read_bytes()
    logits = model.predict({"image": [picture, b""], "text": ["", "something red"]}, verbose=0)
    found = serving.load(output / "1").predict([picture, b""], ["", "something red"])
    np.testing.assert_allclose(found, tf.nn.softmax(logits / about["temperature"]), atol=1e-6)
    assert str(trained) not in (output / "1/MANIFEST.json").read_text()
    assert about["training"]["flags"]["epochs"] == 4
    assert serving.lint(output / "1") == []


def test_a_wrong_export_is_not_kept(trained, tmp_path, no_process, monkeypatch):
    model = keras.models.load_model(trained / "model.keras")
    examples = [{"image": b"", "text": "something red"}, {"image": b"", "text": ""}]
    columns = {key: [e[key] for e in examples] for key in ("image", "text")}
    tampered = model.predict(columns, verbose=0)
    tampered[1, 0] += 0.01
    output = tmp_path / "1"
    output.mkdir()
    mark = output / "mark"
    mark.write_text("the good one")
    monkeypatch.setattr(model, "predict", lambda *_, **__: tampered)
    with pytest.raises(ValueError, match="a difference of 0.00.* in example 1. Do not serve it"):
        exporting.export_verified(model, output, examples, None, temperature=1.0, lossy=False)
    assert mark.read_text() == "the good one"
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


def test_versions_come_one_by_one_and_old_ones_go(trained, tmp_path, no_process):
    base = tmp_path / "pets"
    (base / "7").mkdir(parents=True)
    (base / "7/saved_model.pb").write_bytes(b"")
    shutil.copytree(base / "7", base / "8")
    config = 'model_config_list { config { name: "p" base_path: "/models/pets"'
    config += ' model_version_policy { specific { versions: 7 } }'
    config += ' version_labels { key: "stable" value: 7 } } }'
    (tmp_path / "models.config").write_text(config)
    words = [f"--workdir={trained}", f"--output={base}", "--nocalibrate", "--quantize", "--keep=1"]
    outcome = succeed("export", *words)
    assert f"to {base}/9" in outcome.out and "removed versions: 8" in outcome.out
    assert sorted(path.name for path in base.iterdir()) == ["7", "9"]
    about = read_json(base, "9", "MANIFEST.json")
    assert about["options"]["quantize"] is True and about["temperature"] == 1
    assert 0.5 < about["metrics"]["validation"]["same_label"] <= 1
    assert "  accuracy " in outcome.out and "to itself, loaded here" in outcome.out


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


def test_what_is_no_export_is_never_replaced(trained, tmp_path):
    (tmp_path / "3").mkdir()
    (tmp_path / "3/notes.txt").write_text("mine")
    (tmp_path / "saved_model.pb").write_bytes(b"")
    for output, message in (("3", "It is no export."), ("", "which is an export or a file.")):
        path = str(tmp_path / output)
        outcome = run_program("export", f"--workdir={trained}", f"--output={path}", "--overwrite")
        assert outcome.status == 1 and f"Received: {path!r}" in outcome.err
        assert message in outcome.err
    assert (tmp_path / "3/notes.txt").read_text() == "mine"


def test_examples_are_those_of_the_test_split_and_some_with_gaps(trained, manifest, capsys):
    config = read_json(trained, "config.json")
    with flagsaver.flagsaver():
        common.parse(["tatl-export", "--examples=2"], export)
        examples = exporting.examples(config, 2)
        config["flags"]["data"] = "gone.csv"
        made_up = exporting.examples(config, 2)
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
