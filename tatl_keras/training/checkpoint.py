"""Checkpoints of a training that is under way: files that are whole, numbered, and checked."""

import hashlib
import json
import os
import re

import ml_dtypes
import numpy as np
import safetensors.numpy
from absl import logging

from tatl_keras._files import UNFINISHED, write_whole

_NAME = re.compile(r"checkpoint-(\d{8})-([0-9a-f]{16})\.safetensors")
_ARRAY = "__array__"
_BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


class DamagedCheckpoint(ValueError):
    """A file is not what was written."""


def write_checkpoint(folder, state, keep):
    """Writes a state as the next checkpoint of a folder, and removes the oldest ones.

        checkpoint-<number>-<SHA-256 of the file, 16 digits>.safetensors

    Args:
        folder: made where it is not there.
        state: dicts and lists of arrays and of what `json` can write.
        keep: int, how many checkpoints are left.

    Returns:
        Path of the file.

    Raises:
        OSError: it could not be written, the disk is full for example; earlier ones are kept.
    """
    arrays = {}
    values = json.dumps(_without_arrays(state, arrays))
    contents = safetensors.numpy.save(arrays, {"state": values})
    there = list_checkpoints(folder)
    number = there[-1][0] + 1 if there else 0
    name = f"checkpoint-{number:08d}-{hashlib.sha256(contents).hexdigest()[:16]}.safetensors"
    path = os.path.join(folder, name)
    try:
        os.makedirs(folder, exist_ok=True)
        write_whole(path, contents)
    except OSError as error:
        kept = f"{there[-1][1]} is kept" if there else "there is none yet"
        raise OSError(
            error.errno,
            f"A checkpoint must fit into its folder. Received: {os.strerror(error.errno or 0)} "
            f"while writing {len(contents):,} bytes. The last checkpoint: {kept}",
            folder,
        ) from error
    for _, old in there[: len(there) + 1 - keep]:
        os.unlink(old)
    return path


def list_checkpoints(folder):
    """Pairs of number and path, the oldest first."""
    names = os.listdir(folder) if os.path.isdir(folder) else []
    found = [(int(match[1]), match[0]) for match in map(_NAME.fullmatch, names) if match]
    return [(number, os.path.join(folder, name)) for number, name in sorted(found)]


def read_newest(folder):
    """Reads the newest checkpoint that is whole; damaged ones are named and left out.

    Returns:
        The state and its file's path, or `(None, None)` where there are no checkpoints.

    Raises:
        ValueError: there are some, and all are damaged.
    """
    there = list_checkpoints(folder)
    for _, path in reversed(there):
        try:
            return read_checkpoint(path), path
        except (DamagedCheckpoint, OSError) as error:
            logging.warning("Checkpoint left out: %s", error)
    if there:
        raise ValueError(
            f"`backup_dir` must hold a whole checkpoint. Received: {os.fspath(folder)!r}, where "
            f"all {len(there)} are damaged. Without the folder training starts from the beginning."
        )
    return None, None


def read_checkpoint(path):
    """The state in a file of `write_checkpoint`; raises DamagedCheckpoint if a bit is not right."""
    with open(path, "rb") as file:
        contents = file.read()
    if hashlib.sha256(contents).hexdigest()[:16] != _NAME.fullmatch(os.path.basename(path))[2]:
        raise DamagedCheckpoint(f"{path} is not what was written: its SHA-256 is another.")
    length = int.from_bytes(contents[:8], "little")
    values = json.loads(contents[8 : 8 + length])["__metadata__"]["state"]
    return _with_arrays(json.loads(values), safetensors.numpy.load(contents))


def delete_checkpoints(folder):
    """Removes all checkpoints, what a killed process left of one, and the folder if that is all."""
    remove_unfinished(folder)
    for _, path in list_checkpoints(folder):
        os.unlink(path)
    if os.path.isdir(folder) and not os.listdir(folder):
        os.rmdir(folder)


def remove_unfinished(folder):
    """Removes what a killed process left of a checkpoint; only one process may write there."""
    for name in os.listdir(folder) if os.path.isdir(folder) else []:
        if name.startswith(UNFINISHED):
            os.unlink(os.path.join(folder, name))


def _without_arrays(value, arrays):
    """The same nested structure with names for arrays, which are added to `arrays`."""
    if isinstance(value, dict):
        return {key: _without_arrays(part, arrays) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_arrays(part, arrays) for part in value]
    if not isinstance(value, np.ndarray):
        return value.item() if isinstance(value, np.generic) else value
    name, is_bfloat16 = str(len(arrays)), value.dtype == _BFLOAT16
    # Safetensors for NumPy has no bfloat16.
    arrays[name] = np.ascontiguousarray(value.view(np.uint16) if is_bfloat16 else value)
    arrays[name] = arrays[name].reshape(value.shape)  # a scalar has become a vector
    return {_ARRAY: name, "bfloat16": is_bfloat16}


def _with_arrays(value, arrays):
    if isinstance(value, list):
        return [_with_arrays(part, arrays) for part in value]
    if not isinstance(value, dict):
        return value
    if _ARRAY in value:
        array = arrays[value[_ARRAY]]
        return array.view(_BFLOAT16) if value["bfloat16"] else array
    return {key: _with_arrays(part, arrays) for key, part in value.items()}
