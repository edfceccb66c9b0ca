"""Files of checkpoints: what comes back, what is noticed, what stays."""

import errno
import os

import ml_dtypes
import numpy as np
import pytest

from tatl_keras._files import UNFINISHED
from tatl_keras.training import checkpoint

STATE = {
    "step": 3,
    "best": float("inf"),
    "scalar": np.float32(0.1),
    "nested": [{"weights": np.arange(6, dtype="float32").reshape(2, 3)}, None, "text"],
    "counter": np.asarray(7, np.int64),
    "seed": np.array([1, 2**32 - 1], np.uint32),
    "half": np.array([1.5, -2.0], ml_dtypes.bfloat16),
}


def write(folder, step, keep=2):
    return checkpoint.write_checkpoint(folder, {"step": step, "w": np.full(9, step)}, keep)


def test_every_bit_comes_back(tmp_path):
    path = checkpoint.write_checkpoint(tmp_path / "new" / "folder", STATE, 1)
    found, read = checkpoint.read_newest(tmp_path / "new" / "folder")
    assert read == path and found["step"] == 3 and found["best"] == float("inf")
    assert np.float32(found["scalar"]) == STATE["scalar"] and found["nested"][1:] == [None, "text"]
    np.testing.assert_array_equal(found["nested"][0]["weights"], STATE["nested"][0]["weights"])
    for name in ("counter", "seed", "half"):
        assert found[name].dtype == STATE[name].dtype and found[name].shape == STATE[name].shape
        np.testing.assert_array_equal(found[name], STATE[name])


def test_the_newest_ones_stay(tmp_path):
    paths = [write(tmp_path, step) for step in range(5)]
    assert [path for _, path in checkpoint.list_checkpoints(tmp_path)] == paths[-2:]
    assert checkpoint.read_newest(tmp_path)[0]["step"] == 4
    checkpoint.delete_checkpoints(tmp_path)
    assert not tmp_path.exists()
    assert checkpoint.read_newest(tmp_path) == (None, None)


@pytest.mark.parametrize("damage", ["cut", "bit", "empty"])
def test_a_damaged_one_is_named_and_the_one_before_is_read(tmp_path, damage, caplog):
    write(tmp_path, 1)
    path = write(tmp_path, 2)
    with open(path, "rb") as file:
        contents = bytearray(file.read())
    if damage == "bit":
        contents[len(contents) // 2] ^= 1
    kept = {"cut": contents[:-5], "bit": contents, "empty": b""}[damage]
    with open(path, "wb") as file:
        file.write(kept)
    assert checkpoint.read_newest(tmp_path)[0]["step"] == 1
    assert path in caplog.text and "SHA-256" in caplog.text


def test_if_all_are_damaged_nothing_begins_anew_unasked(tmp_path):
    for step in (1, 2):
        with open(write(tmp_path, step), "ab") as file:
            file.write(b"x")
    with pytest.raises(ValueError, match=f"{str(tmp_path)!r}, where all 2 are damaged"):
        checkpoint.read_newest(tmp_path)


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    path = write(tmp_path, 1)

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=f"No space left on device while .* {path} is kept") as error:
        write(tmp_path, 2, keep=1)
    assert error.value.errno == errno.ENOSPC
    assert os.listdir(tmp_path) == [os.path.basename(path)]


def test_what_a_killed_process_left_is_removed(tmp_path):
    write(tmp_path, 1)
    (tmp_path / f"{UNFINISHED}abc").write_bytes(b"half")
    (tmp_path / "notes.txt").write_text("mine")
    checkpoint.delete_checkpoints(tmp_path)
    assert os.listdir(tmp_path) == ["notes.txt"]
