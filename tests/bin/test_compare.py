"""`tatl-compare` on real runs, and the report that a training leaves."""

import os
import shutil

import numpy as np

from tatl_keras import training
from tests.bin.conftest import read_json, run_program, succeed
from tests.pages import check_alone, parse


def test_a_run_leaves_its_report_and_predictions(trained):
    metrics, found = (
        read_json(trained, "metrics.json"),
        training.read_predictions(trained / "predictions.npz"),
    )
    right = found["logits"].argmax(axis=1) == found["labels"]
    assert right.mean() == metrics["accuracy"] and len(found["ids"]) == metrics["num_examples"]
    page = (trained / "report.html").read_text(encoding="utf-8")
    check_alone(page)
    tree = parse(page)
    rows = tree.table("measure", "value")
    assert rows["accuracy"][0] == f"{metrics['accuracy']:.1%}"
    assert rows["loss"][0] == f"{metrics['loss']:.4f}"
    assert len(page.encode()) < 2_000_000
    last = os.stat(trained / "metrics.json").st_mtime_ns
    written = set(training.workdir.FILES) - {training.workdir.TEXTS}  # of models that write
    assert all(os.stat(trained / name).st_mtime_ns <= last for name in written)
    parts = read_json(trained, "config.json")["model"]["parts"]
    learned = read_json(trained, "config.json")["model"]["trainable_parameters"]
    assert sum(part["learned"] for part in parts.values()) == learned


def test_a_report_of_other_examples(trained, manifest, tmp_path):
    page = tmp_path / "page.html"
    words = [f"--workdir={trained}", "--split=train", f"--report={page}"]
    succeed("evaluate", *words, f"--data={manifest}")
    tree = parse(page.read_text(encoding="utf-8"))
    assert "asked about the 48 of the train split" in tree.words
    assert f"Asked: train of {manifest}." in tree.words
    again = run_program("evaluate", *words)
    assert again.status == 1 and f"--report must be a new file. Received: '{page}'" in again.err


def test_two_runs_are_compared(trained, tmp_path):
    other = tmp_path / "again"
    shutil.copytree(trained, other)
    found = training.read_predictions(trained / "predictions.npz")
    logits = np.eye(3)[found["labels"]]
    found |= {"logits": logits}
    training.write_predictions(other / "predictions.npz", **found)
    names = read_json(trained, "config.json")["model"]["class_names"]
    perfect = training.classification_metrics(found["labels"], logits, names)
    training.write_json(other / "metrics.json", read_json(trained, "metrics.json") | perfect)
    page = tmp_path / "compare.html"
    outcome = succeed("compare", trained, other, f"--output={page}")
    first, second = read_json(trained, "metrics.json")["accuracy"], 1.0
    for name, accuracy in (("pets", first), ("again", second)):
        line = next(row for row in outcome.out.splitlines() if row.startswith(f"{name} "))
        assert f"  {accuracy:.1%}  " in line
    assert f"{100 * (second - first):+.1f} points" in outcome.out and outcome.err == ""
    tree = parse(page.read_text(encoding="utf-8"))
    assert tree.text_of("h1") == ["2 runs side by side"]
    refused = run_program("compare", trained, f"--output={page}")
    assert refused.status == 1 and "--output must be a new file" in refused.err


def test_what_does_not_compare(trained, smoke_run, tmp_path):
    outcome = succeed("compare", trained, smoke_run)
    assert "warning: smoke is a trial run (--smoke)" in outcome.err
    assert "warning: smoke was asked about other test examples than pets" in outcome.err
    assert run_program("compare").status == 2
    refused = run_program("compare", tmp_path)
    assert refused.status == 1 and f"folders of tatl-train. Received: '{tmp_path}'" in refused.err


def test_smoke_compares_one(smoke_run, monkeypatch):
    from tatl_keras.bin import trained as runs

    monkeypatch.setattr(runs, "smoke_workdir", lambda stack, given: str(smoke_run))
    outcome = succeed("compare", "--smoke")
    metrics = read_json(smoke_run, "metrics.json")
    (line,) = outcome.out.splitlines()[1:]
    assert line.startswith(f"smoke  {metrics['accuracy']:.1%}  ")
