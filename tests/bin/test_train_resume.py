"""`tatl-train` that was stopped, and the same command again."""

import os
import signal

import keras
import numpy as np
import pytest

from tatl_keras import models, training
from tatl_keras.data import synthetic
from tests.bin.conftest import read_json, run_program, succeed

MODEL = "--model=test_bert_text_only"


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return synthetic.write_manifest(str(tmp_path_factory.mktemp("data")), 3, 40)


@pytest.fixture
def words(manifest, tmp_path):
    return [MODEL, f"--data={manifest}", f"--workdir={tmp_path / 'run'}", "--epochs=3",
            "--batch_size=8", "--checkpoint_steps=2", "--validation_split=validation"]  # fmt: skip


@pytest.fixture
def stop_at(monkeypatch):
    """Lets something happen once a training has learned so many steps."""

    def arrange(steps, happen):
        def on_train_batch_end(callback, batch, logs=None):
            if callback.model.optimizer.iterations.numpy() == steps:
                happen()

        monkeypatch.setattr(training.FiniteLoss, "on_train_batch_end", on_train_batch_end)

    yield arrange
    monkeypatch.undo()


def weights(workdir):
    model = keras.saving.load_model(workdir / "model.keras")
    assert isinstance(model, models.TextAssistedClassifier)
    return [variable.numpy() for variable in (*model.weights, *model.optimizer.variables)]


def interrupt():
    raise KeyboardInterrupt


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


def test_stopped_twice_it_ends_as_if_it_had_not_been(words, stop_at, tmp_path):
    whole = [*words[:2], f"--workdir={tmp_path / 'whole'}", *words[3:]]
    succeed("train", *whole)
    stop_at(5, interrupt)
    assert run_program("train", *words).status == 130
    stop_at(9, terminate)
    stopped = run_program("train", *words)
    assert stopped.status == 75 and "Goes on with the unfinished run" in stopped.out
    assert len(os.listdir(tmp_path / "run" / "backup")) == 2
    stop_at(0, interrupt)
    outcome = succeed("train", *words)
    assert "Goes on with the unfinished run" in outcome.out
    for ours, theirs in zip(weights(tmp_path / "run"), weights(tmp_path / "whole"), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    rows = [training.read_history(tmp_path / name / "history.csv") for name in ("run", "whole")]
    assert rows[0] | {"seconds": 0} == rows[1] | {"seconds": 0}
    metrics = [read_json(tmp_path / name, "metrics.json") for name in ("run", "whole")]
    times = {"fit_seconds": 0, "seconds": {}}
    assert metrics[0] | times == metrics[1] | times
    assert not (tmp_path / "run" / "backup").exists()


def test_other_flags_do_not_go_on(words, stop_at, tmp_path):
    stop_at(3, interrupt)
    run_program("train", *words)
    stop_at(0, interrupt)
    other = run_program("train", *words, "--epochs=4", "--seed=1")
    assert other.status == 1
    assert "an unfinished run with --epochs=3, not 4, --seed=0, not 1" in other.err
    assert len(os.listdir(tmp_path / "run" / "backup")) == 1
    anew = succeed("train", *words, "--epochs=4", "--overwrite")
    assert "Goes on" not in anew.out
    assert len(training.read_history(tmp_path / "run" / "history.csv")["loss"]) == 4


def test_other_data_do_not_go_on(words, stop_at, tmp_path):
    manifest = synthetic.write_manifest(str(tmp_path), 3, 40)
    words = [*words, f"--data={manifest}"]
    stop_at(3, interrupt)
    run_program("train", *words)
    stop_at(0, interrupt)
    synthetic.write_manifest(str(tmp_path), 3, 41)
    other = run_program("train", *words)
    assert other.status == 1 and "Received: another" in other.err and "fingerprint" in other.err


def test_two_processes_do_not_share_a_workdir(words, tmp_path):
    with training.workdir.alone_in(tmp_path / "run"):
        outcome = run_program("train", *words)
    assert outcome.status == 1 and "in which another process is training" in outcome.err
    assert os.listdir(tmp_path / "run") == []
