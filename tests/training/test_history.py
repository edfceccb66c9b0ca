"""The epochs of a run as CSV, and as TensorBoard logs that need no tensorboard package."""

import sys

import numpy as np
import pytest
import tensorflow as tf

from tatl_keras.training import HistoryLog, read_history

EPOCHS = [
    {"loss": 0.75, "accuracy": 0.5, "val_loss": 0.875, "val_accuracy": 0.25},
    {"loss": np.float32(0.5), "accuracy": 0.625, "val_loss": 0.75, "val_accuracy": 0.5},
]


def write(log, epochs=EPOCHS):
    for number, values in enumerate(epochs):
        log.on_epoch_begin(number)
        log.on_epoch_end(number, values)


def scalars(folder):
    found = {}
    for file in folder.iterdir():
        for event in tf.compat.v1.train.summary_iterator(str(file)):
            for value in event.summary.value:
                assert value.metadata.plugin_data.plugin_name == "scalars"
                found[value.tag, event.step] = float(tf.make_ndarray(value.tensor))
    return found


def test_csv_has_a_row_an_epoch(tmp_path):
    path = tmp_path / "history.csv"
    write(HistoryLog(path))
    lines = path.read_text().splitlines()
    assert lines[0] == "epoch,seconds,loss,accuracy,val_loss,val_accuracy"
    assert [line.split(",")[0] for line in lines[1:]] == ["1", "2"]
    history = read_history(path)
    assert history["val_loss"] == [0.875, 0.75] and history["accuracy"] == [0.5, 0.625]
    assert len(history["seconds"]) == 2 and "epoch" not in history


def test_csv_is_there_after_each_epoch_and_begins_anew(tmp_path):
    path = tmp_path / "history.csv"
    write(HistoryLog(path), EPOCHS[:1])
    assert read_history(path)["loss"] == [0.75]
    write(HistoryLog(path), EPOCHS[1:])
    assert read_history(path)["loss"] == [0.5]


def test_a_metric_that_comes_later_or_stays_away_does_not_break_the_table(tmp_path):
    path = tmp_path / "history.csv"
    write(HistoryLog(path), [{"loss": 1.0, "val_loss": 2.0}, {"loss": 0.5, "new": 3.0}])
    history = read_history(path)
    assert history["loss"] == [1.0, 0.5] and history["val_loss"] == [2.0]


@pytest.mark.parametrize("installed", [True, False])
def test_tensorboard_logs_need_no_tensorboard(tmp_path, monkeypatch, installed):
    if not installed:
        for name in [n for n in sys.modules if n.split(".")[0] == "tensorboard"]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "tensorboard", None)
    log = HistoryLog(log_dir=str(tmp_path))
    write(log)
    log.on_train_end()
    assert scalars(tmp_path / "train") == {
        ("epoch_loss", 1): 0.75,
        ("epoch_loss", 2): 0.5,
        ("epoch_accuracy", 1): 0.5,
        ("epoch_accuracy", 2): 0.625,
    }
    assert scalars(tmp_path / "validation")["epoch_loss", 1] == 0.875


def test_nothing_is_written_where_nothing_was_asked_for(tmp_path):
    write(HistoryLog())
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_is_an_empty_history(tmp_path):
    (tmp_path / "history.csv").write_text("epoch,loss\n")
    assert read_history(tmp_path / "history.csv") == {}
