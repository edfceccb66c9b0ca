"""Splits by seed: shares, strata, groups, independence of order; splits that are given."""

import collections

import numpy as np
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tatl_keras import data
from tatl_keras.data.splits import Plan, assign, make_plan, shares_of, units_of


def frame(labels, groups=None, images=None, splits=None):
    size = len(labels)
    return pandas.DataFrame(
        {
            "id": [f"id{i}" for i in range(size)],
            "label": list(labels),
            "group": list(groups) if groups is not None else [""] * size,
            "image": list(images) if images is not None else [f"{i}.png" for i in range(size)],
            "split": list(splits) if splits is not None else [""] * size,
        },
        dtype=str,
    )


def divide(rows, names=("train", "test"), fractions=None, seed=0):
    result, _ = assign(rows, make_plan(names, [], fractions), fractions, seed)
    return result


def counts(rows, result):
    return {
        label: dict(collections.Counter(result[rows["label"] == label]))
        for label in sorted(rows["label"].unique())
    }


def test_exact_shares_by_hand():
    rows = frame("a" * 10 + "b" * 20)
    assert counts(rows, divide(rows)) == {
        "a": {"train": 8, "test": 2},
        "b": {"train": 16, "test": 4},
    }
    three = divide(rows, ("train", "validation", "test"))
    assert counts(rows, three) == {
        "a": {"train": 8, "validation": 1, "test": 1},
        "b": {"train": 16, "validation": 2, "test": 2},
    }
    halves = divide(rows, ("train", "test"), 0.5)
    assert counts(rows, halves) == {"a": {"train": 5, "test": 5}, "b": {"train": 10, "test": 10}}


def test_what_rounding_owes_goes_to_the_next_class():
    labels = [f"class{i:02d}" for i in range(50) for _ in range(2)]
    rows = frame(labels)
    result = divide(rows)
    assert collections.Counter(result) == {"train": 80, "test": 20}
    assert all(c["train"] >= 1 for c in counts(rows, result).values())


@given(
    st.lists(st.integers(0, 5), min_size=2, max_size=80),
    st.floats(0.05, 0.95),
    st.integers(0, 3),
)
def test_every_class_has_its_share_to_within_one(labels, held_out, seed):
    rows = frame([f"c{label}" for label in labels])
    result = divide(rows, fractions=held_out, seed=seed)
    assert set(result) <= {"train", "test"}
    for label, found in counts(rows, result).items():
        size = (rows["label"] == label).sum()
        wanted = size * held_out
        if size == 1:
            assert found == {"train": 1}
        else:
            assert found["train"] >= 1
            assert abs(found.get("test", 0) - wanted) < 2, (label, found)


def test_a_class_with_one_example_learns():
    rows = frame(["a"] * 10 + ["b"])
    result, notes = assign(rows, make_plan(("train", "test"), []))
    assert counts(rows, result)["b"] == {"train": 1}
    assert any("1 classes with a single example" in note and "'b'" in note for note in notes)


@given(st.permutations(range(24)), st.integers(0, 2))
def test_the_order_of_rows_does_not_matter(order, seed):
    rows = frame([f"c{i % 3}" for i in range(24)], groups=[f"g{i // 2}" for i in range(24)])
    first = dict(zip(rows["id"], divide(rows, seed=seed), strict=True))
    mixed = rows.iloc[list(order)].reset_index(drop=True)
    assert dict(zip(mixed["id"], divide(mixed, seed=seed), strict=True)) == first


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12)), min_size=2, max_size=60))
def test_groups_are_never_torn(pairs):
    rows = frame([f"c{c}" for c, _ in pairs], groups=[f"g{g}" if g else "" for _, g in pairs])
    result = divide(rows, ("train", "validation", "test"))
    grouped = rows[rows["group"] != ""]
    assert (result[grouped.index].groupby(grouped["group"]).nunique() <= 1).all()
    assert (result != "").all()


def test_groups_of_unequal_size_still_give_the_share():
    sizes = [12, 7, 5, 3, 2] + [1] * 31
    rows = frame(["a"] * 60, groups=np.repeat([f"g{i}" for i in range(len(sizes))], sizes))
    for seed in range(10):
        assert collections.Counter(divide(rows, seed=seed))["test"] == 12


def test_large_groups_are_not_always_on_one_side():
    rows = frame(["a"] * 40, groups=["big"] * 6 + [f"g{i}" for i in range(34)])
    sides = {divide(rows, seed=seed).iloc[0] for seed in range(30)}
    assert sides == {"train", "test"}


def test_rows_of_one_picture_stay_together():
    rows = frame("aaaa", images=["1.png", "1.png", "", ""])
    assert units_of(rows).tolist() == ["picture:1.png", "picture:1.png", "id:id2", "id:id3"]
    rows["group"] = ["", "g", "g", ""]
    assert units_of(rows).tolist() == ["picture:1.png", "group:g", "group:g", "id:id3"]


def test_seeds_draw_evenly():
    """Each of 20 rows is held out in about a fifth of the seeds: 5 sigma of Binomial(150, 0.2)."""
    rows = frame("a" * 20)
    held_out = sum((divide(rows, seed=seed) == "test").to_numpy(int) for seed in range(150))
    assert held_out.sum() == 150 * 4
    assert abs(held_out - 30).max() <= 5 * np.sqrt(150 * 0.2 * 0.8)


@pytest.mark.parametrize(
    ("fractions", "message"),
    [
        (1.5, "fractions=1.5"),
        (0, "fractions=0"),
        ({"train": 0.5, "test": 0.4}, "sums to 1. Received: fractions={'train': 0.5"),
        ({"train": 1.0}, r"each of \['train', 'test'\].*fractions={'train': 1.0}"),
    ],
)
def test_wrong_fractions(fractions, message):
    with pytest.raises(ValueError, match=f"`fractions` must be .*{message}"):
        shares_of(["train", "test"], fractions)


