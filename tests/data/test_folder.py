"""Folders of classes, with captions beside the pictures and with splits."""

import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import data


def png(value):
    return tf.io.encode_png(np.full((3, 4, 3), value, np.uint8)).numpy()


def load(source, *args, **kwargs):
    return data.load(str(source), *args, verbose=False, **kwargs)


def make(root, files):
    for name, contents in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents if isinstance(contents, bytes) else contents.encode())
    return root


CATS = {
    "cat/1.png": png(1),
    "cat/1.txt": " grey \n",
    "cat/2.png": png(2),
    "cat/10.PNG": png(3),
    "dog/old/1.png": png(4),
    "dog/old/1.txt": "barks",
    "dog/2.png": png(5),
}


def test_classes_captions_and_order(tmp_path):
    found = load(make(tmp_path, CATS), "all")
    assert found.ids == ["cat/1.png", "cat/2.png", "cat/10.PNG", "dog/2.png", "dog/old/1.png"]
    got = [(x["image"].numpy(), x["text"].numpy().decode(), int(y)) for x, y in found]
    assert got == [
        (png(1), "grey", 0),
        (png(2), "", 0),
        (png(3), "", 0),
        (png(5), "", 1),
        (png(4), "barks", 1),
    ]
    assert found.class_names == ["cat", "dog"]
    assert found.summary["missing_text"] == 3 and found.summary["class_counts"]["cat"] == 3
    assert (
        found.summary["columns"]["text"]
        and load(tmp_path, "all", text=False).summary["missing_text"] == 5
    )


def test_a_trailing_slash_changes_nothing(tmp_path):
    make(tmp_path, CATS)
    assert load(f"{tmp_path}/", "all").ids == load(tmp_path, "all").ids


def test_other_files_are_passed_over_and_counted(tmp_path):
    more = {"notes.md": "x", "cat/.hidden.png": b"", ".git/cat/1.png": b"", "cat/99.txt": "orphan"}
    found = load(make(tmp_path, CATS | more), "all")
    assert len(found) == 5
    notes = " ".join(found.summary["notes"])
    assert "1 .txt files lie beside no picture" in notes and "1 files were passed over" in notes


def test_split_folders(tmp_path):
    files = {
        f"{split}/{name}": contents for split in ("train", "val") for name, contents in CATS.items()
    }
    make(tmp_path, files | {"test/cat/7.png": png(7), "attic/cat/8.png": png(8)})
    train, validation, test = load(tmp_path, ("train", "validation", "test"))
    assert len(train) == len(validation) == 5 and test.ids == ["test/cat/7.png"]
    assert train.ids[0] == "train/cat/1.png" and train.class_names == ["cat", "dog"]
    assert load(tmp_path, "test").class_names == ["cat", "dog"], "those of the training split"
    assert len(load(tmp_path, "all")) == 11


def test_a_class_called_train_is_a_class(tmp_path):
    vehicles = {f"{kind}/{i}.png": png(i) for kind in ("train", "bus") for i in range(5)}
    train, test = load(make(tmp_path, vehicles))
    assert train.class_names == ["bus", "train"] and (len(train), len(test)) == (8, 2)


def test_pictures_to_predict(tmp_path):
    make(tmp_path, {"a.png": png(1), "a.txt": "one", "sub/b.png": png(2)})
    found = load(tmp_path, "all", label=False)
    assert found.ids == ["a.png", "sub/b.png"]
    assert [x["text"].numpy() for x in found] == [b"one", b""]
    with pytest.raises(ValueError, match="row 1, id 'a.png': no label.*\n.*label=False"):
        load(tmp_path, "all")


def test_wrong_folders(tmp_path):
    with pytest.raises(ValueError, match="`source` must be a folder with pictures.*0 other files"):
        load(tmp_path)
    make(tmp_path, CATS)
    with pytest.raises(ValueError, match="`source` must be a manifest when columns.*label=…"):
        load(tmp_path, label="x")


def test_links_that_lead_back_are_not_followed(tmp_path):
    data.synthetic.write_manifest(str(tmp_path / "all"), 2, 4, format="folder")
    class_folder = tmp_path / "all" / "blue circle"
    (class_folder / "up").symlink_to(tmp_path / "all", target_is_directory=True)
    (class_folder / "self").symlink_to(class_folder, target_is_directory=True)
    (tmp_path / "all" / "green").symlink_to(class_folder, target_is_directory=True)
    found = data.load(str(tmp_path / "all"), "all", verbose=False)
    assert found.class_names == ["blue circle", "green", "red square"]
    assert found.summary["class_counts"] == {"blue circle": 2, "green": 2, "red square": 2}
