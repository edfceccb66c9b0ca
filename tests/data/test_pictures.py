"""Pictures are checked a few at a time, each once, in order."""

import threading

import numpy as np
import pandas
import pytest
import tensorflow as tf

from tatl_keras.data import pictures
from tatl_keras.data.pictures import FilePictures, StreamPictures


def png(value):
    return tf.io.encode_png(np.full((3, 4, 3), value, np.uint8)).numpy()


def test_few_arguments_are_held_at_a_time():
    drawn, done, most = 0, 0, 0
    lock = threading.Lock()

    def arguments():
        nonlocal drawn
        for i in range(1000):
            drawn += 1
            yield i

    def work(i):
        nonlocal done, most
        with lock:
            most = max(most, drawn - done)
            done += 1
        return -i

    assert pictures._parallel(work, arguments(), 1000, False) == [-i for i in range(1000)]
    assert most <= pictures._CHUNK


def test_a_picture_of_many_rows_is_looked_at_once(tmp_path, monkeypatch):
    (tmp_path / "1.png").write_bytes(png(1))
    (tmp_path / "2.png").write_bytes(b"?")
    seen = []
    real = pictures._look_at_file
    monkeypatch.setattr(
        pictures, "_look_at_file", lambda path, verify: seen.append(path) or real(path, verify)
    )
    rows = pandas.DataFrame({"image": ["1", "2", "1", "", "2"]}, index=[3, 5, 7, 8, 9])
    paths = {"1": str(tmp_path / "1.png"), "2": str(tmp_path / "2.png"), "": ""}
    errors, digests = FilePictures(paths).check(rows, "decode", progress=False)
    assert sorted(seen) == sorted(list(paths.values())[:2])
    assert list(errors) == [5, 9] and sorted(digests) == [3, 5, 7, 9]
    assert digests[3] == digests[7] != digests[5]
    assert FilePictures(paths).check(rows, None) == ({}, {})


@pytest.mark.parametrize("kept", [[0], [4], [0, 1, 2], [1, 3, 4], [0, 1, 2, 3, 4], [2, 3]])
def test_some_places_of_two_streams(kept):
    def stream(values):
        return lambda: tf.data.Dataset.from_tensor_slices([png(v) for v in values])

    source = StreamPictures([(stream([0, 1, 2]), 3), (stream([3, 4]), 2)])
    rows = pandas.DataFrame({"image": ["x"] * len(kept)}, index=kept)
    assert list(source.dataset(rows).as_numpy_iterator()) == [png(v) for v in kept]
    assert int(source.dataset(rows).cardinality()) == len(kept)
    errors, digests = source.check(rows, "decode", progress=False)
    assert not errors and list(digests) == kept


def test_a_bar_is_shown_when_it_takes_a_while(tmp_path, monkeypatch, capsys):
    asked = {}
    real = pictures.tqdm.tqdm
    monkeypatch.setattr(
        pictures.tqdm, "tqdm", lambda **kwargs: asked.update(kwargs) or real(**kwargs)
    )
    (tmp_path / "1.png").write_bytes(png(1))
    rows = pandas.DataFrame({"image": ["1"]})
    FilePictures({"1": str(tmp_path / "1.png")}).check(rows, "decode")
    assert asked["delay"] == 2 and not asked["disable"] and asked["total"] == 1
    assert "Checking" not in capsys.readouterr().err
