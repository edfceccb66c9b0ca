"""Files that are no tables, and files on other file systems."""

import numpy as np
import pandas
import pytest
import tensorflow as tf

from tatl_keras import data


def png(value):
    return tf.io.encode_png(np.full((3, 4, 3), value, np.uint8)).numpy()


def load(source, *args, **kwargs):
    return data.load(source, *args, verbose=False, **kwargs)


def put(path, contents):
    with tf.io.gfile.GFile(path, "wb") as file:
        file.write(contents)


def test_other_file_systems():
    """TensorFlow's own in-memory file system stands for gs:// and the like."""
    put("ram://pets/images/1.png", png(1))
    put("ram://pets/a.csv", b"image,label\nimages/1.png,cat\nram://pets/images/1.png,dog\n")
    found = load("ram://pets/a.csv", "all")
    assert [x["image"].numpy() for x, _ in found] == [png(1), png(1)]
    with pytest.raises(ValueError, match="no such file: ram://pets/images/2.png"):
        put("ram://pets/b.csv", b"image,label\nimages/2.png,cat\n")
        load("ram://pets/b.csv", "all")


def test_folders_on_other_file_systems():
    for folder in ("cat", "dog"):
        tf.io.gfile.makedirs(f"ram://tree/{folder}")
    for name in ("cat/1.png", "cat/2.png", "dog/1.png"):
        put(f"ram://tree/{name}", png(3))
    put("ram://tree/dog/1.txt", b"barks")
    found = load("ram://tree", "all")
    assert found.ids == ["cat/1.png", "cat/2.png", "dog/1.png"]
    assert [x["text"].numpy() for x, _ in found] == [b"", b"", b"barks"]


def test_wrong_sources(tmp_path):
    with pytest.raises(FileNotFoundError, match="`source` must exist.*nowhere.csv"):
        load(str(tmp_path / "nowhere.csv"))
    (tmp_path / "a.xlsx").write_text("")
    with pytest.raises(ValueError, match=r"`source` must be a file ending in .csv.*a.xlsx"):
        load(str(tmp_path / "a.xlsx"))
    (tmp_path / "a.csv").write_text("label,size\ncat,3\n")
    with pytest.raises(ValueError, match=r"`source` must have a column.*\['label', 'size'\]"):
        load(str(tmp_path / "a.csv"))


@pytest.mark.parametrize(
    ("name", "contents", "message"),
    [
        ("a.csv", b"text,label\nred, soft,cat\n", "a.csv, row 1 must have 2 cells.*3 cells"),
        ("a.csv", b'text,label\n"open,cat\n', "a.csv, line 2 must be well quoted"),
        ("a.csv", b"text,text\na,b\n", "columns of different names"),
        ("a.csv", b"text,label\n", "a.csv must have rows"),
        ("a.csv", b"", "a.csv must have rows"),
        ("a.csv", b"text,label\n\xff\xfe,cat\n", "a.csv must be UTF-8"),
        ("a.jsonl", b'{"text": "a"}\n{"text": \n', "a.jsonl, line 2 must be a JSON object"),
        ("a.jsonl", b"[1, 2]\n", r"a.jsonl, line 1 must be a JSON object. Received: \[1, 2\]"),
        ("a.jsonl", b'{"text": {"de": "a"}}\n', "Cells of a.jsonl .* dict in column 'text'"),
    ],
)
def test_files_that_are_no_tables(tmp_path, name, contents, message):
    (tmp_path / name).write_bytes(contents)
    with pytest.raises(ValueError, match=message):
        load(str(tmp_path / name), "all", label=False)


def test_pictures_inside_a_parquet_file_are_refused(tmp_path):
    rows = pandas.DataFrame({"image": [png(1)], "text": ["a"], "label": ["cat"]})
    rows.to_parquet(tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="bytes in column 'image'.*write them to files"):
        load(str(tmp_path / "a.parquet"))
