"""Files of features: safetensors named by their own SHA-256."""

import contextlib
import hashlib
import json
import math
import os

import ml_dtypes
import numpy as np
import safetensors.numpy

from tatl_keras._files import write_whole

FORMAT = "tatl_keras.features/1"
SUFFIX = ".safetensors"
DTYPES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
_NUMPY = {
    "F32": np.dtype("float32"),
    "F16": np.dtype("float16"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "U8": np.dtype("uint8"),
    "I64": np.dtype("int64"),
}
_COLUMNS, _TOKEN_COLUMNS = {"keys", "has", "pooled"}, {"tokens", "mask", "offsets"}
_CHUNK = 1 << 20


def numpy_dtype(name):
    """The NumPy dtype of one of `DTYPES`."""
    return _NUMPY[DTYPES[name]]


class CorruptShard(ValueError):
    """A file of features is not what was written."""


def write_shard(directory, space, keys, rows):
    """Writes features as one file that is there whole or not at all.

        <SHA-256 of the file>.safetensors, with the tensors

        keys      (N, 32)     uint8    SHA-256 of each example's own bytes
        has       (N,)        uint8    0 where there turned out to be nothing, as in a blank text
        pooled    (N, D)      float32, float16 or bfloat16
        tokens    (S, D)      the same, the real tokens of all rows one after the other; optional
        mask      (S,)        uint8    1 = real token; with `tokens`
        offsets   (N + 1,)    int64    row i has tokens offsets[i] to offsets[i + 1]; with `tokens`

    and the metadata `format`, which names the space. The name is the checksum. Any reader of
    safetensors can map such a file into memory.

    Args:
        directory: folder.
        space: what the features are of, see `keys.identify`.
        keys: list of N times 32 bytes.
        rows: dict of the other arrays.

    Returns:
        Path of the file.

    Raises:
        OSError: it could not be written, the disk is full for example. Nothing is left behind.
    """
    columns = {"keys": np.frombuffer(b"".join(keys), np.uint8).reshape(-1, 32), **rows}
    arrays = {name: np.ascontiguousarray(array) for name, array in columns.items()}
    contents = safetensors.numpy.save(arrays, {"format": f"{FORMAT} {space}"})
    path = os.path.join(directory, hashlib.sha256(contents).hexdigest() + SUFFIX)
    try:
        write_whole(path, contents)
    except OSError as error:
        raise OSError(
            error.errno,
            f"The feature cache must be writable. Received: {os.strerror(error.errno or 0)} while "
            f"writing {len(contents):,} bytes. Shards that were finished are kept",
            directory,
        ) from error
    return path


class Shard:
    """One file of features; reads rows without loading the file.

    Args:
        path: file that `write_shard` wrote.
        space: what its features must be of.

    Raises:
        CorruptShard: the file is truncated, is no such file, or belongs to another space.
    """

    def __init__(self, path, space):
        self.path = path
        self._verified = False
        self._tensors, self._start = _read_header(path, space)
        self.parts = frozenset(self._tensors) & {"pooled", "tokens"}
        self.keys = [key.tobytes() for key in self._whole("keys")]
        self._offsets = self._whole("offsets") if "offsets" in self._tensors else None
        self._has = self._whole("has")

    def verify(self):
        """Raises CorruptShard unless every byte is as written; looks once, and notes the use."""
        if not self._verified:
            verify_name(self.path)
            self._verified = True
            with contextlib.suppress(OSError):  # a folder may be read-only
                os.utime(self.path)

    def lengths(self, rows):
        """Number of tokens of each row."""
        return self._offsets[rows + 1] - self._offsets[rows]

    def read(self, rows, parts):
        """Features of some rows.

        Args:
            rows: int array (R,).
            parts: names, "pooled" or "tokens".

        Returns:
            Dict of "has" (R,), "pooled" (R, D) as stored, and lists "tokens" and "mask" of one
            array a row.
        """
        with _open(self.path) as file:
            found = {"has": self._has[rows]}
            if "pooled" in parts:
                runs = np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1)
                pooled = [self._some(file, "pooled", run[0], run[-1] + 1) for run in runs]
                found["pooled"] = np.concatenate(pooled)
            if "tokens" in parts:
                ends = [(self._offsets[row], self._offsets[row + 1]) for row in rows]
                found["tokens"] = [self._some(file, "tokens", *end) for end in ends]
                found["mask"] = [self._some(file, "mask", *end) for end in ends]
        return found

    def _whole(self, name):
        with _open(self.path) as file:
            return self._some(file, name, 0, self._tensors[name]["shape"][0])

    def _some(self, file, name, begin, end):
        """Rows `begin` to `end` of a tensor."""
        tensor = self._tensors[name]
        shape, dtype = tensor["shape"][1:], _NUMPY[tensor["dtype"]]
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        place = self._start + tensor["data_offsets"][0] + int(begin) * size
        contents = os.pread(file.fileno(), size * int(end - begin), place)
        if len(contents) != size * (end - begin):
            raise CorruptShard(f"A file of features is truncated: {self.path}")
        return np.frombuffer(contents, dtype).reshape(int(end - begin), *shape)


def verify_name(path):
    """Raises CorruptShard unless a file's SHA-256 is its name."""
    digest = hashlib.sha256()
    with _open(path) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    if digest.hexdigest() + SUFFIX != os.path.basename(path):
        raise CorruptShard(f"The bytes of a file of features have changed: {path}")


def _open(path):
    try:
        return open(path, "rb", buffering=0)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            error.errno, "A file of the feature cache was removed while it was in use", path
        ) from None


def _read_header(path, space):
    """(tensors by name, place of the first byte after the header)."""
    try:
        with _open(path) as file:
            length = int.from_bytes(file.read(8), "little")
            size = os.path.getsize(path)
            header = json.loads(file.read(min(length, size)))
        own = header.pop("__metadata__")["format"] == f"{FORMAT} {space}"
        whole = 8 + length + max(_end(tensor) for tensor in header.values())
        own = own and set(header) in (_COLUMNS, _COLUMNS | _TOKEN_COLUMNS)
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError):
        raise CorruptShard(f"A file of features has no readable header: {path}") from None
    if not own:
        raise CorruptShard(f"A file of features belongs to another folder or version: {path}")
    if size != whole:
        raise CorruptShard(f"A file of features is truncated: {path} ({size} of {whole} bytes)")
    return header, 8 + length


def _end(tensor):
    """Place behind the last byte of a tensor; ValueError where its places and shape differ."""
    begin, end = tensor["data_offsets"]
    if end - begin != math.prod(tensor["shape"]) * _NUMPY[tensor["dtype"]].itemsize:
        raise ValueError("The place of a tensor must be as long as its shape says.")
    return end
