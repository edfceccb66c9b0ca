"""`tatl-train`: what it writes, that it repeats itself, what it refuses."""

import csv
import os
import platform
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import flagsaver

import tatl_keras
from tatl_keras import data, training, zoo
from tatl_keras.bin import common, fitting, records, train
from tatl_keras.data import synthetic
from tests.bin.conftest import read_json, read_lines, run_program, succeed

MODEL = "--model=test_efficientnet_bert_concat"


def refuse(*words):
    outcome = run_program("train", *words)
    assert outcome.status == 1 and outcome.out == ""
    return outcome.err


def history_of(workdir):
    history = training.read_history(workdir / "history.csv")
    return {name: values for name, values in history.items() if name != "seconds"}


def test_config_says_what_was_asked_of_what(trained, manifest):
    config = read_json(trained, "config.json")
    assert config["program"] == "tatl-train" and config["seed"] == 0 and not config["smoke"]
    assert config["command"][:2] == ["tatl-train", MODEL]
    flags = config["flags"]
    assert (flags["model"], flags["epochs"]) == ("test_efficientnet_bert_concat", 4)
    assert (flags["data"], flags["learning_rate"]) == (str(manifest), 0.001)
    assert set(flags) == {flag.name for flag in common.program_flags(train)}
    versions = config["versions"]
    assert versions["tatl_keras"] == tatl_keras.__version__
    assert versions["tensorflow"] == tf.__version__ and versions["keras"] == keras.__version__
    assert versions["python"] == platform.python_version() and "keras-hub" in versions
    splits = data.load(str(manifest), ("train", "validation", "test"), verbose=False)
    for role, examples in zip(("train", "validation", "test"), splits, strict=True):
        assert config["data"][role]["fingerprint"] == examples.summary["fingerprint"]
    assert config["model"]["class_names"] == synthetic.class_names(3)


def test_parameters_are_counted(trained):
    model = keras.models.load_model(trained / "model.keras")
    config = read_json(trained, "config.json")["model"]
    assert config["parameters"] == model.count_params()
    width = model.image_encoder.output_dim + model.text_encoder.output_dim
    assert config["trainable_parameters"] == (width + 1) * 3
    assert config["encoders"]["image"] == {"preset": None, "frozen": True}


def test_history_has_a_row_an_epoch(trained):
    with open(trained / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    expected = {"epoch", "seconds", "loss", "accuracy", "val_loss", "val_accuracy"}
    assert set(rows[0]) == expected
    assert all(float(row["seconds"]) > 0 for row in rows)
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])


def test_curves_are_a_picture(trained):
    pixels = tf.io.decode_png(tf.io.read_file(str(trained / "curves.png"))).numpy()
    assert pixels.shape[0] > 300 and pixels.shape[1] > 600 and pixels.std() > 5


def test_metrics_are_those_of_the_saved_model_on_the_test_split(trained, manifest, tmp_path):
    metrics = read_json(trained, "metrics.json")
    written = tmp_path / "test.jsonl"
    words = [f"--model={trained}", f"--data={manifest}", "--split=test", f"--output={written}"]
    succeed("predict", *words)
    with open(manifest, newline="") as file:
        truth = {row["id"]: row["label"] for row in csv.DictReader(file)}
    rows = read_lines(written)
    right = [truth[row["id"]] == row["label"] for row in rows]
    assert len(rows) == metrics["num_examples"] == 6
    assert metrics["accuracy"] == pytest.approx(np.mean(right))
    assert metrics["epochs"] == 4 and metrics["split"] == "test" and metrics["fit_seconds"] > 0


def test_the_majority_is_that_of_the_training_split():
    examples = synthetic.examples(2, 4, missing_text=0)
    model = zoo.build("test_efficientnet_image_only", 2, class_names=examples.class_names)
    metrics, *_ = records.measure(model, examples, {"blue circle": 1, "red square": 9})
    assert metrics["majority"] == {"class": "red square", "accuracy": 0.5}
    one_sided = examples.skip(1).take(1)  # a red square
    one_sided.ids, one_sided.class_names = examples.ids[1:2], examples.class_names
    metrics, *_ = records.measure(model, one_sided, {"blue circle": 4, "red square": 4})
    assert metrics["majority"] == {"class": "red square", "accuracy": 1.0}


def test_it_prints_the_result_and_what_comes_next(trained):
    printed = (trained / ".printed").read_text()
    metrics = read_json(trained, "metrics.json")
    assert f"test accuracy          {metrics['accuracy']:.1%}" in printed
    assert f"always the same class  {metrics['majority']['accuracy']:.1%}" in printed
    for command in ("evaluate --workdir=", "predict --model=", "export --workdir="):
        assert f"tatl-{command}{trained}" in printed
    assert f"--output=saved_models/{trained.name}/1" in printed


