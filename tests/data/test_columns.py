"""Columns are found by name and content, or named, or ambiguous."""

import pandas
import pytest

from tatl_keras.data.columns import NAMES, choose

NOTHING = dict.fromkeys(NAMES)


def frame(**columns):
    return pandas.DataFrame(columns, dtype=str)


def found(table, **wanted):
    chosen = choose(table, NOTHING | wanted, "t.csv")
    return {role: column for role, column in chosen.items() if column}


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"path": ["a.jpg"], "caption": ["x"]}, {"image": "path", "text": "caption"}),
        ({"File Name": ["1"], "Class": ["x"]}, {"image": "File Name", "label": "Class"}),
        ({"whatever": ["a.PNG", "b.webp"]}, {"image": "whatever"}),
        ({"image": ["17"], "file": ["a.gif"]}, {"image": "file"}),
        ({"image": ["a.jpg"], "path": ["b.jpg"]}, {"image": "image"}),
        ({"url": ["https://x.org/a.jpg"], "text": ["x"]}, {"text": "text"}),
        ({"text": ["x"], "title": ["y"], "tags": ["z"]}, {"text": "text"}),
        ({"description": ["x"], "target": ["0"]}, {"text": "description", "label": "target"}),
        ({"text": ["x"], "fold": ["train"]}, {"text": "text", "split": "fold"}),
        ({"text": ["x", "y"], "fold": ["val", "Test"]}, {"text": "text", "split": "fold"}),
        ({"text": ["x"], "fold": ["3"]}, {"text": "text"}),
        (
            {"text": ["x"], "group": ["1"], "id": ["7"]},
            {"text": "text", "group": "group", "id": "id"},
        ),
        ({"path": ["", "a.bmp"], "label": ["", "b"]}, {"image": "path", "label": "label"}),
    ],
)
def test_detection(columns, expected):
    assert found(frame(**columns)) == expected


def test_named_columns_are_taken_and_free_the_others():
    table = frame(image=["a.jpg"], thumb=["b.jpg"], text=["x"], note=["y"])
    assert found(table, image="thumb", text="note") == {"image": "thumb", "text": "note"}
    assert found(table, image=False) == {"text": "text"}
    assert found(table, text=["text", "note"])["text"] == ["text", "note"]
    assert found(table, text="image", image="thumb")["text"] == "image"


@pytest.mark.parametrize(
    ("columns", "role", "names"),
    [
        ({"title": ["x"], "tags": ["y"]}, "text", "'title', 'tags'"),
        ({"class": ["x"], "category": ["y"]}, "label", "'class', 'category'"),
        ({"front": ["x.jpg"], "back": ["y.jpg"]}, "image", "'front', 'back'"),
    ],
)
def test_ambiguous(columns, role, names):
    with pytest.raises(ValueError, match=f"`{role}` must be named.*{role}=None.*t.csv has {names}"):
        found(frame(**columns))


def test_absent_columns():
    table = frame(image=["a.jpg"], caption=["x"])
    with pytest.raises(ValueError, match="`text` must be one of .*text='captoin'.*mean 'caption'"):
        found(table, text="captoin")
    with pytest.raises(
        ValueError, match="`label` must be one of .*'image', 'caption'.*label='zzz'"
    ):
        found(table, label="zzz")
    with pytest.raises(ValueError, match="text='y'"):
        found(table, text=["caption", "y"])
