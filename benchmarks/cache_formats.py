"""Files for features side by side: safetensors as the cache uses it, and what else there is.

    python benchmarks/cache_formats.py

Writes and reads pooled vectors (4096 x 1280) and tokens (512 x 49 x 1280), float32, in every format
in turn, round after round: writing with fsync, reading all rows in their order, and batches of 32
random rows as one array. Files are in the page cache when they are read. Needs array_record and
pyarrow. Writes benchmarks/results/cache_formats.csv with medians over the rounds; `check` is what
notices a flipped bit: ours pays for it once a file (`verify_s`), TFRecord in every read but random
ones, ArrayRecord in every read.
"""

import contextlib
import os
import statistics
import struct
import tempfile
import time

import numpy as np
import pyarrow as pa
import tensorflow as tf
from absl import app, flags
from array_record.python import array_record_module
from conditions import write_results

from tatl_keras.features import shards

_ROUNDS = flags.DEFINE_integer("rounds", 7, "How often everything is measured.")

SHAPES = {"pooled": (4096, 1280), "tokens": (512, 49, 1280)}
BATCH, BATCHES = 32, 24
SPACE = "0" * 64


class Safetensors:
    """The cache's own files, through the cache's own code."""

    check = "SHA-256 of the file"

    def write(self, folder, values):
        count = len(values)
        rows = {"has": np.ones(count, "uint8"), "pooled": values}
        if values.ndim == 3:
            offsets = np.arange(count + 1, dtype="int64") * values.shape[1]
            tokens = values.reshape(-1, values.shape[-1])
            rows = rows | {"pooled": values[:, 0], "tokens": tokens, "offsets": offsets}
            rows["mask"] = np.ones(len(tokens), "uint8")
        keys = [number.to_bytes(32, "big") for number in range(count)]
        self.path = shards.write_shard(folder, SPACE, keys, rows)

    def open(self, shape):
        self.shape, self.shard = shape, shards.Shard(self.path, SPACE)
        self.part = "tokens" if len(shape) == 3 else "pooled"

    def all(self):
        return self.rows(np.arange(self.shape[0]))

    def rows(self, places):
        order = np.argsort(places)
        part = self.shard.read(places[order], [self.part])[self.part]
        found = np.empty((len(places), *self.shape[1:]), "float32")
        if self.part == "pooled":
            found[order] = part
            return found
        for place, values in zip(order, part, strict=True):
            found[place] = values
        return found


class TFRecord:
    """One record a row; a second file says where each begins."""

    check = "CRC-32C of the row, not in random reads"

    def write(self, folder, values):
        self.path = os.path.join(folder, "rows.tfrecord")
        with tf.io.TFRecordWriter(self.path) as writer:
            for row in values:
                writer.write(row.tobytes())
        record = values[0].nbytes + 16
        np.save(self.path + ".npy", np.arange(len(values), dtype="int64") * record)
        _sync(self.path, self.path + ".npy")

    def open(self, shape):
        self.shape, self.offsets = shape, np.load(self.path + ".npy")

    def all(self):
        found = np.empty(self.shape, "float32")
        records = tf.data.TFRecordDataset(self.path).prefetch(tf.data.AUTOTUNE)
        for place, record in enumerate(records.as_numpy_iterator()):
            found[place] = np.frombuffer(record, "float32").reshape(self.shape[1:])
        return found

    def rows(self, places):
        found = np.empty((len(places), *self.shape[1:]), "float32")
        with open(self.path, "rb", buffering=0) as file:
            for number, place in enumerate(places):
                (length,) = struct.unpack("<Q", os.pread(file.fileno(), 8, self.offsets[place]))
                record = os.pread(file.fileno(), length, self.offsets[place] + 12)
                found[number] = np.frombuffer(record, "float32").reshape(self.shape[1:])
        return found


class ArrayRecord:
    """One record a row, each by itself, not compressed."""

    check = "a hash of each chunk"

    def write(self, folder, values):
        self.path = os.path.join(folder, "rows.arrayrecord")
        options = "group_size:1,uncompressed"
        writer = array_record_module.ArrayRecordWriter(self.path, options)
        for row in values:
            writer.write(row.tobytes())
        writer.close()
        _sync(self.path)

    def open(self, shape):
        self.shape = shape
        self.reader = array_record_module.ArrayRecordReader(self.path)

    def all(self):
        return self._stack(self.reader.read_all())

    def rows(self, places):
        return self._stack(self.reader.read([int(place) for place in places]))

    def _stack(self, records):
        found = np.empty((len(records), *self.shape[1:]), "float32")
        for place, record in enumerate(records):
            found[place] = np.frombuffer(record, "float32").reshape(self.shape[1:])
        return found


