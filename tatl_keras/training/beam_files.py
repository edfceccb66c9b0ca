"""Files of features on whatever file system Apache Beam knows."""

import os
import tempfile

from absl import logging

from tatl_keras._beam_files import is_address, join, match, read, write
from tatl_keras._files import write_whole
from tatl_keras.features.shards import SUFFIX, CorruptShard, Shard, write_shard


def list_shards(folder):
    """Paths of the files of features in a folder; none if there is no folder."""
    return match(join(folder, f"*{SUFFIX}"))


def keys_in(path, space, parts):
    """Keys of the rows in a file of features whose every byte is as it was written.

    Args:
        path: the file.
        space: what its features must be of, see `features.keys.identify`.
        parts: what must be there, "pooled", or "pooled" and "tokens".

    Returns:
        List of 32 bytes each; empty, with a warning, for a damaged file.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            copy = path
            if is_address(path):
                copy = os.path.join(folder, os.path.basename(path))
                write_whole(copy, read(path))
            shard = Shard(copy, space)
            shard.verify()
        except (CorruptShard, OSError) as error:
            logging.warning("%s. Its rows are computed again.", error)
            return []
        return shard.keys if set(parts) <= shard.parts else []


class ShardWriter:
    """Writes the files of one space of features; many processes can write at once.

    Args:
        folder: where.
        space: a `Space`, of which the description is kept.
    """

    def __init__(self, folder, space):
        self.folder, self.id, self.description = folder, space.id, space.description

    def write(self, keys, rows):
        """Writes one file, see `features.shards.write_shard`."""
        if not is_address(self.folder):
            write_shard(self.folder, self.id, keys, rows)
            return
        with tempfile.TemporaryDirectory() as folder:
            path = write_shard(folder, self.id, keys, rows)
            with open(path, "rb") as file:
                write(join(self.folder, os.path.basename(path)), file.read())
