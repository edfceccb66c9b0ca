"""Each kind of bad row is found before training; it stops the load or is left out and counted."""

import io

import numpy as np
import pytest
from PIL import Image

from tatl_keras import data
from tatl_keras.data.checks import Bad, handle
from tatl_keras.data.pictures import look_at

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)


def encoded(fmt, **options):
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, fmt, **options)
    return buffer.getvalue()


def load(source, *args, **kwargs):
    return data.load(str(source), *args, verbose=False, **kwargs)


@pytest.fixture
def make(tmp_path):
    """Writes `a.csv` and its pictures: `make("image,label", "1.png,cat", …)`."""

    def write(*lines, pictures=("1.png", "2.png", "3.png", "4.png")):
        for name in pictures:
            (tmp_path / name).write_bytes(encoded("PNG"))
        (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
        return tmp_path / "a.csv"

    return write


def test_all_kinds_in_one_message(make):
    path = make(
        "id,image,text,label,split",
        "a,1.png,x,cat,train",
        "b,,,cat,train",
        "a,2.png,x,cat,train",
        "c,3.png,x,,train",
        "d,4.png,x,dog,test",
        "e,4.png,x,cat,",
        "f,nowhere.png,x,cat,test",
        "g,4.png,x,cat,test",
    )
    with pytest.raises(ValueError) as error:
        load(path)
    lines = str(error.value).splitlines()
    assert lines[0].startswith("a.csv has 6 bad rows among 8 (1 neither picture nor text, ")
    assert [line.strip() for line in lines[1:7]] == [
        "row 2, id 'b': neither picture nor text",
        "row 3, id 'a': duplicate id: as row 1",
        "row 4, id 'c': no label",
        "row 5, id 'd': unknown label: 'dog' is not among cat",
        "row 6, id 'e': no split",
        f"row 7, id 'f': unreadable picture: 'nowhere.png' no such file: {path.parent}/nowhere.png",
    ]
    assert "on_bad='skip'" in lines[7] and "class_names=[…]" in lines[7]

    train, test = load(path, on_bad="skip")
    assert train.ids == ["a"] and test.ids == ["g"]
    assert len(train) == 1 and len(list(train)) == 1
    assert train.summary["skipped_counts"] == {
        "neither picture nor text": 1,
        "duplicate id": 1,
        "no label": 1,
        "unknown label": 1,
        "no split": 1,
        "unreadable picture": 1,
    }
    assert train.summary["skipped"][1] == {"row": 3, "id": "a", "reason": "duplicate id: as row 1"}


def test_only_the_splits_asked_for_are_checked(make):
    path = make("image,label,split", "1.png,cat,train", "gone.png,cat,test", "2.png,cat,test")
    assert load(path, "train").ids == ["1.png"]
    with pytest.raises(ValueError, match="row 2, id 'gone.png': unreadable picture"):
        load(path, "test")


def test_the_first_ten_and_the_count(make):
    path = make("image,label", *[f"gone{i}.png,cat" for i in range(25)], "1.png,cat")
    with pytest.raises(ValueError) as error:
        load(path, "all")
    text = str(error.value)
    assert "25 bad rows among 26" in text and "(25 unreadable picture)" in text
    assert text.count("\n  row ") == 10 and "row 10," in text and "row 11," not in text
    assert "… and 15 more" in text
    assert load(path, "all", on_bad="skip").ids == ["1.png"]


@pytest.mark.parametrize("fmt", ["PNG", "JPEG", "GIF", "BMP", "WEBP"])
@pytest.mark.parametrize("kept", [0.3, 0.8])
def test_truncated_pictures(make, tmp_path, fmt, kept):
    path = make("image,label", "1.png,cat", f"cut.{fmt.lower()},cat")
    contents = encoded(fmt)
    cut = tmp_path / f"cut.{fmt.lower()}"
    cut.write_bytes(contents)
    assert len(load(path, "all")) == 2
    cut.write_bytes(contents[: int(kept * len(contents))])
    with pytest.raises(ValueError, match="row 2, .*unreadable picture.*cut.*cannot be decoded: .+"):
        load(path, "all")
    assert len(load(path, "all", verify="header")) == 2
    assert len(load(path, "all", verify=None)) == 2


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"", "the file is empty"),
        (b"<html>404</html>", "not a JPEG, PNG, GIF, BMP or WebP picture"),
        (b"%PDF-1.7", "not a JPEG"),
    ],
)
@pytest.mark.parametrize("verify", ["decode", "header"])
def test_files_that_are_no_pictures(make, tmp_path, contents, message, verify):
    path = make("image,label", "1.png,cat", "odd.png,cat")
    (tmp_path / "odd.png").write_bytes(contents)
    with pytest.raises(ValueError, match=f"row 2, .*'odd.png' {message}"):
        load(path, "all", verify=verify)
    assert len(load(path, "all", verify=None)) == 2


