"""Files on whatever file system Apache Beam knows: folders, gs://, s3://, hdfs://."""

import contextlib
import os
import tempfile

from absl import logging
from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems

from tatl_keras._files import write_whole
from tatl_keras.features.shards import SUFFIX, CorruptShard, Shard, write_shard


def is_address(path):
    """Whether a path is on another file system than this machine's."""
    return "://" in path


def join(folder, *names):
    """The path of a file in a folder."""
    return FileSystems.join(folder, *names)


def read(path):
    """The bytes of a file.

    Raises:
        OSError: it is not there, or cannot be read.
    """
    try:
        with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            return file.read()
    except FileNotFoundError:
        raise
    except Exception as error:  # every file system has errors of its own
        raise OSError(f"{path} cannot be read: {error}") from error


def write(path, contents):
    """Writes a file that is there whole or not at all; its folder is made."""
    folder = os.path.dirname(path)
    if not is_address(path):
        os.makedirs(folder, exist_ok=True)
        write_whole(path, contents)
        return
    if not FileSystems.exists(folder):
        with contextlib.suppress(BeamIOError):  # another process was faster
            FileSystems.mkdirs(folder)
    with FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        file.write(contents)


def remove(*paths):
    """Removes files, and folders whose names end in a slash, as far as they are there."""
    for path in paths:
        with contextlib.suppress(BeamIOError):
            FileSystems.delete([path])


def list_shards(folder):
    """Paths of the files of features in a folder; none if there is no folder."""
    found = FileSystems.match([join(folder, f"*{SUFFIX}")])
    return sorted(file.path for file in found[0].metadata_list)


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
