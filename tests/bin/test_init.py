"""`tatl-init`: what it makes of folders as people have them, and what it says about them."""

import csv
import json
import os
import re
import shlex
from pathlib import Path

import pytest
import tensorflow as tf
from PIL import Image

from tatl_keras import data
from tests.bin.conftest import run_program, succeed
from tests.project import checks


def picture(path, colour=0, kind=None):
    """A small picture of one colour; its folder is made."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (6, 5), (colour, 255 - colour, 80)).save(path, kind or "PNG")
    return path


def read_rows(path, delimiter=","):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def load(manifest, **arguments):
    return data.load(manifest, "all", verbose=False, **arguments)


def commands(out):
    lines = out[out.index("Next") :].splitlines()
    return [shlex.split(line) for line in lines if line.startswith("  tatl-")]


@pytest.fixture
def nasty(tmp_path):
    """Two classes with names, files and links that manifests trip over."""
    top = tmp_path / 'my, "pets" ü' / "in"
    cat, dog = top / 'cat, "black"', top / "Hünd ein"
    picture(cat / "a, b.PNG", 40)
    picture(cat / 'say "cheese".jpg', 80, "JPEG")
    (cat / 'say "cheese".txt').write_text('\ufeffa "black" cat,\nasleep', encoding="utf-8")
    picture(cat / "deep" / "deeper" / "été.JPEG", 120, "JPEG")
    (cat / "broken.jpg").write_bytes((cat / 'say "cheese".jpg').read_bytes()[:200])
    (cat / "empty.png").touch()
    (cat / "page.png").write_text("<html>")
    picture(dog / "1.webp", 160, "WEBP")
    picture(dog / "10.gif", 200, "GIF")
    picture(dog / "2.bmp", 240, "BMP")
    (dog / "2.txt").write_text("赤い猫 'and' a dog")
    (dog / "same.PNG").write_bytes((cat / "a, b.PNG").read_bytes())
    (dog / "link.gif").symlink_to("10.gif")
    (dog / "lost.jpg").symlink_to("nowhere.jpg")
    (dog / "loop").symlink_to(top, target_is_directory=True)
    picture(top / ".thumbnails" / "1.png")
    picture(dog / "._1.png")
    (top / "Thumbs.db").write_bytes(b"x")
    (top / "other.txt").write_text("no picture of this name")
    return top


def test_a_nasty_folder(nasty, tmp_path):
    manifest = tmp_path / "lists" / "all.csv"
    manifest.parent.mkdir()
    out = succeed("init", nasty, f"--output={manifest}").out
    rows = read_rows(manifest)
    start = os.path.relpath(nasty, manifest.parent)
    assert list(rows[0]) == ["image", "text", "label", "group"]
    assert [(row["image"].removeprefix(start + "/"), row["label"]) for row in rows] == [
        ("Hünd ein/1.webp", "Hünd ein"),
        ("Hünd ein/2.bmp", "Hünd ein"),
        ("Hünd ein/10.gif", "Hünd ein"),
        ("Hünd ein/link.gif", "Hünd ein"),
        ("Hünd ein/same.PNG", "Hünd ein"),
        ('cat, "black"/a, b.PNG', 'cat, "black"'),
        ('cat, "black"/deep/deeper/été.JPEG', 'cat, "black"'),
        ('cat, "black"/say "cheese".jpg', 'cat, "black"'),
    ]
    texts = {row["text"] for row in rows}
    assert texts == {"", 'a "black" cat,\nasleep', "赤い猫 'and' a dog"}
    groups = [row["group"] for row in rows]
    assert groups[2] == groups[3] != groups[4] == groups[5] and groups.count("") == 4
    assert "Left out, since they cannot be read: 4\n" in out
    for name, reason in (
        ("broken.jpg", "cannot be decoded"),
        ("empty.png", "the file is empty"),
        ("page.png", "not a JPEG"),
        ("lost.jpg", "no such file"),
    ):
        assert re.search(rf"^  .*/{name}: {reason}", out, re.M), name
    assert "! 4 pictures are 2 in several copies, bit for bit; the column group" in out
    assert "! 1 of them are in more than one class, such as" in out
    assert "! 1 .txt files lie beside no picture" in out
    assert "! 1 files were passed over" in out
    assert "(from .txt files beside the pictures)" in out


def test_data_load_reads_what_was_written(nasty, tmp_path):
    succeed("init", nasty)
    manifest = nasty.parent / "in.csv"
    loaded = load(manifest)
    rows = read_rows(manifest)
    assert [data.decode_image(x["image"]).shape for x, _ in loaded] == [(5, 6, 3)] * 8
    assert [x["text"].numpy().decode() for x, _ in loaded] == [row["text"] for row in rows]
    assert [loaded.class_names[int(y)] for _, y in loaded] == [row["label"] for row in rows]
    assert loaded.summary["columns"]["group"] == "group"
    picture = Image.open(nasty.parent / "in_preview.png")
    assert picture.width > 800 and len(picture.convert("L").getcolors()) > 50
    parts = data.load(manifest, ("train", "test"), seed=3, verbose=False)
    of_groups = {row["group"]: set() for row in rows if row["group"]}
    for part in parts:
        for name in part.ids:
            group = next(row["group"] for row in rows if row["image"] == name)
            of_groups.get(group, set()).add(part.summary["split"])
    assert all(len(splits) == 1 for splits in of_groups.values())


def test_the_commands_that_come_next_fit_the_programs(nasty, monkeypatch):
    monkeypatch.chdir(nasty.parent)
    out = succeed("init", "in").out
    found = commands(out)
    assert [words[0] for words in found] == ["tatl-certify", "tatl-train"]
    assert "--data=in.csv" in found[0] and "--workdir=runs/in" in found[1]
    for words in found:
        checks.check_command(shlex.join(words))


def test_split_folders_and_a_table_of_captions(tmp_path):
    for number, place in enumerate(["train/cat/1", "train/dog/1", "test/cat/2", "test/dog/3"]):
        picture(tmp_path / "pets" / f"{place}.png", 50 * number)
    lines = [
        {"file_name": "train/cat/1.png", "caption": "first"},
        {"file_name": "train/cat/1.png", "caption": "second"},
        {"file_name": "3.png", "caption": "known by its own name"},
        {"file_name": "1.png", "caption": "two files are called so"},
    ]
    table = tmp_path / "pets" / "metadata.jsonl"
    table.write_text("".join(json.dumps(line) + "\n" for line in lines))
    out = succeed("init", "pets").out
    rows = {row["image"]: row for row in read_rows("pets.csv")}
    assert {name: (row["text"], row["split"]) for name, row in rows.items()} == {
        "pets/test/cat/2.png": ("", "test"),
        "pets/test/dog/3.png": ("known by its own name", "test"),
        "pets/train/cat/1.png": ("first. second", "train"),
        "pets/train/dog/1.png": ("", "train"),
    }
    assert "! metadata.jsonl names 2 of 4 pictures" in out and "passed over" not in out
    train, test = data.load("pets.csv", verbose=False)
    assert (len(train), len(test), train.class_names) == (2, 2, ["cat", "dog"])


def test_labels_from_a_table(tmp_path):
    for number in range(4):
        picture(tmp_path / "flat" / f"{number}.png", 40 * number)
    table = tmp_path / "list.tsv"
    kinds = ("even", "odd", "even")
    rows = [f"flat/{n}.png\t{kinds[n]}\tno. {n}\tg{n // 2}" for n in range(3)]
    table.write_text("\n".join(["image\tclass\ttitle\tgroup", *rows]) + "\n")
    out = succeed("init", "flat", "--captions=list.tsv", "--output=flat/all.tsv").out
    found = read_rows("flat/all.tsv", "\t")
    assert list(found[0]) == ["image", "text", "label", "group"]
    assert [tuple(row.values()) for row in found] == [
        ("0.png", "no. 0", "even", "g0"),
        ("1.png", "no. 1", "odd", "g0"),
        ("2.png", "no. 2", "even", "g1"),
        ("3.png", "", "", ""),
    ]
    assert "! 1 pictures lie" in out and "! list.tsv names 3 of 4 pictures" in out
    assert "in several copies" not in out, "groups of a table are not copies bit for bit"
    assert "! 1 pictures lie in no class's folder" in out
    assert "Next: give each row of flat/all.tsv its label" in out


def test_a_flat_folder_is_to_be_filled_in(tmp_path):
    picture(tmp_path / "pets" / "1.png")
    out = succeed("init", "pets/").out
    assert read_rows("pets.csv") == [{"image": "pets/1.png", "text": "", "label": ""}]
    assert "! There are no sub-folders, so no labels: fill in the column label." in out
    assert "! There is no text: fill in the column text" in out
    assert commands(out)[0][1] == "--model=efficientnet_lite0_image_only"


def test_nothing_is_replaced_unless_asked_for(tmp_path):
    picture(tmp_path / "pets" / "cat" / "1.png")
    (tmp_path / "pets.csv").write_text("by hand")
    outcome = run_program("init", "pets")
    assert outcome.status == 1 and "Received: 'pets.csv', which is there." in outcome.err
    (tmp_path / "other_preview.png").touch()
    outcome = run_program("init", "pets", "--output=other.csv")
    assert "Received: 'other_preview.png', which is there." in outcome.err
    assert (tmp_path / "pets.csv").read_text() == "by hand"
    assert not (tmp_path / "other.csv").exists()
    succeed("init", "pets", "--overwrite")
    assert read_rows("pets.csv")[0]["label"] == "cat"


def test_a_folder_without_a_name_has_that_of_its_path(tmp_path, monkeypatch):
    picture(tmp_path / "pets" / "cat" / "1.png")
    for inside, word in (("pets", "."), ("pets/cat", "..")):
        monkeypatch.chdir(tmp_path / inside)
        out = succeed("init", word, "--overwrite").out
        assert out.startswith(f"{tmp_path / 'pets.csv'}: 1 pictures")
        assert [row["image"] for row in read_rows(tmp_path / "pets.csv")] == ["pets/cat/1.png"]
        (tmp_path / "pets.csv").unlink()


def test_the_preview_is_none_of_the_pictures(tmp_path):
    picture(tmp_path / "pets" / "1.png")
    for again in ([], ["--overwrite"]):
        succeed("init", "pets", "--output=pets/all.tsv", *again)
        assert [row["image"] for row in read_rows("pets/all.tsv", "\t")] == ["1.png"]
    assert (tmp_path / "pets" / "all_preview.png").is_file()


def test_a_table_that_names_folders_means_them(tmp_path):
    picture(tmp_path / "pets" / "cat" / "1.png")
    picture(tmp_path / "pets" / "dog" / "2.png", 90)
    rows = ["image,text", "old/1.png,of another folder", "dog/2.png,in its folder", "1.png,alone"]
    (tmp_path / "pets" / "captions.csv").write_text("\n".join(rows) + "\n")
    succeed("init", "pets")
    texts = {row["image"]: row["text"] for row in read_rows("pets.csv")}
    assert texts == {"pets/cat/1.png": "alone", "pets/dog/2.png": "in its folder"}


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ([], 2, "a folder must be given. Received: nothing"),
        (["pets", "more"], 2, "a folder must be given. Received: 'pets' 'more'"),
        (["nowhere"], 1, "a folder must be given. Received: 'nowhere'"),
        (["pets", "--output=x.jsonl"], 1, "must end in .csv or .tsv. Received: 'x.jsonl'"),
        (["pets", "--output=no/x.csv"], 1, "a folder that exists. Received: 'no/x.csv'"),
        (["pets", "--captions=no.csv"], 1, "--captions must be a file. Received: 'no.csv'"),
        (["pets", "--captions=t.csv"], 1, "Received: 't.csv', which names none of its 1."),
        (["empty"], 1, "must be a folder with pictures"),
        (["bad"], 1, "with 1 that cannot; the first: 1.png not a JPEG"),
    ],
)
def test_errors(tmp_path, words, status, message):
    picture(tmp_path / "pets" / "1.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "1.png").write_text("<html>")
    (tmp_path / "t.csv").write_text("image,text\nother.png,a\n")
    outcome = run_program("init", *words)
    assert outcome.status == status and message in outcome.err
    assert not list(tmp_path.glob("*_preview.png"))


def test_smoke_needs_no_folder_and_leaves_nothing(tmp_path):
    out = succeed("init", "--smoke").out
    assert "6 pictures, 2 classes" in out and "blue circle 3, red square 3" in out
    assert list(tmp_path.iterdir()) == [] and tf.io.gfile.listdir(str(tmp_path)) == []
