"""Files that are there whole or not at all, and what they hold."""

import contextlib
import hashlib
import os
import tempfile

UNFINISHED = ".writing-"


def sha256_of(path):
    """SHA-256 (hex) of a file's bytes.

    Args:
        path: file to read.

    Raises:
        OSError: it cannot be read.

    Example:

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "numbers.txt")
    >>> write_whole(path, b"1 2 3")
    >>> sha256_of(path)[:12]
    '7c8f50592903'
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_whole(path, contents):
    """Writes bytes beside `path`, then renames; on the disk before it is visible.

    What is killed half-way leaves a file behind whose name begins with `UNFINISHED`, and the old
    one, if any, as it was.

    Args:
        path: file to make or to replace; its folder must exist.
        contents: bytes.

    Raises:
        OSError: the folder cannot be written, or the disk is full.

    Example:

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "numbers.txt")
    >>> write_whole(path, b"1 2 3")
    >>> os.listdir(os.path.dirname(path))
    ['numbers.txt']
    """
    path = os.path.abspath(path)
    descriptor, beside = tempfile.mkstemp(prefix=UNFINISHED, dir=os.path.dirname(path))
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(contents)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(beside, 0o644)
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise
