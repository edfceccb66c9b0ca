"""`tatl-evaluate`: the same numbers again, other data, and what it refuses."""

import contextlib
import json
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import flagsaver

from tatl_keras import data, zoo
from tatl_keras.bin import common, evaluate, train
from tatl_keras.bin.trained import changed_since_training, load_split, smoke_workdir
from tatl_keras.data import synthetic
from tests.bin.conftest import read_json, run_program, succeed


def test_it_repeats_the_metrics_of_the_training(trained, tmp_path):
    written = tmp_path / "metrics.json"
    outcome = succeed("evaluate", f"--workdir={trained}", f"--output={written}")
    then, now = read_json(trained, "metrics.json"), read_json(written)
    for key in ("accuracy", "per_class", "confusion", "majority", "num_examples", "split"):
        assert now[key] == then[key]
    assert now["loss"] == pytest.approx(then["loss"], rel=1e-5)
    fingerprint = read_json(trained, "config.json")["data"]["test"]["fingerprint"]
    assert now["fingerprint"] == fingerprint
    assert f"test accuracy          {then['accuracy']:.1%}" in outcome.out
    for name, row in then["per_class"].items():
        assert f"{name:16}{row['count']:<10}{row['correct']:<7}{row['accuracy']:.1%}" in outcome.out
    assert "warning" not in outcome.err


def test_splits_are_those_of_the_training(trained):
    config = read_json(trained, "config.json")
    with flagsaver.flagsaver():
        common.parse(["tatl-evaluate"], evaluate)
        for split, count in (("train", 48), ("validation", 6), (None, 6), ("all", 60)):
            examples = load_split(config, split, verbose=False)
            assert len(examples.ids) == count
            if split in config["data"]:
                assert not changed_since_training(config, examples)
                then = config["data"][split]["fingerprint"]
                assert examples.summary["fingerprint"] == then


@pytest.mark.usefixtures("models_loaded_once")
def test_other_data_is_used_whole(trained, tmp_path):
    other = synthetic.write_manifest(str(tmp_path / "other"), 2, 10, seed=5)
    words = [f"--workdir={trained}", f"--data={other}", f"--output={tmp_path}/metrics.json"]
    outcome = succeed("evaluate", *words)
    metrics = read_json(tmp_path, "metrics.json")
    assert metrics["num_examples"] == 10 and metrics["split"] == "all"
    assert metrics["per_class"]["green triangle"] == {"count": 0, "correct": 0, "accuracy": None}
    assert "green triangle  0         0      -" in outcome.out


@pytest.mark.usefixtures("models_loaded_once")
def test_labels_the_model_does_not_know_are_an_error(trained, tmp_path):
    other = synthetic.write_manifest(str(tmp_path / "other"), 5, 10)
    outcome = run_program("evaluate", f"--workdir={trained}", f"--data={other}")
    assert outcome.status == 1
    assert "4 unknown label" in outcome.err and "is not among blue circle" in outcome.err


def test_data_that_changed_since_the_training_is_told(trained, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(trained, copy)
    config = read_json(copy, "config.json")
    config["data"]["test"]["fingerprint"] = "0" * 64
    (copy / "config.json").write_text(json.dumps(config))
    outcome = succeed("evaluate", f"--workdir={copy}")
    assert "warning: the examples are not those of the training any more" in outcome.err


def test_a_folder_without_a_run_is_refused(tmp_path):
    for workdir in (tmp_path, tmp_path / "nowhere"):
        outcome = run_program("evaluate", f"--workdir={workdir}")
        assert outcome.status == 1
        message = "--workdir must be a folder that tatl-train wrote. Received: "
        assert f"{message}'{workdir}'" in outcome.err


def test_an_unfinished_run_is_refused(trained, tmp_path):
    shutil.copy(trained / "config.json", tmp_path)
    outcome = run_program("evaluate", f"--workdir={tmp_path}")
    assert outcome.status == 1
    assert f"must hold a finished run. Received: '{tmp_path}'" in outcome.err


def test_the_table_names_the_class_most_often_taken_for():
    per_class = {
        "a": {"count": 4, "correct": 1, "accuracy": 0.25},
        "b": {"count": 1, "correct": 1, "accuracy": 1.0},
    }
    metrics = {
        "split": "test", "num_examples": 5, "accuracy": 0.4, "loss": 0.5, "per_class": per_class,
        "majority": {"class": "a", "accuracy": 0.8}, "confusion": [[1, 3], [0, 1]],
    }  # fmt: skip
    lines = evaluate._report(metrics).splitlines()
    assert lines[0] == "test accuracy          40.0%   2 of 5"
    assert lines[-2:] == [
        "a      4         1      25.0%     b (3)",
        "b      1         1      100.0%",
    ]


def test_smoke_uses_a_smoke_run_that_is_there(smoke_run):
    outcome = succeed("evaluate", "--smoke", f"--workdir={smoke_run}")
    assert "smoke:" not in outcome.out and "synthetic accuracy" in outcome.out
    assert f"{read_json(smoke_run, 'metrics.json')['accuracy']:.1%}" in outcome.out


@pytest.mark.parametrize("given", ["a real run", "an empty folder", "nothing", None])
def test_smoke_trains_its_own_otherwise(trained, smoke_run, monkeypatch, tmp_path, given):
    made = []

    def smoke(workdir, name):
        assert os.listdir(workdir) == [] and name in zoo.list_models()
        made.append(workdir)
        shutil.copytree(smoke_run, workdir, dirs_exist_ok=True)

    monkeypatch.setattr(train, "smoke", smoke)
    with contextlib.ExitStack() as stack:
        paths = {"a real run": trained, "an empty folder": tmp_path, "nothing": "nowhere"}
        path = str(paths[given]) if given else None
        assert [smoke_workdir(stack, path)] == made
        assert made != [str(trained)]
    assert not os.path.exists(made[0])


def test_the_loss_is_that_of_the_logits(trained, manifest, load_once):
    model = load_once(str(trained))
    splits = ("train", "validation", "test")
    test = data.load(str(manifest), splits, verbose=False)[2]
    labels = np.array([int(label) for _, label in test])
    logits = model.predict(test, verbose=0)
    loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits).numpy().mean()
    assert read_json(trained, "metrics.json")["loss"] == pytest.approx(float(loss), rel=1e-5)
