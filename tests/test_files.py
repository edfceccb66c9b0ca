"""Files that are there whole or not at all."""

import os
import shutil
import subprocess

import pytest

from tatl_keras import _files


def test_a_file_is_written_and_replaced(tmp_path):
    path = tmp_path / "numbers"
    _files.write_whole(path, b"1")
    _files.write_whole(str(path), b"22")
    assert path.read_bytes() == b"22"
    assert os.listdir(tmp_path) == ["numbers"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_relative_path_is_of_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _files.write_whole("numbers", b"1")
    assert (tmp_path / "numbers").read_bytes() == b"1"


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="compares with sha256sum")
def test_the_sum_of_a_file_is_that_of_coreutils(tmp_path):
    path = tmp_path / "numbers"
    path.write_bytes(bytes(range(256)) * 5000)  # more than one buffer
    found = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True)
    assert _files.sha256_of(path) == found.stdout.split()[0]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_what_goes_wrong_leaves_the_old_file_alone(tmp_path, monkeypatch, step):
    path = tmp_path / "numbers"
    path.write_bytes(b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(OSError, match="No space left"):
        _files.write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["numbers"]