def test_the_same_seed_gives_the_same_losses_and_another_seed_others(trained, manifest, tmp_path):
    words = [MODEL, f"--data={manifest}", "--validation_split=validation", "--epochs=4"]
    words += ["--learning_rate=0.001"]
    succeed("train", *words, f"--workdir={tmp_path}/same")
    succeed("train", *words, f"--workdir={tmp_path}/other", "--seed=1")
    assert history_of(tmp_path / "same") == history_of(trained)
    assert history_of(tmp_path / "other")["loss"] != history_of(trained)["loss"]


def test_flags_reach_the_model_and_training_stops_early(manifest, tmp_path):
    succeed(
        "train",
        *(
            "--model=test_efficientnet_bert_gated",
            f"--data={manifest}",
            f"--workdir={tmp_path}/run",
        ),
        *("--unfreeze=image", "--unfreeze_last_n=1", "--model_args=hidden_dim=5"),
        *("--sequence_length=9", "--image_size=24", "--learning_rate=0", "--epochs=9"),
        *("--validation_split=validation", "--early_stopping_patience=1"),
    )
    assert read_json(tmp_path, "run", "metrics.json")["epochs"] == 2
    model = keras.models.load_model(tmp_path / "run" / "model.keras")
    assert not model.image_encoder.frozen and model.image_encoder.unfrozen_last_n == 1
    assert model.text_encoder.frozen and model.fusion.hidden_dim == 5
    assert model.preprocessor.sequence_length == 9
    assert tuple(model.preprocessor.image_converter.image_size) == (24, 24)
    assert float(model.optimizer.learning_rate) == 0.0


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--model_args=a=1,b=0.5,c=word,d=none,e=true"],
         {"a": 1, "b": 0.5, "c": "word", "d": None, "e": True}),
        (["--image_preset=none", "--text_preset=hf://a/b"],
         {"image_preset": None, "text_preset": "hf://a/b"}),
        (["--image_size=48", "--seed=3"], {"image_size": (48, 48), "seed": 3}),
        ([], {"seed": 0}),
    ],
)  # fmt: skip
def test_what_is_not_said_is_left_to_the_model(monkeypatch, words, expected):
    given = {}

    def build(name, num_classes, **arguments):
        given.update(arguments)
        raise ValueError("seen")

    monkeypatch.setattr(zoo, "build", build)
    with flagsaver.flagsaver():
        common.parse(["tatl-train", MODEL, *words], train)
        with pytest.raises(ValueError, match="seen"):
            train.build(2)
    assert given == {"seed": 0} | expected


def test_a_run_that_diverges_ends_with_an_error_and_is_unfinished(manifest, tmp_path):
    workdir = tmp_path / "run"
    words = [MODEL, f"--data={manifest}", f"--workdir={workdir}", "--epochs=3"]
    outcome = run_program("train", *words, "--learning_rate=1e38")
    assert outcome.status == 1
    assert "The loss must be finite. Received: loss=" in outcome.err
    assert "whose examples are ['" in outcome.err and "a smaller learning rate" in outcome.err
    assert not (workdir / "metrics.json").exists()
    assert "unfinished run with --learning_rate=1e+38, not None" in refuse(*words)


def test_a_finished_workdir_is_refused_untouched(trained, manifest):
    before = {p.name: p.stat().st_mtime_ns for p in trained.iterdir()}
    message = refuse(MODEL, f"--data={manifest}", f"--workdir={trained}")
    assert f"Received: workdir='{trained}', which holds a finished run" in message
    assert before == {p.name: p.stat().st_mtime_ns for p in trained.iterdir()}


