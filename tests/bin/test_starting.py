"""A starter manifest's rows, and what is said of them."""

import pytest

from tatl_keras.bin import starting
from tatl_keras.data import synthetic


def row(label, text="x", copy="", split="", image="a.png"):
    return {"image": image, "text": text, "label": label, "copy": copy, "split": split}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([row("a")] * 10 + [row("b")] * 10, []),
        ([row("a")] * 10, ["There is one class only, 'a'"]),
        ([row("a")] * 99 + [row("b")] * 10, []),
        ([row("a")] * 100 + [row("b")] * 10, ["'a' has 100 pictures and 'b' 10: compare"]),
        ([row("a")] * 10 + [row("b")] * 9, ["'b' has fewer than 10 pictures"]),
        (
            [row("a")] * 9 + [row("b")] * 9,
            ["Each of 2 classes ('a', 'b') has fewer than 10 pictures"],
        ),
        (
            [row("a")] * 10 + [row("b")],
            ["'b' has a single picture", "'a' has 10 pictures and 'b' 1"],
        ),
        (
            [row("a")] * 10 + [row("b")] * 15 + [row("b", text="")] * 15,
            ["15 of 40 pictures (38%) have no text."],
        ),
        (
            [row("a", text="")] * 10 + [row("b")] * 10,
            ["10 of 20 pictures (50%)", "'a' has no text at all, so that a missing text tells"],
        ),
        (
            [row("a", copy="g", split=s, image=s) for s in ("test", "train")]
            + [row(x) for x in "ab" * 10],
            [
                "2 pictures are 1 in several copies",
                "1 of them are in more than one split, such as 'test' and 'train'.",
            ],
        ),
    ],
)
def test_warnings(rows, expected):
    found = starting.warnings_of(rows)
    assert len(found) == len(expected)
    for sentence, start in zip(found, expected, strict=True):
        assert sentence.startswith(start)


def test_rows_of_each_class_come_in_turn(tmp_path):
    synthetic.write_manifest(str(tmp_path / "made"), 3, 12, format="folder")
    start = starting.Start(str(tmp_path / "made"))
    labels = [row["label"] for row in start.mixed(7)]
    names = synthetic.class_names(3)
    assert labels == [*names, *names, names[0]]
    assert start.counts() == dict.fromkeys(names, 4)
