"""What is in a folder of features, whether it is whole, and making it smaller."""

import contextlib
import dataclasses
import json
import math
import os
import re

from tatl_keras._files import UNFINISHED
from tatl_keras.features.cache import GIB
from tatl_keras.features.keys import identify
from tatl_keras.features.locks import LOCK, if_free
from tatl_keras.features.shards import SUFFIX, CorruptShard, Shard, verify_name
from tatl_keras.features.space import DESCRIPTION

_ID = re.compile(r"[0-9a-f]{64}")
_SHARD = re.compile(rf"[0-9a-f]{{64}}{re.escape(SUFFIX)}")


@dataclasses.dataclass(frozen=True)
class SpaceSummary:
    """One folder of features.

    Attributes:
        folder: path.
        description: dict, what the features are of (see `keys.describe`); empty where unreadable.
        parts: list of "pooled", "tokens".
        files, rows, nbytes: number of files, of different examples in them, and of bytes.
        unfinished: number of files that were being written when their process ended, or still are.
        last_used: seconds since 1970 when a row was last read or written.
    """

    folder: str
    description: dict
    parts: list
    files: int
    rows: int
    nbytes: int
    unfinished: int
    last_used: float


@dataclasses.dataclass(frozen=True)
class Problem:
    """A file that is not as the cache left it.

    Attributes:
        path: of the file.
        message: str, what is wrong, with the path.
        removable: bool, whether `prune` removes it; features in it are computed again.
    """

    path: str
    message: str
    removable: bool


@dataclasses.dataclass(frozen=True)
class Removal:
    """A file that `prune` removed: its path, its bytes, and why."""

    path: str
    nbytes: int
    reason: str


def list_spaces(directory):
    """What is in a cache.

    Args:
        directory: folder of a `FeatureCache`.

    Returns:
        List of `SpaceSummary`, the last used first.

    Raises:
        ValueError: `directory` is no feature cache.

    Example:

    >>> import tempfile
    >>> list_spaces(tempfile.mkdtemp())
    []
    """
    found = [_summarize(folder) for folder in _folders(directory)]
    return sorted(found, key=lambda space: -space.last_used)


def verify(directory):
    """Reads every byte of a cache and compares it with what was written.

    Every file's SHA-256 must be its name, its header must name its folder, and the description of
    a folder must hash to the folder's name.

    Args:
        directory: folder of a `FeatureCache`.

    Returns:
        List of `Problem`; files without one are as they were written.

    Raises:
        ValueError: `directory` is no feature cache.

    Example:

    >>> import tempfile
    >>> verify(tempfile.mkdtemp())
    []
    """
    return [problem for folder in _folders(directory) for problem in _problems(folder)]


def prune(directory, *, max_gb=math.inf):
    """Removes what cannot be used, then what was not used for longest.

    Unfinished leftovers and files that `verify` finds damaged go first, then the files that were
    read or written longest ago, until the rest takes at most `max_gb`; folders that become empty
    go too. Features that are gone are computed again when they are wanted. Files that are not the
    cache's own stay.

    Args:
        directory: folder of a `FeatureCache`.
        max_gb: float, GiB of features that may stay. Defaults to all that are whole.

    Returns:
        List of `Removal`.

    Raises:
        ValueError: `directory` is no feature cache, or `max_gb` is negative or not a number.
        OSError: a file cannot be removed.

    Example:

    >>> import tempfile
    >>> prune(tempfile.mkdtemp(), max_gb=1)
    []
    """
    if isinstance(max_gb, bool) or not isinstance(max_gb, (int, float)) or not max_gb >= 0:
        raise ValueError(f"`max_gb` must be a number of at least 0. Received: max_gb={max_gb!r}")
    damaged = [problem for problem in verify(directory) if problem.removable]
    removed = [_remove(problem.path, problem.message) for problem in damaged]
    statuses = {path: os.stat(path) for folder in _folders(directory) for path in _shards(folder)}
    left = sum(status.st_size for status in statuses.values())
    for path in sorted(statuses, key=lambda path: (statuses[path].st_mtime_ns, path)):
        if left <= max_gb * GIB:
            break
        removed.append(_remove(path, f"A file of features was not used for longest: {path}"))
        left -= statuses[path].st_size
    for folder in _folders(directory):
        _remove_empty(folder)
    return [removal for removal in removed if removal is not None]