def test_a_foreign_workdir_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    message = refuse("--smoke", f"--workdir={tmp_path}")
    assert "which holds other files (notes.txt)" in message
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model=resnet50_bert_concatt"], "Did you mean resnet50_bert_concat"),
        ([MODEL, "--data=nowhere.csv"], "`source` must exist. Received: source='nowhere.csv'"),
        ([MODEL, "--label_column=clas"], "Received: label='clas'"),
        ([MODEL, "--where=label"], "--where must be column=value. Received: 'label'"),
        ([MODEL, "--model_args=x"], "--model_args must be name=value,name=value. Received: 'x'"),
        ([MODEL, "--model_args=hiden_dim=3"], "hiden_dim=3"),
        ([MODEL, "--image_preset=nowhere/preset"], "preset='nowhere/preset'"),
        (["--model=test_efficientnet_image_only", "--unfreeze=text"],
         "--unfreeze must name encoders of test_efficientnet_image_only. Received: text"),
    ],
)  # fmt: skip
def test_errors_of_values(manifest, tmp_path, words, message):
    words = [f"--data={manifest}", f"--workdir={tmp_path}/run", *words]
    text = refuse(*words)
    assert message in text and "\ntatl-train: " in f"\n{text}"
    assert "Traceback" not in text
    assert not list((tmp_path / "run").glob("*")) if (tmp_path / "run").exists() else True


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--unfreeze=pictures"], "Received: ['pictures']"),
        (["--unfreeze_last_n=2"], "Received: --unfreeze_last_n=2 alone"),
        (["--early_stopping_patience=3"], "Received: 3 alone"),
    ],
)
def test_errors_of_flags_that_do_not_go_together(words, message):
    outcome = run_program("train", MODEL, "--data=x.csv", "--workdir=run", *words)
    assert outcome.status == 2 and message in outcome.err
    assert not os.path.exists("run")


def test_bad_rows_are_listed(manifest, tmp_path):
    copy = tmp_path / "bad.csv"
    lines = manifest.read_text().replace("images/", f"{manifest.parent}/images/").splitlines()
    lines[3] = "missing.png,text,red square,x3"
    copy.write_text("\n".join(lines) + "\n")
    words = [MODEL, f"--data={copy}", f"--workdir={tmp_path}/run", "--epochs=1"]
    message = refuse(*words)
    assert "bad.csv has 1 bad rows among 60" in message and "id 'x3'" in message
    with flagsaver.flagsaver():
        common.parse(["tatl-train", *words, "--on_bad=skip"], train)
        splits = train._load_splits()
    assert list(splits) == ["train", "test"]
    assert splits["train"].summary["skipped"][0]["id"] == "x3"


def test_smoke_needs_a_new_workdir_too_unless_told(smoke_run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(smoke_run, copy)
    (copy / "notes.txt").write_text("mine")
    message = refuse("--smoke", f"--workdir={copy}")
    assert f"workdir='{copy}', which holds a finished run" in message
    words = ["--smoke", f"--workdir={copy}", "--overwrite", "--model=test_bert_text_only"]
    succeed("train", *words)
    assert (copy / "notes.txt").read_text() == "mine"
    assert read_json(copy, "config.json")["model"]["name"] == "test_bert_text_only"


def test_smoke_needs_nothing_and_leaves_nothing(tmp_path):
    outcome = succeed("train", "--smoke", "--model=vit_b16_bert_joint")
    assert "smoke: vit_b16_bert_joint with vit_b16 by test_image, bert_base by" in outcome.out
    assert "synthetic accuracy" in outcome.out and "Written to" not in outcome.out
    assert list(tmp_path.iterdir()) == []


def test_smoke_keeps_the_kind_of_a_network_that_learns():
    outcome = succeed("train", "--smoke", "--model=sasa_resnet26")
    assert "smoke: sasa_resnet26 with sasa_resnet26 by test_sasa (tiny, random)" in outcome.out


def test_smoke_builds_every_kind_of_model_in_the_zoo(monkeypatch, tmp_path):
    kinds = {}
    for name in zoo.list_models(task="classify"):
        spec = zoo.spec(name)
        kinds[spec.image is None, spec.text in (None, "lstm"), spec.fusion] = name
    built = {}

    def record(model, splits, workdir, config, **options):
        built[model.name] = config["model"]["parameters"]
        return {}

    monkeypatch.setattr(fitting, "fit_and_record", record)
    with flagsaver.flagsaver():
        common.parse(["tatl-train", "--smoke"], train)
        for name in kinds.values():
            train.smoke(str(tmp_path), name)
    assert set(built) == set(kinds.values()) and len(built) >= 9
    assert max(built.values()) < 2_000_000


def test_tensorboard_logs_hold_the_history(trained):
    history = history_of(trained)
    for part, prefix in (("train", ""), ("validation", "val_")):
        (file,) = (trained / "logs" / part).iterdir()
        found = {}
        for event in tf.compat.v1.train.summary_iterator(str(file)):
            for value in event.summary.value:
                assert value.metadata.plugin_data.plugin_name == "scalars"
                number = float(tf.make_ndarray(value.tensor))
                found.setdefault(value.tag, []).append((event.step, number))
        for metric in ("loss", "accuracy"):
            steps, numbers = zip(*found[f"epoch_{metric}"], strict=True)
            assert steps == (1, 2, 3, 4)
            np.testing.assert_allclose(numbers, history[prefix + metric], rtol=1e-6)
