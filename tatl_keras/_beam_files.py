"""Files on whatever file system Apache Beam knows: folders, gs://, s3://, hdfs://."""

import contextlib
import os

from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems

from tatl_keras._files import write_whole

_WEB = ("http:", "https:")


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


def read_picture(path):
    """The bytes of a picture's file.

    Raises:
        OSError: it is not there, cannot be read, or is on the web.
    """
    if path.startswith(_WEB):
        raise OSError("web addresses are not read: download the picture and name the file")
    try:
        return read(path)
    except FileNotFoundError:
        raise OSError(f"no such file: {path}") from None


def match(pattern):
    """Paths of the files that a pattern with * names, in order; none if there is no folder."""
    (found,) = FileSystems.match([pattern])
    return sorted(file.path for file in found.metadata_list)
