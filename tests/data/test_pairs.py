"""Pairs of texts from files: checked row by row, divided so that no text is on both sides."""

import json

import pandas
import pytest
import tensorflow as tf

from tatl_keras import data

ROWS = [
    {"en": "a red apple", "de": "ein roter Apfel", "fruit": "apple"},
    {"en": "a tree", "de": "ein Baum", "fruit": ""},
    {"en": "apples", "de": "Äpfel", "fruit": "apple"},
    {"en": "a house, old", "de": "ein altes Haus", "fruit": ""},
    {"en": "a tree", "de": "der Baum", "fruit": ""},
]


def load(source, *args, **kwargs):
    return data.load_pairs(str(source), *args, verbose=False, **kwargs)


def elements(pairs):
    return [tuple(x[side].numpy().decode() for side in ("text", "target")) for x in pairs]


@pytest.fixture
def write(tmp_path):
    def write(rows, name="pairs.csv"):
        path, frame = tmp_path / name, pandas.DataFrame(rows)
        if name.endswith(".parquet"):
            frame.to_parquet(path)
        elif name.endswith(".jsonl"):
            path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        else:
            frame.to_csv(path, index=False, sep="\t" if name.endswith("tsv") else ",")
        return path

    return write


@pytest.mark.parametrize("name", ["p.csv", "p.tsv", "p.jsonl", "p.parquet"])
def test_every_format(write, name):
    found = load(write(ROWS, name), "all", text="en", target="de", group="fruit")
    assert elements(found) == [(row["en"], row["de"]) for row in ROWS]
    assert found.element_spec == dict.fromkeys(("text", "target"), tf.TensorSpec([], tf.string))
    assert len(found) == 5 and found.class_names is None
    assert found.rows["text"].tolist() == [row["en"] for row in ROWS]
    assert found.rows["id"].tolist() == found.ids and len(set(found.ids)) == 5
    group = found.rows["group"]
    assert group[0] == group[2] == "apple" and group[1] == group[4] and group.nunique() == 3
    assert found.summary["num_examples"] == 5 and found.summary["columns"]["target"] == "de"


def test_columns_by_their_names(write):
    rows = [{"translation": row["de"], "text": row["en"], "uid": n} for n, row in enumerate(ROWS)]
    found = load(write(rows), "all")
    assert elements(found) == [(row["en"], row["de"]) for row in ROWS]
    assert found.ids == ["0", "1", "2", "3", "4"]


def test_fingerprints_change_with_either_side(write):
    prints = []
    for side in (None, "en", "de"):
        rows = [dict(row, id=n) for n, row in enumerate(ROWS)]
        if side:
            rows[3][side] += "!"
        found = load(write(rows), "all", text="en", target="de", where={"fruit": ""})
        prints.append(found.summary["fingerprint"])
        assert len(found) == 3
    assert len(set(prints)) == 3


@pytest.mark.parametrize("seed", range(3))
def test_splits_tear_neither_groups_nor_texts(write, seed):
    """Pair n has text n // 2; groups bind texts 0 and 1, 2 and 3, … of the first half."""
    rows = [
        {"text": f"t{n // 2}", "target": f"u{n}", "group": f"g{n // 4}" if n < 60 else ""}
        for n in range(120)
    ]
    path = write(rows)
    parts = load(path, ("train", "validation", "test"), seed=seed)
    sizes = [len(part) for part in parts]
    assert sum(sizes) == 120 and sizes == pytest.approx([96, 12, 12], abs=4)
    place = {}
    for number, part in enumerate(parts):
        for text, target in elements(part):
            unit = int(target[1:]) // 4 if int(target[1:]) < 60 else text
            assert place.setdefault(unit, number) == number
    pandas.DataFrame(rows[::-1]).to_csv(path, index=False)
    assert [set(elements(p)) for p in parts] == [
        set(elements(p)) for p in load(path, ("train", "validation", "test"), seed=seed)
    ]


def test_splits_of_the_file_and_lists_of_ids(write):
    rows = [dict(row, split=["train", "test"][n > 2], id=n) for n, row in enumerate(ROWS)]
    train, test = load(write(rows), text="en", target="de", group="fruit")
    assert train.ids == ["0", "1", "2"] and test.ids == ["3", "4"]
    assert test.summary["notes"][-1].startswith("1 groups have rows in several splits")
    one, other = load(write(rows), {"a": [4], "b": [0, 3]}, text="en", target="de")
    assert one.ids == ["4"] and other.ids == ["0", "3"]


BAD = [
    {"id": "a", "text": "x", "target": "y"},
    {"id": "b", "text": "", "target": "y"},
    {"id": "c", "text": "x", "target": " "},
    {"id": "a", "text": "z", "target": "y"},
]


def test_bad_rows_stop_the_load(write):
    with pytest.raises(ValueError) as error:
        load(write(BAD), "all")
    lines = [line.strip() for line in str(error.value).splitlines()]
    assert lines[0].startswith("pairs.csv has 3 bad rows among 4 (1 empty text, 1 empty target, ")
    assert lines[1:4] == [
        "row 2, id 'b': empty text",
        "row 3, id 'c': empty target",
        "row 4, id 'a': duplicate id: as row 1",
    ]


def test_bad_rows_are_left_out_and_counted(write):
    found = load(write(BAD), "all", on_bad="skip")
    assert elements(found) == [("x", "y")]
    kinds = {"empty text": 1, "empty target": 1, "duplicate id": 1}
    assert found.summary["skipped_counts"] == kinds
    assert [bad["row"] for bad in found.summary["skipped"]] == [2, 3, 4]


def test_rows_without_a_split_are_bad(write):
    rows = [dict(row, split=["train", "test", ""][n % 3]) for n, row in enumerate(ROWS)]
    with pytest.raises(ValueError, match="1 bad rows among 5 .1 no split"):
        load(write(rows), text="en", target="de")


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"text": "en"}, r"`source` must have a column for target. .*target=…"),
        ({"target": "de"}, r"`source` must have a column for text. .*\['en', 'de', 'fruit'\]"),
        ({"text": "en", "target": False}, "column for target"),
        ({"text": "en", "target": "dee"}, "`target` must be one of.*target='dee'. Did you.*'de'"),
        ({"text": "en", "target": "de", "on_bad": "no"}, "`on_bad` must be.*on_bad='no'"),
        ({"text": "en", "target": "de", "splits": "night"}, "must name all.*splits='night'"),
    ],
)
def test_wrong_arguments(write, named, message):
    with pytest.raises(ValueError, match=message):
        load(write(ROWS), **named)


def test_wrong_sources(tmp_path):
    with pytest.raises(FileNotFoundError, match="`source` must exist.*nowhere.csv"):
        load(tmp_path / "nowhere.csv")
    with pytest.raises(ValueError, match="`source` must be a file ending in .csv.*Received"):
        load(tmp_path)
    with pytest.raises(ValueError, match="`source` must be a file when columns.*with text=…"):
        load("emoji:en-de", text="en")


def test_what_is_told(write, capsys):
    data.load_pairs(write(ROWS), text="en", target="de", fractions=0.4)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "pairs.csv (text: en, target: de)"
    assert lines[1].startswith("  train: ") and lines[1].endswith(" pairs")
    assert sum(int(line.split()[1]) for line in lines[1:3]) == 5