class ArrowIPC:
    """Lists of one length in record batches of 256 rows, mapped into memory."""

    check = "none"
    _GROUP = 256

    def write(self, folder, values):
        self.path = os.path.join(folder, "rows.arrow")
        flat = values.reshape(len(values), -1)
        kind = pa.list_(pa.float32(), flat.shape[1])
        with pa.ipc.new_file(self.path, pa.schema([("row", kind)])) as writer:
            for start in range(0, len(flat), self._GROUP):
                some = pa.array(flat[start : start + self._GROUP].ravel())
                column = pa.FixedSizeListArray.from_arrays(some, type=kind)
                writer.write_batch(pa.record_batch([column], ["row"]))
        _sync(self.path)

    def open(self, shape):
        self.shape, reader = shape, pa.ipc.open_file(pa.memory_map(self.path))
        columns = [reader.get_batch(i).column(0) for i in range(reader.num_record_batches)]
        views = [column.flatten().to_numpy(zero_copy_only=True) for column in columns]
        self.views = [view.reshape(-1, *shape[1:]) for view in views]

    def all(self):
        return np.concatenate(self.views)

    def rows(self, places):
        return np.stack([self.views[place // self._GROUP][place % self._GROUP] for place in places])


class Npy:
    """One array, mapped into memory."""

    check = "none"

    def write(self, folder, values):
        self.path = os.path.join(folder, "rows.npy")
        np.save(self.path, values)
        _sync(self.path)

    def open(self, shape):
        self.values = np.load(self.path, mmap_mode="r")

    def all(self):
        return np.array(self.values)

    def rows(self, places):
        return self.values[places]


FORMATS = {
    "safetensors": Safetensors,
    "TFRecord": TFRecord,
    "ArrayRecord": ArrayRecord,
    "Arrow IPC": ArrowIPC,
    "npy": Npy,
}


def main(argv):
    del argv
    rng, rows = np.random.default_rng(0), []
    for name, shape in SHAPES.items():
        values = rng.normal(size=shape).astype("float32")
        measured = {form: [] for form in FORMATS}
        for _ in range(_ROUNDS.value):
            places = rng.integers(0, shape[0], (BATCHES, BATCH))
            for form, make in FORMATS.items():
                measured[form].append(_measure(make(), values, places))
        rows += [_row(name, form, measured) for form in FORMATS]
        print(*rows[-len(FORMATS) :], sep="\n", flush=True)
    write_results("cache_formats.csv", rows)


def _measure(form, values, places):
    """Seconds of each step, and bytes; what is read must be what was written."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        seconds = {}
        seconds["write_s"], _ = _timed(form.write, folder, values)
        size = sum(entry.stat().st_size for entry in os.scandir(folder))
        seconds["open_s"], _ = _timed(form.open, values.shape)
        stack.callback(form.__dict__.clear)  # maps and readers, before the folder goes
        seconds["sequential_s"], found = _timed(form.all)
        if not np.array_equal(found, values):
            raise ValueError(f"{type(form).__name__} gave back other values.")
        batches = [_timed(form.rows, some) for some in places]
        if not np.array_equal(batches[-1][1], values[places[-1]]):
            raise ValueError(f"{type(form).__name__} gave back other rows.")
        seconds["batch_ms"] = 1000 * statistics.median(taken for taken, _ in batches)
        seconds["verify_s"] = (
            _timed(shards.verify_name, form.path)[0] if isinstance(form, Safetensors) else None
        )
        return seconds | {"bytes": size}


def _row(name, form, measured):
    medians = {
        what: None if value is None else statistics.median(m[what] for m in measured[form])
        for what, value in measured[form][0].items()
    }
    ours = measured["safetensors"]
    ratios = {}
    for what in ("write_s", "sequential_s", "batch_ms"):
        paired = [one[what] / other[what] for one, other in zip(measured[form], ours, strict=True)]
        ratios[f"{what.split('_')[0]}_over_safetensors"] = round(statistics.median(paired), 2)
    rounded = {
        what: value if value is None or what == "bytes" else round(value, 5)
        for what, value in medians.items()
    }
    shape = " x ".join(map(str, SHAPES[name]))
    return {"features": name, "shape": shape, "format": form} | rounded | ratios | {
        "check": FORMATS[form].check, "rounds": _ROUNDS.value
    }  # fmt: skip


def _timed(function, *arguments):
    start = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - start, result


def _sync(*paths):
    for path in paths:
        with open(path, "rb") as file:
            os.fsync(file.fileno())


if __name__ == "__main__":
    app.run(main)
