"""A larger manifest that was made elsewhere, against an independent reading of it."""

import collections
import json

import pytest

from tatl_keras import data


@pytest.fixture(scope="module")
def emoji(shared):
    folder = shared / "data" / "emoji"
    if not folder.is_dir():
        pytest.skip("needs ../shared/data/emoji, which is not here")
    lines = (folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    return folder, [row for row in map(json.loads, lines) if row["vendor"] == "google"]


@pytest.fixture
def load(emoji):
    def load_google(*args, **kwargs):
        path = str(emoji[0] / "manifest.jsonl")
        return data.load(path, *args, where={"vendor": "google"}, verbose=False, **kwargs)

    return load_google


def test_counts_and_contents(emoji, load):
    folder, rows = emoji
    everything = load("all")
    assert everything.ids == [row["id"] for row in rows]
    counted = collections.Counter(row["label"] for row in rows)
    assert everything.summary["class_counts"] == dict(sorted(counted.items()))
    assert everything.summary["columns"]["text"] == "text"
    for row, (x, y) in list(zip(rows, everything, strict=True))[::97]:
        assert x["text"].numpy().decode() == row["text"].strip()
        assert x["image"].numpy() == (folder / row["image"]).read_bytes()
        assert everything.class_names[int(y)] == row["label"]


def test_lists_of_ids(emoji, load):
    folder, rows = emoji
    wanted = json.loads((folder / "splits.json").read_text())
    wanted = {k: wanted["splits"]["0"]["k8"][k] for k in ("train", "test")}
    train, test = load(wanted, verify="header")
    assert set(train.ids) == set(wanted["train"]) and set(test.ids) == set(wanted["test"])
    assert train.ids == [row["id"] for row in rows if row["id"] in set(wanted["train"])]
    assert set(train.summary["class_counts"].values()) == {8}


def test_splits_by_seed_keep_its_groups(emoji, load):
    groups = {row["id"]: row["group"] for row in emoji[1]}
    train, test = load(verify=None, seed=1)
    assert not {groups[i] for i in train.ids} & {groups[i] for i in test.ids}
    assert abs(len(test) / len(emoji[1]) - 0.2) < 0.02


@pytest.mark.parametrize("group", [None, "id"])
def test_captions_of_all_vendors_keep_an_emoji_on_one_side(emoji, group):
    path = str(emoji[0] / "manifest.jsonl")
    parts = data.load(
        path, text="text_annotation", label=False, id=False, group=group, verify=None, verbose=False
    )
    codes = [{name.split("__")[1] for name in part.ids} for part in parts]
    assert not codes[0] & codes[1] and len(codes[0] | codes[1]) == len(emoji[1])
    assert sum(map(len, parts)) == 3 * len(emoji[1])
    captions = {row["id"]: row["text_annotation"] for row in emoji[1]}
    for name, x in list(zip(parts[1].ids, parts[1], strict=True))[::211]:
        caption = captions[name.split("__")[1].removesuffix(".png")]
        assert x["text"].numpy().decode() == caption


def test_all_vendors_at_once_repeat_their_ids(emoji):
    with pytest.raises(ValueError, match=r"2870 duplicate id(.|\n)*where="):
        data.load(str(emoji[0] / "manifest.jsonl"), verify=None, verbose=False)
