"""Manifests of every format become the same examples; attributes tell what was found."""

import hashlib
import json
import math
import os

import numpy as np
import pandas
import pytest
import tensorflow as tf

from tatl_keras import data
from tatl_keras.data import synthetic


def png(value, size=(5, 7)):
    return tf.io.encode_png(np.full((*size, 3), value, np.uint8)).numpy()


def load(source, *args, **kwargs):
    return data.load(source, *args, verbose=False, **kwargs)


def elements(dataset):
    return [(x["image"].numpy(), x["text"].numpy().decode(), int(y)) for x, y in dataset]


@pytest.fixture
def pets(tmp_path):
    """Six rows: one without picture, one without text."""
    (tmp_path / "images").mkdir()
    for i in range(6):
        (tmp_path / "images" / f"{i}.png").write_bytes(png(40 * i))
    rows = [
        {
            "path": f"images/{i}.png" if i != 2 else "",
            "caption": f"a pet, no. {i}" if i != 4 else "",
            "breed": ["cat", "dog"][i % 2],
            "subset": "train" if i < 4 else "test",
        }
        for i in range(6)
    ]
    return tmp_path, rows


def write(folder, rows, name):
    path = folder / name
    frame = pandas.DataFrame(rows)
    if name.lower().endswith((".csv", ".tsv")):
        frame.to_csv(path, index=False, sep="\t" if name.endswith("tsv") else ",")
    elif name.endswith(".parquet"):
        frame.to_parquet(path)
    else:
        path.write_text("\n".join(json.dumps(row) for row in rows) + "\n", encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.ndjson", "a.parquet", "A.CSV"])
def test_examples_of_each_format(pets, name):
    folder, rows = pets
    train, test = load(write(folder, rows, name), label="breed")
    assert elements(train) == [
        (png(0), "a pet, no. 0", 0),
        (png(40), "a pet, no. 1", 1),
        (b"", "a pet, no. 2", 0),
        (png(120), "a pet, no. 3", 1),
    ]
    assert elements(test) == [(png(160), "", 0), (png(200), "a pet, no. 5", 1)]
    assert train.element_spec[0]["image"] == tf.TensorSpec([], tf.string)
    assert train.element_spec[0]["text"] == tf.TensorSpec([], tf.string)
    assert train.element_spec[1] == tf.TensorSpec([], tf.int32)
    assert len(train) == 4 and len(test) == 2


def test_summary_counts_and_attributes(pets):
    folder, rows = pets
    train, test = load(write(folder, rows, "a.csv"), label="breed")
    assert train.class_names == test.class_names == ["cat", "dog"]
    assert train.ids[:2] == ["images/0.png", "images/1.png"] and train.ids[2].startswith("text-")
    summary = train.summary
    assert summary["num_examples"] == 4 and summary["class_counts"] == {"cat": 2, "dog": 2}
    assert summary["missing_image"] == 1 and summary["missing_text"] == 0
    assert test.summary["missing_image"] == 0 and test.summary["missing_text"] == 1
    assert summary["columns"] == {
        "image": "path",
        "text": "caption",
        "label": "breed",
        "split": "subset",
        "group": None,
        "id": None,
    }
    assert summary["skipped"] == [] and summary["skipped_counts"] == {}
    json.dumps(summary)


def test_the_report_says_what_was_chosen(pets, capsys):
    folder, rows = pets
    data.load(write(folder, rows, "a.csv"), label="breed")
    printed = capsys.readouterr().err
    for words in ("image: path", "text: caption", "4 examples of 2 classes", "1 without picture"):
        assert words in printed


def test_one_name_gives_one_data_set(pets):
    folder, rows = pets
    path = write(folder, rows, "a.csv")
    both = load(path, label="breed")
    test = load(path, "test", label="breed")
    assert isinstance(test, tf.data.Dataset)
    assert elements(test) == elements(both[1]) and test.summary == both[1].summary
    assert isinstance(load(path, ("test",), label="breed"), tuple)


def test_all_and_without_labels(pets):
    folder, rows = pets
    path = write(folder, rows, "a.csv")
    everything = load(path, "all", label="breed")
    assert [y for *_, y in elements(everything)] == [0, 1, 0, 1, 0, 1]
    bare = load(path, "all", label=False)
    assert set(bare.element_spec) == {"image", "text"} and len(bare) == 6
    assert bare.class_names is None and "class_counts" not in bare.summary


def test_absolute_paths_and_lists(tmp_path):
    (tmp_path / "one.png").write_bytes(png(9))
    elsewhere = tmp_path / "lists"
    elsewhere.mkdir()
    rows = [
        {"image": str(tmp_path / "one.png"), "tags": ["red", "soft"], "label": 1},
        {"image": "../one.png", "tags": [], "label": 10},
        {"image": None, "tags": ["blue"], "label": 9},
    ]
    for name in ("a.jsonl", "a.parquet"):
        found = load(write(elsewhere, rows, name), "all")
        assert [text for _, text, _ in elements(found)] == ["red, soft", "", "blue"]
        assert [image for image, *_ in elements(found)] == [png(9), png(9), b""]
        assert found.class_names == ["1", "9", "10"]


def test_texts_of_several_columns(pets):
    folder, rows = pets
    for row in rows:
        row["title"] = "T"
    found = load(write(folder, rows, "a.csv"), "all", text=["title", "caption"], label="breed")
    assert [text for _, text, _ in elements(found)][3:5] == ["T. a pet, no. 3", "T"]


def test_cells_that_pandas_would_change(tmp_path):
    (tmp_path / "a.csv").write_text(
        'text,label\nNA,1\n"null, said ""x""",2\n 007 ,NaN\n', encoding="utf-8-sig"
    )
    found = load(str(tmp_path / "a.csv"), "all")
    assert [text for _, text, _ in elements(found)] == ["NA", 'null, said "x"', "007"]
    assert found.class_names == ["1", "2", "NaN"]


def test_json_keeps_numbers_and_line_separators(tmp_path):
    lines = ['{"text": "a\u2028b", "label": 1}', "", '{"label": 2, "text": "c", "id": 7}']
    (tmp_path / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    found = load(str(tmp_path / "a.jsonl"), "all")
    assert found.class_names == ["1", "2"] and found.ids[1] == "7"
    assert elements(found)[0][1] == "a\u2028b"


def test_class_names_set_the_order(pets):
    folder, rows = pets
    path = write(folder, rows, "a.csv")
    train = load(path, "train", label="breed", class_names=["dog", "cow", "cat"])
    assert [y for *_, y in elements(train)] == [2, 0, 2, 0]
    assert train.class_names == ["dog", "cow", "cat"]
    assert train.summary["class_counts"] == {"dog": 2, "cow": 0, "cat": 2}


def test_numbers_as_indices_of_class_names(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\na,1\nb,0\n")
    found = load(str(tmp_path / "a.csv"), "all", class_names=["cat", "dog"])
    assert [y for *_, y in elements(found)] == [1, 0]


def test_text_from_class_only_when_asked(pets):
    folder, rows = pets
    path = write(folder, rows, "a.csv")
    test = load(path, "test", label="breed", text_from_class=True)
    assert [text for _, text, _ in elements(test)] == ["cat", "a pet, no. 5"]
    assert "tell the label" in " ".join(test.summary["notes"])
    told = {"cat": "it purrs", "dog": "it barks"}
    test = load(path, "test", label="breed", text=False, text_from_class=told)
    assert [text for _, text, _ in elements(test)] == ["it purrs", "it barks"]
    with pytest.raises(ValueError, match=r"`text_from_class` must .* without 'dog'"):
        load(path, "test", label="breed", text_from_class={"cat": "it purrs"})
    with pytest.raises(ValueError, match="`text_from_class` must be False .*label=False"):
        load(path, "test", label=False, text_from_class=True)


def test_where_takes_a_part(pets):
    folder, rows = pets
    path = write(folder, rows, "a.csv")
    assert len(load(path, "all", label="breed", where={"breed": "dog"})) == 3
    some = load(path, "all", label="breed", where={"breed": ["dog", "cat"], "subset": "test"})
    assert len(some) == 2
    with pytest.raises(ValueError, match="`where` must be one of .*where='bred'.*'breed'"):
        load(path, where={"bred": "dog"})
    with pytest.raises(ValueError, match=r"`where` must leave .*\{'breed': 'cow'\}"):
        load(path, where={"breed": "cow"})


def test_the_fingerprint_follows_contents_not_places(pets):
    folder, rows = pets
    path = write(folder, rows, "a.csv")
    first = load(path, "all", label="breed").summary["fingerprint"]
    os.utime(folder / "images" / "0.png", (1, 1))
    assert load(path, "all", label="breed").summary["fingerprint"] == first
    assert len(first) == 64 and int(first, 16)
    (folder / "images" / "0.png").write_bytes(png(1))
    changed = load(path, "all", label="breed").summary
    assert changed["fingerprint"] != first
    assert changed["fingerprint_of"] == "rows and contents of pictures"
    rows[0]["caption"] = "another"
    again = load(write(folder, rows, "a.csv"), "all", label="breed").summary["fingerprint"]
    assert again not in (first, changed["fingerprint"])


def test_the_fingerprint_by_hand(tmp_path):
    (tmp_path / "1.png").write_bytes(png(3))
    (tmp_path / "a.csv").write_text("id,image,text,label\nx,1.png,hello,cat\n")
    contents = hashlib.sha256(png(3)).hexdigest()
    expected = "cat\0\0" + "\0".join(["x", "1.png", "hello", "cat", contents])
    found = load(str(tmp_path / "a.csv"), "all").summary["fingerprint"]
    assert found == hashlib.sha256(expected.encode()).hexdigest()


def test_pictures_are_read_only_when_asked_for(pets):
    folder, rows = pets
    found = load(write(folder, rows, "a.csv"), "all", label="breed")
    (folder / "images" / "5.png").write_bytes(png(77))
    assert elements(found)[5][0] == png(77)


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_the_same_split_in_any_order_of_rows(tmp_path, format):
    path = synthetic.write_manifest(str(tmp_path), 4, 60, format=format)
    frame = pandas.read_csv(path) if format == "csv" else pandas.read_parquet(path)
    test = load(path, "test", seed=3)
    mixed = frame.sample(frac=1, random_state=1)
    mixed.to_csv(tmp_path / "mixed.csv", index=False)
    again = load(str(tmp_path / "mixed.csv"), "test", seed=3)
    assert sorted(test.ids) == sorted(again.ids) and len(test) == math.floor(60 * 0.2 + 0.5)
    assert again.ids == [i for i in mixed["id"] if i in set(test.ids)]
    assert sorted(load(path, "test", seed=4).ids) != sorted(test.ids)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"on_bad": "stop"}, "`on_bad` must be one of .*on_bad='stop'"),
        ({"verify": "all"}, "`verify` must be one of .*verify='all'"),
        ({"class_names": "cat"}, "`class_names` must be a list.*class_names='cat'"),
        ({"class_names": ["a", "a"]}, r"`class_names` must be .*\['a', 'a'\]"),
        ({"splits": ("train", "train")}, r"`splits` must be .*\('train', 'train'\)"),
        ({"splits": ("all", "test")}, r"`splits` must be .*\('all', 'test'\)"),
        ({"splits": ()}, r"`splits` must be .*splits=\(\)"),
        ({"splits": ("train", "tset")}, "`splits` must be among 'train', 'test'.*'tset'.*'test'"),
        ({"splits": {"train": ["a"], "test": ["a"]}}, "`splits` must hold each id in one.*'a'"),
    ],
)
def test_wrong_arguments(pets, arguments, message):
    folder, rows = pets
    with pytest.raises(ValueError, match=message):
        load(write(folder, rows, "a.csv"), **{"label": "breed", **arguments})
