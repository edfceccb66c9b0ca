"""Whatever happens to the files of a cache: noticed, named, and nothing wrong handed out."""

import errno
import logging
import os
import resource
import shutil

import numpy as np
import pytest

from tatl_keras.features import FeatureCache, shards, upkeep
from tatl_keras.features.encoded import EncodedDataset, Modality
from tatl_keras.features.space import Space
from tests.features import stubs

PARTS = ("pooled", "tokens")
KEYS = stubs.keys_of(24)


@pytest.fixture
def directory(tmp_path):
    """A cache of three files of eight rows each."""
    directory = tmp_path / "cache"
    assert stubs.fill(open_space(directory), KEYS) == len(KEYS)
    return directory


def open_space(directory, parts=PARTS):
    return Space(stubs.DESCRIPTION, parts, str(directory))


def files_of(directory):
    return sorted((directory / open_space(directory).id).glob("*.safetensors"))


def flip(path, place, bit=0):
    """Flips one bit of a file."""
    contents = bytearray(path.read_bytes())
    contents[place] ^= 1 << bit
    path.write_bytes(contents)


def places_of(path):
    """First and last byte of every tensor of a file, and of its header."""
    tensors, start = shards._read_header(path, path.parent.name)
    places = {"header": (8, start)}
    for name, tensor in tensors.items():
        begin, end = tensor["data_offsets"]
        places[name] = (start + begin, start + end)
    return places


def assert_heals(directory, path, caplog, *, lost=8, named=True):
    """What was damaged is computed again, and named; everything that is found is right."""
    caplog.clear()
    space = open_space(directory)
    assert stubs.assert_right(space, KEYS) == len(KEYS) - lost
    assert (str(path) in caplog.text) == named
    assert stubs.fill(space, KEYS) == lost
    assert stubs.assert_right(space, KEYS) == len(KEYS)
    caplog.clear()
    assert stubs.assert_right(open_space(directory), KEYS) == len(KEYS)


@pytest.mark.parametrize("part", ["length", "header", "keys", "has", "pooled", "tokens", "offsets"])
def test_one_bit_anywhere_is_noticed(directory, part, caplog, rng):
    path = files_of(directory)[1]
    begin, end = places_of(path).get(part, (0, 8))
    for place in {begin, end - 1, int(rng.integers(begin, end))}:
        good = path.read_bytes()
        flip(path, place, int(rng.integers(8)))
        assert [p.path for p in upkeep.verify(directory)] == [str(path)]
        assert_heals(directory, path, caplog)
        # The same rows give the same bytes, so the new file takes the damaged one's place.
        assert path.read_bytes() == good and upkeep.verify(directory) == []


def test_every_place_of_a_file_counts(directory):
    path = files_of(directory)[0]
    good = path.read_bytes()
    for place in range(0, len(good), 7):
        flip(path, place, place % 8)
        space = open_space(directory)
        assert stubs.assert_right(space, KEYS) == 16, place
        path.write_bytes(good)


@pytest.mark.parametrize("size", [0, 1, 8, 100, -1])
def test_truncated_and_empty_files(directory, size, caplog):
    path = files_of(directory)[0]
    os.truncate(path, size if size >= 0 else path.stat().st_size - 1)
    (problem,) = upkeep.verify(directory)
    assert problem.removable and problem.path == str(path) and str(path) in problem.message
    assert_heals(directory, path, caplog)


@pytest.mark.parametrize(
    "contents",
    [
        b"",
        b"hello",
        b"\x80" + b"\0" * 7 + b"[" * 128,
        (1 << 62).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
        (19).to_bytes(8, "little") + b'{"__metadata__":{}}',
        (100_000).to_bytes(8, "little") + b"[" * 100_000,
    ],
)
def test_foreign_files_under_a_name_like_ours(directory, contents, caplog):
    path = files_of(directory)[0].with_name("0" * 64 + ".safetensors")
    path.write_bytes(contents)
    assert_heals(directory, path, caplog, lost=0)
    (problem,) = upkeep.verify(directory)
    assert problem.path == str(path) and problem.removable


def test_a_file_grown_at_the_end_and_a_copy_under_another_name(directory, caplog):
    path = files_of(directory)[2]
    copy = path.with_name("0" * 64 + ".safetensors")
    shutil.copy(path, copy)
    assert_heals(directory, copy, caplog, lost=0)
    copy.unlink()
    with open(path, "ab") as file:
        file.write(b"\0")
    assert_heals(directory, path, caplog)


def test_a_file_moved_to_the_folder_of_other_features(directory, caplog):
    other = Space(stubs.DESCRIPTION | {"made": "otherwise"}, PARTS, str(directory))
    stubs.fill(other, KEYS[:1])
    path = files_of(directory)[0]
    moved = shutil.move(path, other.folder)
    caplog.clear()
    again = Space(other.description, PARTS, str(directory))
    assert [key for key in KEYS if again.find(key)] == KEYS[:1]
    assert str(moved) in caplog.text and "belongs to another folder" in caplog.text
    (problem,) = upkeep.verify(directory)
    assert problem.path == str(moved) and problem.removable
    assert_heals(directory, moved, caplog, named=False)


