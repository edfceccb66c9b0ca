"""Listing, verifying and pruning a cache; that damage is found is in test_faults.py."""

import fcntl
import os
import time

import pytest

from tatl_keras.features import upkeep
from tatl_keras.features.space import Space
from tests.features import stubs

GIB = 1 << 30


def other(number):
    """Descriptions of different features."""
    return stubs.DESCRIPTION | {"number": number}


@pytest.fixture
def directory(tmp_path):
    """Three spaces of two files each, used one after the other, the first longest ago."""
    directory = tmp_path / "cache"
    for number in range(3):
        parts = ("pooled", "tokens") if number else ("pooled",)
        space = Space(other(number), parts, directory)
        stubs.fill(space, stubs.keys_of(16))
        for place, path in enumerate(files_of(directory, number)):
            os.utime(path, (0, 1000 * (number + 1) + place))
    return directory


def files_of(directory, number):
    folder = directory / Space(other(number), ("pooled",)).id
    return sorted(folder.glob("*.safetensors")) if folder.is_dir() else []


def sizes(directory):
    return [sum(p.stat().st_size for p in files_of(directory, number)) for number in range(3)]


def test_a_list_says_what_is_there(directory):
    (directory / Space(other(1), ("pooled",)).id / ".writing-x").write_bytes(b"half")
    spaces = upkeep.list_spaces(directory)
    assert [space.description["number"] for space in spaces] == [2, 1, 0]
    assert [space.nbytes for space in spaces] == sizes(directory)[::-1]
    assert [(space.files, space.rows) for space in spaces] == [(2, 16)] * 3
    assert [space.parts for space in spaces] == [["pooled", "tokens"]] * 2 + [["pooled"]]
    assert [space.unfinished for space in spaces] == [0, 1, 0]
    assert [space.last_used for space in spaces] == [3001, 2001, 1001]
    assert all(space.description["made"] == "up" for space in spaces)


def test_rows_of_several_files_are_counted_once(directory):
    full = Space(other(0), ("pooled", "tokens"), directory)
    assert stubs.fill(full, stubs.keys_of(8)) == 8
    (space,) = [s for s in upkeep.list_spaces(directory) if s.description["number"] == 0]
    assert (space.files, space.rows, space.parts) == (3, 16, ["pooled", "tokens"])


def test_a_damaged_folder_is_listed_as_far_as_it_can_be_read(directory):
    path = files_of(directory, 2)[0]
    path.write_bytes(b"")
    (path.parent / "space.json").write_text("[")
    space = min(upkeep.list_spaces(directory), key=lambda space: len(space.description))
    assert space.description == {} and (space.files, space.rows) == (2, 8)


def test_reading_rows_is_a_use_of_their_file_and_verifying_is_not(directory):
    before = time.time() - 5
    space = Space(other(0), ("pooled",), directory)
    upkeep.verify(directory)
    upkeep.list_spaces(directory)
    assert max(path.stat().st_mtime for path in files_of(directory, 0)) == 1001
    assert space.find(stubs.keys_of(1)[0])
    used = [path for path in files_of(directory, 0) if path.stat().st_mtime > before]
    number, _ = space.find(stubs.keys_of(1)[0])
    assert [str(path) for path in used] == [space.shard(number).path]
    assert upkeep.list_spaces(directory)[0].description["number"] == 0


def test_prune_removes_what_was_not_used_for_longest(directory):
    oldest = [*files_of(directory, 0), *files_of(directory, 1)]
    keep = sum(path.stat().st_size for path in oldest[3:] + files_of(directory, 2))
    kept, before = [oldest[3], *files_of(directory, 2)], sum(sizes(directory))
    removed = upkeep.prune(directory, max_gb=keep / GIB)
    assert [removal.path for removal in removed] == [str(path) for path in oldest[:3]]
    assert all("not used for longest" in removal.reason for removal in removed)
    assert before - sum(removal.nbytes for removal in removed) == keep
    assert sorted(directory.rglob("*.safetensors")) == sorted(kept)
    assert not oldest[0].parent.exists()  # nothing was left in it
    assert upkeep.verify(directory) == [] and upkeep.prune(directory, max_gb=keep / GIB) == []
    space = Space(other(0), ("pooled",), directory)
    assert stubs.fill(space, stubs.keys_of(16)) == 16
    assert stubs.assert_right(Space(other(0), ("pooled",), directory), stubs.keys_of(16)) == 16


