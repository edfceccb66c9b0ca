"""Features without an encoder: every value follows from the row's key."""

import functools
import hashlib

import numpy as np

DIM = 6
DESCRIPTION = {"modality": "image", "made": "up"}


def keys_of(count, start=0):
    """Keys of made-up examples."""
    return [hashlib.sha256(b"%d" % number).digest() for number in range(start, start + count)]


@functools.cache
def vector(key, dim=DIM):
    """The pooled feature that belongs to a key."""
    return np.random.default_rng(list(key)).normal(size=dim).astype("float32")


def length(key):
    """How many tokens belong to a key, 0 to 4."""
    return key[0] % 5


@functools.cache
def tokens(key, dim=DIM):
    """The tokens that belong to a key."""
    return np.stack([vector(key, dim) + place for place in range(5)])[: length(key)]


def rows(keys, parts=("pooled",), dim=DIM):
    """What `Space.write` takes for these keys."""
    found = {"has": np.ones(len(keys), "uint8")}
    found["pooled"] = np.stack([vector(key, dim) for key in keys])
    if "tokens" in parts:
        found["tokens"] = np.concatenate([tokens(key, dim) for key in keys])
        found["mask"] = np.ones(len(found["tokens"]), "uint8")
        found["offsets"] = np.cumsum([0, *map(length, keys)]).astype("int64")
    return found


def fill(space, keys, shard_rows=8):
    """Writes what is missing, as a filler does; returns how many rows that were."""
    written = 0
    for start in range(0, len(keys), shard_rows):
        some = keys[start : start + shard_rows]
        if all(space.find(key) for key in some):
            continue
        with space.alone():
            space.refresh()
            missing = [key for key in some if not space.find(key)]
            if missing:
                space.write(missing, rows(missing, space.parts))
                written += len(missing)
    return written


def assert_right(space, keys):
    """Every row that is found is the one that belongs to its key; returns how many are found."""
    places = {key: space.find(key) for key in keys}
    found = {key: place for key, place in places.items() if place is not None}
    for key, (number, row) in found.items():
        read = space.shard(number).read(np.array([row]), sorted(space.parts))
        np.testing.assert_array_equal(read["pooled"][0], vector(key))
        if "tokens" in space.parts:
            np.testing.assert_array_equal(read["tokens"][0], tokens(key).reshape(-1, DIM))
    return len(found)