def test_the_file_is_named_when_it_goes_while_in_use(directory):
    space = open_space(directory)
    modality = Modality("image", [space], KEYS, stubs.DIM, {"image_pooled", "has_image"})
    dataset = EncodedDataset([modality], {}, None, None, memory_bytes=0).dataset(8)
    for place, path in enumerate(files_of(directory)):
        number, _ = space.find(KEYS[8 * place])
        if space.shard(number).path == str(path):
            break
    os.unlink(space.shard(number).path)
    with pytest.raises(Exception, match=f"removed while it was in use.*{path.name[:20]}"):
        list(dataset)
    again = open_space(directory)
    assert stubs.fill(again, KEYS) == 8 and stubs.assert_right(again, KEYS) == len(KEYS)


def test_a_file_cut_while_in_use_is_named(directory):
    space = open_space(directory)
    assert stubs.assert_right(space, KEYS) == len(KEYS)
    number, _ = space.find(KEYS[0])
    os.truncate(space.shard(number).path, 400)
    with pytest.raises(shards.CorruptShard, match="is truncated.*safetensors"):
        space.shard(number).read(np.arange(8), PARTS)


def test_a_full_disk_leaves_what_was_finished(directory, monkeypatch):
    keys = stubs.keys_of(16, start=100)
    space = open_space(directory)
    before = sorted(path.name for path in files_of(directory))

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        OSError, match="must be writable. Received: No space left on device"
    ) as info:
        stubs.fill(space, keys)
    assert info.value.errno == errno.ENOSPC and info.value.filename == space.folder
    assert sorted(os.listdir(space.folder)) == sorted([*before, ".lock", "space.json"])
    monkeypatch.undo()
    assert stubs.fill(space, keys) == 16 and stubs.assert_right(space, KEYS + keys) == 40


def test_a_real_limit_of_the_file_size(directory):
    space = open_space(directory)
    before = sorted(os.listdir(space.folder))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    keys = stubs.keys_of(16, start=100)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, limits[1]))
    try:
        with pytest.raises(OSError, match="must be writable. Received: File too large"):
            stubs.fill(space, keys)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert sorted(os.listdir(space.folder)) == before
    assert stubs.fill(space, keys) == 16 and upkeep.verify(directory) == []


@pytest.fixture
def read_only(directory, monkeypatch):
    """The cache on a file system that refuses every write; modes of files do not stop root."""
    opened = os.open

    def refuse(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    def open_to_read(path, flags, *rest, **options):
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            refuse()
        return opened(path, flags, *rest, **options)

    monkeypatch.setattr(os, "open", open_to_read)
    monkeypatch.setattr(os, "utime", refuse)
    monkeypatch.setattr(os, "makedirs", refuse)
    return directory


def test_a_read_only_folder_can_be_read_but_not_filled(read_only):
    space = open_space(read_only)
    assert stubs.fill(space, KEYS) == 0 and stubs.assert_right(space, KEYS) == len(KEYS)
    assert upkeep.verify(read_only) == []
    with pytest.raises(OSError, match="must be a folder that can be written.*Read-only") as info:
        stubs.fill(space, stubs.keys_of(1, start=100))
    assert info.value.errno == errno.EROFS and info.value.filename == space.folder


def test_a_path_that_is_a_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("mine")
    with pytest.raises(ValueError, match=f"Received: directory='{path}', a file"):
        FeatureCache(path)
    with pytest.raises(OSError, match="must be a folder that can be written"):
        stubs.fill(open_space(path / "below"), KEYS)
    assert path.read_text() == "mine"


def test_the_description_is_not_needed_to_be_right(directory, caplog):
    path = directory / open_space(directory).id / "space.json"
    flip(path, 10)
    assert stubs.assert_right(open_space(directory), KEYS) == len(KEYS)
    assert [p.path for p in upkeep.verify(directory)] == [str(path)]
    upkeep.prune(directory)
    assert [p.message for p in upkeep.verify(directory)] == [
        f"The description of a folder is missing: {path}"
    ]
    stubs.fill(open_space(directory), stubs.keys_of(1, start=100))
    assert upkeep.verify(directory) == []


def test_a_lock_that_cannot_be_had_does_not_stop(directory, monkeypatch, caplog):
    caplog.set_level(logging.WARNING)

    def none(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", none)
    space = open_space(directory)
    assert stubs.fill(space, stubs.keys_of(8, start=100)) == 8
    assert upkeep.verify(directory) == []


def test_a_folder_removed_while_another_process_waits_for_it(directory, monkeypatch):
    import fcntl

    from tatl_keras.features import locks

    space, waits = open_space(directory), []

    def remove_once(file, operation):
        if not waits:
            waits.append(operation)
            shutil.rmtree(space.folder)

    monkeypatch.setattr(fcntl, "flock", remove_once)
    keys = stubs.keys_of(8, start=100)
    assert stubs.fill(space, keys) == 8 and waits
    assert os.path.exists(os.path.join(space.folder, locks.LOCK))
    assert stubs.assert_right(open_space(directory), keys) == 8
