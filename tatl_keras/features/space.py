"""The rows of one space of features: where they are, and which are still missing."""

import contextlib
import json
import os

import numpy as np
from absl import logging

from tatl_keras._files import write_whole
from tatl_keras.features.keys import identify
from tatl_keras.features.locks import taking_turns
from tatl_keras.features.shards import SUFFIX, CorruptShard, Shard, write_shard

DESCRIPTION = "space.json"


class Space:
    """Features of one encoder under one preprocessing, by key of the example.

    A row is found only in a file whose every byte was checked in this process. Files that are not
    what was written are named in a warning and left aside, so their rows are computed again.

    Args:
        description: what the features are of, see `keys.describe`.
        parts: what has to be there, "pooled", or "pooled" and "tokens".
        directory: folder of the cache; files are in its sub-folder `identify(description)`.
            `None` holds everything in memory.
    """

    def __init__(self, description, parts, directory=None):
        self.description, self.parts = description, frozenset(parts)
        self.id = identify(description)
        self.folder = None if directory is None else os.path.join(directory, self.id)
        self._shards, self._known, self._index = [], set(), {}
        self.refresh()

    def refresh(self):
        """Takes in files that were finished since the last look, by whatever process."""
        if self.folder is None or not os.path.isdir(self.folder):
            return
        names = {name for name in os.listdir(self.folder) if name.endswith(SUFFIX)}
        for name in sorted(names - self._known):
            self._known.add(name)
            with _leaving_aside():
                self._add(Shard(os.path.join(self.folder, name), self.id))

    def find(self, key):
        """(number of the file, row) of a key, or `None`."""
        while key in self._index:
            number, row = self._index[key]
            with _leaving_aside():
                self._shards[number].verify()
                return number, row
            self._drop(number)
        return None

    def shard(self, number):
        """The file of that number."""
        return self._shards[number]

    def write(self, keys, rows):
        """Keeps features, for `find` to find.

        Args:
            keys: list of N times 32 bytes.
            rows: dict of arrays, see `shards.write_shard`.

        Raises:
            OSError: they could not be written.
        """
        if self.folder is None:
            self._add(MemoryShard(keys, rows))
            return
        path = write_shard(self.folder, self.id, keys, rows)
        self._known.add(os.path.basename(path))
        self._add(Shard(path, self.id))

    @contextlib.contextmanager
    def alone(self, shared=False):
        """Makes the folder, and holds its lock while the block runs; see `locks.taking_turns`."""
        if self.folder is None:
            yield
            return
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(taking_turns(self.folder, shared))
                description = os.path.join(self.folder, DESCRIPTION)
                if not os.path.exists(description):
                    write_whole(description, json.dumps(self.description, indent=1).encode())
            except OSError as error:
                raise OSError(
                    error.errno,
                    "`feature_cache` must be a folder that can be written, since features are "
                    f"missing in it. Received: {os.strerror(error.errno or 0)}",
                    self.folder,
                ) from error
            yield

    def _add(self, shard):
        if not self.parts <= shard.parts:
            return
        self._shards.append(shard)
        for row, key in enumerate(shard.keys):
            self._index.setdefault(key, (len(self._shards) - 1, row))

    def _drop(self, number):
        """Forgets a file; rows that another file has too are found there."""
        self._shards[number].keys = []
        self._index = {}
        for other, shard in enumerate(self._shards):
            for row, key in enumerate(shard.keys):
                self._index.setdefault(key, (other, row))


class MemoryShard:
    """Features held in memory, with the interface of `Shard`."""

    def __init__(self, keys, rows):
        self.keys, self._rows = list(keys), rows
        self.parts = frozenset(rows) & {"pooled", "tokens"}

    def verify(self):
        """Nothing on a disk, nothing to look at."""

    def lengths(self, rows):
        """Number of tokens of each row."""
        return np.diff(self._rows["offsets"])[rows]

    def read(self, rows, parts):
        """Features of some rows, as `Shard.read` gives them."""
        found = {"has": self._rows["has"][rows]}
        if "pooled" in parts:
            found["pooled"] = self._rows["pooled"][rows]
        if "tokens" in parts:
            ends = [self._rows["offsets"][row : row + 2] for row in rows]
            for name in ("tokens", "mask"):
                found[name] = [self._rows[name][begin:end] for begin, end in ends]
        return found


@contextlib.contextmanager
def _leaving_aside():
    try:
        yield
    except (CorruptShard, OSError) as error:
        logging.warning("%s. Its rows are computed again; `tatl-cache verify` says more.", error)