def _folders(directory):
    """Paths of the folders that are the cache's; ValueError where there cannot be any."""
    directory = os.fspath(directory)
    if not os.path.isdir(directory):
        raise ValueError(
            f"`directory` must be the folder of a feature cache. Received: {directory!r}, which "
            + ("is a file" if os.path.exists(directory) else "does not exist")
        )
    entries = sorted(os.listdir(directory))
    found = [os.path.join(directory, name) for name in entries if _ID.fullmatch(name)]
    found = [folder for folder in found if _is_own(folder)]
    if entries and not found:
        raise ValueError(
            f"`directory` must be the folder of a feature cache. Received: {directory!r}, which "
            f"holds {len(entries)} other files or folders, such as {entries[0]!r}"
        )
    return found


def _is_own(folder):
    if not os.path.isdir(folder):
        return False
    names = os.listdir(folder)
    return any(n == DESCRIPTION or n.startswith(LOCK) or _SHARD.fullmatch(n) for n in names)


def _shards(folder):
    return [os.path.join(folder, n) for n in sorted(os.listdir(folder)) if _SHARD.fullmatch(n)]


def _summarize(folder):
    keys, parts = set(), set()
    for path in _shards(folder):
        with contextlib.suppress(CorruptShard, OSError):
            shard = Shard(path, os.path.basename(folder))
            keys |= set(shard.keys)
            parts |= shard.parts
    try:
        with open(os.path.join(folder, DESCRIPTION), encoding="utf-8") as file:
            description = json.load(file)
    except (OSError, ValueError):
        description = {}
    statuses = [os.stat(path) for path in _shards(folder)]
    return SpaceSummary(
        folder=folder,
        description=description if isinstance(description, dict) else {},
        parts=sorted(parts),
        files=len(statuses),
        rows=len(keys),
        nbytes=sum(status.st_size for status in statuses),
        unfinished=sum(name.startswith(UNFINISHED) for name in os.listdir(folder)),
        last_used=max([s.st_mtime for s in statuses], default=os.stat(folder).st_mtime),
    )


def _problems(folder):
    with if_free(folder) as free:
        names = sorted(name for name in os.listdir(folder) if not name.startswith(LOCK))
    if DESCRIPTION not in names and any(map(_SHARD.fullmatch, names)):
        path = os.path.join(folder, DESCRIPTION)
        yield Problem(path, f"The description of a folder is missing: {path}", False)
    for name in names:
        path = os.path.join(folder, name)
        if _SHARD.fullmatch(name):
            yield from _shard_problems(path)
        elif name == DESCRIPTION:
            if not _describes(path):
                yield Problem(path, f"The description of a folder has changed: {path}", True)
        elif not name.startswith(UNFINISHED):
            yield Problem(path, f"A file is not the cache's own: {path}", False)
        elif free:
            yield Problem(path, f"A file was left unfinished: {path}", True)


def _shard_problems(path):
    try:
        Shard(path, os.path.basename(os.path.dirname(path)))
        verify_name(path)
    except CorruptShard as error:
        yield Problem(path, str(error), True)
    except FileNotFoundError:
        return  # another process removed it meanwhile
    except OSError as error:
        yield Problem(path, f"A file of features cannot be read ({error.strerror}): {path}", False)


def _describes(path):
    """Whether a description hashes to the name of its folder."""
    try:
        with open(path, encoding="utf-8") as file:
            return identify(json.load(file)) == os.path.basename(os.path.dirname(path))
    except (OSError, ValueError, AttributeError, TypeError):
        return False


def _remove(path, reason):
    with contextlib.suppress(FileNotFoundError):  # another process was faster
        nbytes = os.path.getsize(path)
        os.unlink(path)
        return Removal(path, nbytes, reason)
    return None


def _remove_empty(folder):
    """Removes a folder without features, unless a process fills it or other files are in it."""
    with if_free(folder) as free:
        names = {name for name in os.listdir(folder) if not name.startswith(LOCK)}
        if not free or names - {DESCRIPTION}:
            return
        for name in os.listdir(folder):
            os.unlink(os.path.join(folder, name))
        with contextlib.suppress(OSError):
            os.rmdir(folder)