def test_folders_and_web_addresses_as_pictures(make, tmp_path):
    (tmp_path / "sub.png").mkdir()
    path = make("image,label", "sub.png,cat", "https://x.org/1.png,cat", "1.png,cat")
    with pytest.raises(ValueError, match="'sub.png' cannot be read: .*\n.*download the picture"):
        load(path, "all")


def test_a_file_named_is_not_a_missing_picture(make):
    path = make("image,text,label", "gone.png,x,cat", ",x,cat")
    with pytest.raises(ValueError, match="1 bad rows among 2"):
        load(path, "all")
    found = load(path, "all", on_bad="skip")
    assert found.summary["missing_image"] == 1 and len(found) == 1


def test_skipping_does_not_move_other_rows_between_splits(make, tmp_path):
    names = [f"{i}.png" for i in range(40)]
    path = make("image,label", *[f"{n},cat" for n in names], pictures=names)
    train, test = load(path)
    (tmp_path / train.ids[0]).write_bytes(b"")
    (tmp_path / test.ids[0]).write_bytes(b"")
    trusting = load(path, verify=None)
    checked = load(path, on_bad="skip")
    assert [d.ids for d in trusting] == [train.ids, test.ids]
    assert [d.ids for d in checked] == [train.ids[1:], test.ids[1:]]


def test_duplicate_ids_can_be_ignored(make):
    path = make("id,image,label", "a,1.png,cat", "a,2.png,cat")
    with pytest.raises(ValueError, match="duplicate id: as row 1\nMend.*id=False"):
        load(path, "all")
    assert load(path, "all", id=False).ids == ["1.png", "2.png"]


def test_one_picture_with_several_texts_gets_different_ids(make):
    path = make("image,text,label", "1.png,x,cat", "1.png,y,cat", ",z,cat", ",z,cat")
    ids = load(path, "all").ids
    assert ids[:2] == ["1.png", "1.png#2"] and ids[3] == f"{ids[2]}#2"


def test_labels_that_only_the_test_split_has(make):
    path = make("image,label,split", "1.png,cat,train", "2.png,dog,test", "3.png,cat,test")
    with pytest.raises(ValueError, match="row 2, .*unknown label: 'dog' is not among cat"):
        load(path)
    with pytest.raises(ValueError, match="'dog' is not among cat"):
        load(path, "test")
    assert load(path, "test", class_names=["cat", "dog"]).summary["class_counts"]["dog"] == 1


def test_empty_splits_always_stop(make):
    path = make("image,label,split", "1.png,cat,train", "gone.png,cat,test")
    with pytest.raises(ValueError, match="`splits` must .* 'test', which is empty in a.csv.*1}"):
        load(path, on_bad="skip")
    path = make("image,label", "1.png,cat")
    with pytest.raises(ValueError, match="'test', which is empty"):
        load(path)


def test_absent_labels(make):
    path = make("image,kind", "1.png,cat")
    with pytest.raises(ValueError, match="`label` must be named, or False .*label=None.*a.csv"):
        load(path)
    assert len(load(path, "all", label=False)) == 1


def test_handle_by_hand(caplog):
    bad = [Bad(3, "x", "no label"), Bad(None, "y", "unknown id", "in splits['test']")]
    with pytest.raises(
        ValueError,
        match="t has 2 bad rows among 9.*\n  row 3, id 'x': no label\n"
        "  id 'y': unknown id: in splits",
    ):
        handle(bad, "error", "t", 9)
    handle([], "error", "t", 9)


def test_a_damaged_byte_in_a_png_is_seen():
    contents = bytearray(encoded("PNG"))
    contents[len(contents) // 2] ^= 0xFF
    assert look_at(bytes(contents), "decode")[0].startswith("cannot be decoded")
    assert look_at(bytes(contents), "header") == (None, str(len(contents)))
