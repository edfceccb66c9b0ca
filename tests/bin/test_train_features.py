"""tatl-train with features in a folder, with augmented views, and with a solved head."""

import csv
import json

import keras
import numpy as np
import pytest

from tatl_keras.data import synthetic
from tests.bin.conftest import read_json, run_program, succeed
from tests.pages import parse

MODEL = "--model=test_efficientnet_bert_concat"


def _files(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}


def test_a_second_run_encodes_nothing(manifest, tmp_path):
    flags = [MODEL, f"--data={manifest}", "--epochs=2", f"--feature_cache={tmp_path / 'features'}"]
    succeed("train", *flags, f"--workdir={tmp_path / 'first'}")
    written = set(_files(tmp_path / "features"))
    assert written
    succeed("train", *flags, f"--workdir={tmp_path / 'second'}", "--seed=0")
    assert set(_files(tmp_path / "features")) == written
    losses = [read_json(tmp_path / run / "metrics.json")["loss"] for run in ("first", "second")]
    assert losses[0] == losses[1]


def test_views_are_folders_of_their_own(manifest, tmp_path):
    cache = tmp_path / "features"
    flags = [MODEL, f"--data={manifest}", "--epochs=1", f"--feature_cache={cache}", "--views=2"]
    succeed("train", *flags, f"--workdir={tmp_path / 'run'}")
    described = [read_json(path) for path in cache.glob("*/space.json")]
    views = sorted(d["view"] for d in described if d["modality"] == "image" and "view" in d)
    plain = [d for d in described if d["modality"] == "image" and "view" not in d]
    assert views == [0, 1] and len(plain) == 1  # the test split is seen plain


def test_a_solved_head_is_recorded(manifest, tmp_path):
    texts = tmp_path / "classes.json"
    names = read_names(manifest)
    texts.write_text(json.dumps({name: [f"a {name}"] for name in names}), encoding="utf-8")
    workdir = tmp_path / "run"
    outcome = succeed(
        "train", MODEL, f"--data={manifest}", f"--workdir={workdir}", "--head_solver=exact",
        f"--class_texts={texts}", "--validation_split=validation",
        f"--feature_cache={tmp_path / 'features'}",
    )  # fmt: skip
    assert _files(tmp_path / "features")
    metrics = read_json(workdir / "metrics.json")
    assert metrics["head"]["solver"] == "exact" and metrics["epochs"] == 0
    assert metrics["head"]["reason"] in outcome.out
    header, row = (workdir / "history.csv").read_text(encoding="utf-8").splitlines()
    assert "val_loss" in header and row.startswith("1,")
    assert (workdir / "curves.png").stat().st_size > 10_000
    report = parse((workdir / "report.html").read_text(encoding="utf-8"))
    assert metrics["head"]["reason"] in report.text_of("p")
    assert "encoding and solving" in report.table("step", "time")
    again = succeed("evaluate", f"--workdir={workdir}")
    assert f"{metrics['accuracy']:.1%}" in again.out


def test_a_head_of_one_example_a_class_is_recorded(tmp_path):
    manifest = synthetic.write_manifest(str(tmp_path), 3, 12)
    with open(manifest, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    seen = set()
    for row in rows:  # the first example of each class to learn from, the others to test
        row["split"] = "test" if row["label"] in seen else "train"
        seen.add(row["label"])
    with open(manifest, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    workdir = tmp_path / "run"
    flags = [f"--data={manifest}", f"--workdir={workdir}", "--head_solver=auto"]
    outcome = succeed("train", MODEL, *flags)
    head = read_json(workdir / "metrics.json")["head"]
    assert head["num_examples"] == len(seen) and head["reason"] in outcome.out
    assert head["log_loss"] is None and head["accuracy"] is None  # no example could be left out
    report = parse((workdir / "report.html").read_text(encoding="utf-8"))
    assert head["reason"] in report.text_of("p")
    alternatives = [attributes.get("alt", "") for attributes in report.attributes("img")]
    assert alternatives and not any("penalty" in text for text in alternatives)


def read_names(manifest):
    with open(manifest, encoding="utf-8", newline="") as file:
        return sorted({row["label"] for row in csv.DictReader(file)})


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--head_solver=exact", "--views=2"], "Received: --head_solver=exact"),
        (["--head_solver=exact", "--unfreeze=image"], "Received: --head_solver=exact"),
        (["--feature_cache=none", "--views=2"], "Received: --feature_cache=none"),
        (["--head_solver=auto", "--class_texts=nowhere.json"], "nowhere.json"),
    ],
)
def test_flags_that_do_not_go_together(flags, said, manifest, tmp_path):
    workdir = f"--workdir={tmp_path / 'run'}"
    outcome = run_program("train", MODEL, f"--data={manifest}", workdir, *flags)
    assert outcome.status in (1, 2) and said in outcome.err


def test_a_fusion_that_is_not_linear_is_trained(manifest, tmp_path):
    outcome = run_program(
        "train", "--model=test_efficientnet_bert_gated", f"--data={manifest}",
        f"--workdir={tmp_path / 'run'}", "--head_solver=exact",
    )  # fmt: skip
    assert outcome.status == 1 and "--head_solver=sgd" in outcome.err


def test_a_head_of_class_texts_is_trained(manifest, tmp_path):
    flags = ["--epochs=1", "--model_args=head=class_texts", "--class_texts=names"]
    succeed("train", MODEL, f"--data={manifest}", f"--workdir={tmp_path / 'run'}", *flags)
    model = keras.saving.load_model(tmp_path / "run/model.keras")
    names = read_names(manifest)
    assert model.class_texts == {label: [name] for label, name in enumerate(names)}
    np.testing.assert_allclose(np.linalg.norm(model.head.embeddings, axis=1), np.ones(len(names)))