def test_prune_to_nothing_leaves_an_empty_folder(directory):
    assert len(upkeep.prune(directory, max_gb=0)) == 6
    assert list(directory.iterdir()) == []
    assert upkeep.list_spaces(directory) == upkeep.verify(directory) == []


def test_prune_leaves_whole_files_when_no_limit_is_given(directory):
    damaged, leftover = files_of(directory, 0)[0], files_of(directory, 1)[0].parent / ".writing-x"
    os.truncate(damaged, 100)
    leftover.write_bytes(b"half of a file")
    before = sum(sizes(directory))
    removed = upkeep.prune(directory)
    assert {(removal.path, removal.nbytes) for removal in removed} == {
        (str(damaged), 100), (str(leftover), 14)
    }  # fmt: skip
    assert sum(sizes(directory)) == before - 100 and not leftover.exists()
    assert len(files_of(directory, 0)) == 1


def test_files_that_are_not_the_caches_own_stay(directory):
    folder = files_of(directory, 0)[0].parent
    mine = [directory / "notes.txt", folder / "notes.txt", folder / "model.safetensors"]
    mine += [directory / "images" / "a.png", directory / ("0" * 64) / "layer.tar"]
    for path in mine:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    problems = upkeep.verify(directory)
    assert {problem.path for problem in problems} == {str(path) for path in mine[1:3]}
    assert not any(problem.removable for problem in problems)
    upkeep.prune(directory, max_gb=0)
    assert all(path.read_text() == "mine" for path in mine)
    assert list(directory.rglob("*.safetensors")) == [mine[2]]


def test_a_folder_that_is_being_filled_is_left_alone(directory):
    folder = files_of(directory, 1)[0].parent
    unfinished = folder / ".writing-x"
    unfinished.write_bytes(b"half")
    with open(folder / ".lock", "a+") as other_process:
        fcntl.flock(other_process, fcntl.LOCK_EX)  # another open file, as another process has
        assert upkeep.verify(directory) == []
        upkeep.prune(directory, max_gb=0)
        assert sorted(os.listdir(folder)) == [".lock", ".writing-x", "space.json"]
    assert [problem.path for problem in upkeep.verify(directory)] == [str(unfinished)]
    upkeep.prune(directory)
    assert not folder.exists()


@pytest.mark.parametrize("function", [upkeep.list_spaces, upkeep.verify, upkeep.prune])
def test_other_folders_are_refused(function, tmp_path):
    missing, file, folder = tmp_path / "missing", tmp_path / "file", tmp_path / "home"
    folder.mkdir()
    file.write_text("mine")
    assert function(folder) == []
    (folder / "thesis.tex").write_text("mine")
    (folder / ("f" * 64)).mkdir()
    for path, reason in [
        (missing, "which does not exist"),
        (file, "which is a file"),
        (folder, "which holds 2 other files or folders, such as 'f{64}'"),
    ]:
        with pytest.raises(ValueError, match=f"Received: '{path}', {reason}"):
            function(path)
    assert (folder / "thesis.tex").read_text() == "mine" and (folder / ("f" * 64)).is_dir()


@pytest.mark.parametrize("max_gb", [-1, float("nan"), "20", None, True])
def test_the_limit_must_be_a_number(directory, max_gb):
    with pytest.raises(ValueError, match=f"Received: max_gb={max_gb!r}"):
        upkeep.prune(directory, max_gb=max_gb)
    assert all(sizes(directory))
