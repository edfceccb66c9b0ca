"""`tatl-cache`: a table of what is there, a status for scripts, and less of it."""

import os

import pytest

from tatl_keras.features.space import Space
from tests.bin.conftest import run_program, succeed
from tests.features import stubs

DESCRIPTION = {
    "modality": "image",
    "encoder": {"class": "ImageEncoder", "preset": "efficientnet_lite0", "digest": "a1b2c3d4" * 8},
    "dtype": "float16",
}


@pytest.fixture
def directory(tmp_path):
    """Two spaces: the plain pictures, and a view of them that was used more recently."""
    directory = tmp_path / "features"
    for number, description in enumerate((DESCRIPTION, DESCRIPTION | {"view": 2})):
        space = Space(description, ("pooled", "tokens"), directory)
        stubs.fill(space, stubs.keys_of(1500, start=number), shard_rows=1000)
        for path in (directory / space.id).glob("*.safetensors"):
            os.utime(path, (0, 1_000_000_000 + 1_000_000 * number))
    return directory


def total(directory):
    return sum(path.stat().st_size for path in directory.rglob("*.safetensors"))


def test_list(directory):
    title, *lines = succeed("cache", "list", f"--cache={directory}").out.splitlines()
    assert title.split() == "folder of encoder holds as files rows size last used".split()
    view, plain, summary = (line.split() for line in lines)
    assert view[1:4] == ["image,", "view", "2"] and plain[1] == "image"
    assert plain[0] == Space(DESCRIPTION, ("pooled",)).id[:12]
    for line in (view, plain):
        assert line[-10:-5] == ["efficientnet_lite0", "a1b2c3d4", "pooled+tokens", "float16", "2"]
        assert line[-5] == "1,500" and line[-3] == "KiB"
    assert view[-2:] == ["2001-09-20", view[-1]] and plain[-2] == "2001-09-09"
    size = f"{total(directory) / 1024:.1f} KiB"
    assert " ".join(summary) == f"3,000 rows in 4 files, {size}"


def test_list_of_nothing(tmp_path):
    assert succeed("cache", "list", f"--cache={tmp_path}").out == "0 rows in 0 files, 0 bytes\n"


def test_verify_names_what_has_changed_and_ends_with_status_1(directory):
    good = succeed("cache", "verify", f"--cache={directory}").out
    assert good.endswith("problems: 0\n") and good.startswith("3,000 rows in 4 files")
    path = sorted(directory.rglob("*.safetensors"))[0]
    with open(path, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\xff")
    (path.parent / ".writing-x").write_bytes(b"half")
    outcome = run_program("cache", "verify", f"--cache={directory}")
    assert outcome.status == 1 and outcome.err == ""
    assert f"The bytes of a file of features have changed: {path}\n" in outcome.out
    assert f"A file was left unfinished: {path.parent}/.writing-x\n" in outcome.out
    assert f"tatl-cache prune --cache={directory}" in outcome.out
    assert outcome.out.endswith("problems: 2\n")
    assert "1 unfinished" in succeed("cache", "list", f"--cache={directory}").out
    pruned = succeed("cache", "prune", f"--cache={directory}").out
    assert f"have changed: {path}" in pruned and "Removed: 2 files" in pruned
    succeed("cache", "verify", f"--cache={directory}")


def test_prune_to_a_size(directory):
    newer = directory / Space(DESCRIPTION | {"view": 2}, ("pooled",)).id
    limit = total(newer) / 2**30
    pruned = succeed("cache", "prune", f"--cache={directory}", f"--max_gb={limit}").out
    assert "Removed: 2 files" in pruned and pruned.count("not used for longest") == 2
    assert pruned.splitlines()[-1].startswith("Left: 1,500 rows in 2 files, ")
    listed = succeed("cache", "list", f"--cache={directory}").out
    assert "view 2" in listed and len(listed.splitlines()) == 3


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ([], 2, "the first word must be list, verify or prune. Received: None"),
        (["lsit"], 2, "Received: lsit"),
        (["list"], 2, "--cache must be given"),
        (["list", "features"], 2, "Received: 'features'"),
        (["prune", "--cache=.", "--max_gb=-1"], 2, "--max_gb=-1"),
        (["prune", "--cache=nowhere"], 1, "Received: 'nowhere', which does not exist"),
    ],
)
def test_errors(words, status, message):
    outcome = run_program("cache", *words)
    assert outcome.status == status and message in outcome.err


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    outcome = run_program("cache", "prune", f"--cache={tmp_path}", "--max_gb=0")
    assert outcome.status == 1 and "such as 'thesis.tex'" in outcome.err
    assert (tmp_path / "thesis.tex").read_text() == "mine"


def test_smoke_needs_no_folder_and_leaves_nothing(tmp_path):
    assert succeed("cache", "list", "--smoke").out.splitlines()[-1].startswith("4 rows in 1 files")
    assert list(tmp_path.iterdir()) == []