@pytest.mark.parametrize(
    ("names", "available", "expected"),
    [
        (("train", "test"), ["train", "test", "extra"], Plan({"train": "train", "test": "test"})),
        (("train", "validation"), ["train", "val"], Plan({"train": "train", "validation": "val"})),
        (("test",), ["Training", "Test"], Plan({"test": "Test"})),
        (("train", "test"), ["train"], Plan({}, ["train", "test"], ["train"])),
        (("test", "train"), ["train"], Plan({}, ["train", "test"], ["train"])),
        (
            ("train", "validation", "test"),
            ["train", "test"],
            Plan({"test": "test"}, ["train", "validation"], ["train"]),
        ),
        (("train", "test"), ["train", "validation"], Plan({}, ["train", "test"], ["train"])),
        (("train", "test"), ["full"], Plan({}, ["train", "test"], ["full"])),
        (("train", "test"), ["test"], Plan({}, ["train", "test"], ["test"])),
        (
            ("train", "test"),
            ["validation", "test"],
            Plan({"test": "test"}, ["train"], ["validation"]),
        ),
        (("test",), ["full"], Plan({}, ["train", "test"], ["full"])),
        (("train",), [], Plan({}, ["train", "test"])),
        (("a", "b"), [], Plan({}, ["a", "b"])),
    ],
)
def test_plans(names, available, expected):
    assert make_plan(names, available) == expected


def test_fractions_name_the_other_splits():
    fractions = {"train": 0.6, "validation": 0.2, "test": 0.2}
    assert make_plan(("validation",), [], fractions).carved == list(fractions)


@pytest.mark.parametrize(
    ("names", "available", "message"),
    [
        (("validation",), [], "`splits` must name all splits.*splits='validation'"),
        (("test",), ["train"], "`splits` must name 'train' too when 'test'.*'train'"),
        (("validation", "test"), ["train", "test"], "`splits` must name 'train' too"),
        (("tset", "train"), ["train", "test"], "splits='tset'. Did you mean 'test'"),
    ],
)
def test_plans_that_would_overlap(names, available, message):
    with pytest.raises(ValueError, match=message):
        make_plan(names, available)


@pytest.fixture
def manifest(tmp_path):
    def write(rows):
        path = tmp_path / "a.csv"
        pandas.DataFrame(rows).to_csv(path, index=False)
        return str(path)

    return write


def rows_of(size, **columns):
    """Rows i0, i1, … of two classes in turn, with more columns."""
    rows = [{"id": f"i{i}", "text": f"t{i}", "label": f"c{i % 2}"} for i in range(size)]
    return [row | {k: v[i] for k, v in columns.items()} for i, row in enumerate(rows)]


def test_one_call_or_two_give_the_same_split(manifest):
    path = manifest(rows_of(30))
    train, test = data.load(path, verbose=False)
    assert data.load(path, "train", verbose=False).ids == train.ids
    assert data.load(path, "test", verbose=False).ids == test.ids
    assert not set(train.ids) & set(test.ids) and len(train) + len(test) == 30
    assert train.ids == sorted(train.ids, key=lambda i: int(i[1:])), "the order of the file"


def test_lists_of_ids(manifest):
    path = manifest(rows_of(6))
    wanted = {"test": ["i4", "i1"], "train": ["i0", "i3", "i5"]}
    test, train = data.load(path, wanted, verbose=False)
    assert test.ids == ["i1", "i4"] and train.ids == ["i0", "i3", "i5"]
    with pytest.raises(ValueError, match=r"1 unknown id.*\n  id 'i9': .*in splits\['train'\]"):
        data.load(path, wanted | {"train": ["i0", "i9"]}, verbose=False, class_names=["c0", "c1"])
    train = data.load(path, {"train": ["i0", "i9"]}, verbose=False, on_bad="skip")[0]
    assert train.ids == ["i0"] and train.summary["skipped"][0]["id"] == "i9"


def test_a_split_column_rules(manifest):
    names = ["train", "val", "test", "train", "train", "val"]
    path = manifest(rows_of(6, subset=names, label=["a"] * 6))
    train, validation, test = data.load(path, ("train", "validation", "test"), verbose=False)
    assert (train.ids, validation.ids, test.ids) == (["i0", "i3", "i4"], ["i1", "i5"], ["i2"])
    path = manifest(rows_of(6, night=["one", "two", "three", "two", "one", "two"]))
    two = data.load(path, "two", split="night", verbose=False)
    assert two.ids == ["i1", "i3", "i5"]


def test_what_a_split_column_lacks_is_taken_off_train(manifest):
    path = manifest(rows_of(44, split=["train"] * 40 + ["test"] * 4))
    names = ("train", "validation", "test")
    train, validation, test = data.load(path, names, verbose=False)
    assert test.ids == [f"i{i}" for i in range(40, 44)]
    assert len(train) == 32 and len(validation) == 8 and not set(train.ids) & set(validation.ids)
    assert "train divided by seed 0: train 0.8, validation 0.2" in train.summary["notes"]


def test_unused_fractions_and_torn_groups_are_noted(manifest):
    path = manifest(
        rows_of(4, split=["train", "train", "test", "test"], group=["g", "h", "g", "k"])
    )
    train, _ = data.load(path, fractions=0.3, verbose=False)
    notes = " ".join(train.summary["notes"])
    assert "`fractions` was not used" in notes and "1 groups have rows in several splits" in notes
