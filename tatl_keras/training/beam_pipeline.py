"""Encoding as transforms of Apache Beam: rows in, files of features out, failed rows aside."""

import json

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import AsSingleton, TaggedOutput
from apache_beam.utils.shared import Shared

from tatl_keras import _beam_files
from tatl_keras._beam import COUNTERS
from tatl_keras.data.pictures import look_at
from tatl_keras.features import FeatureCache
from tatl_keras.features.batches import default_batch_size
from tatl_keras.features.filling import SHARD_BYTES, Filler
from tatl_keras.features.keys import row_key
from tatl_keras.training import beam_files
from tatl_keras.training.packing import unpack

_FAILED, _GOOD = "failed", "good"
_KEYED = tuple[bytes, tuple[str, str, bytes]]  # (key, (name, path, contents))
_FEW_ROWS, _GROUPS = 128, 16  # so that several workers have something to do


class EncodeRows(beam.PTransform):
    """What `look_at_rows` found to files of features of one space.

        rows ─ read, hash ─ one of each key ──┐
                                              ├─ what no file has ─ groups by key ─ encode, write
        files of earlier runs ─ verify ─ keys ┘

    The keys of the missing rows decide which are encoded together, not runners and workers. So a
    bundle that is repeated writes the same file once more, under the same name.

    Args:
        modality: "image" or "text".
        packed: path of what `packing.pack` made.
        options: dict of arguments of `FeatureCache`, the augmentation aside.
        folders: dict from the ids of the spaces, in the order of the views, to their folders.
        view: int, which of them to fill.
        parts: what is wanted, "pooled", or "pooled" and "tokens".
        batch_size: int, rows the encoder sees at once, or `None` for what suits the device.
        shard_rows: int, rows of a file at most, about.
        shared: handle of `shared()`, one for all views of a modality.

    Returns:
        The `PCollection` of failed rows.
    """

    def __init__(
        self, modality, packed, options, folders, view, parts, batch_size, shard_rows, shared
    ):
        super().__init__(f"{modality}_{view}")
        self._modality, self._parts, self._shard_rows = modality, parts, shard_rows
        self._space, self._folder = list(folders.items())[view]
        self._encode = _Encode(modality, packed, options, folders, view, batch_size, parts, shared)

    def expand(self, unique):
        kept = (
            unique.pipeline
            | beam.Create([self._folder])
            | beam.FlatMap(beam_files.list_shards)
            | beam.Reshuffle()
            | beam.FlatMap(beam_files.keys_in, self._space, self._parts)
            | beam.Map(lambda key: (key, True))
        )
        joined = {"rows": unique, "kept": kept} | beam.CoGroupByKey()
        missing = joined | "missing" >> beam.ParDo(_Missing(self._modality))
        count = missing | beam.combiners.Count.Globally()
        groups = (
            missing
            | "number" >> beam.Map(_numbered, AsSingleton(count), self._shard_rows)
            | "group" >> beam.GroupByKey()
        )
        return groups | "encode" >> beam.ParDo(self._encode)


class CheckRows(beam.DoFn):
    """Counts rows, gives them names and strings, and sets those aside that have nothing in them."""

    def process(self, row):
        Metrics.counter(COUNTERS, "rows").inc()
        image, text = row.get("image") or "", row.get("text") or ""
        name = row.get("id") or (image if isinstance(image, str) else "")
        row = {"id": str(name), "image": image, "text": text}
        if image or text:
            yield row
        else:
            yield TaggedOutput(_FAILED, _failure(row, "neither picture nor text"))


def check_rows(rows):
    """`(good, failed)` of a `PCollection` of dicts."""
    checked = rows | beam.ParDo(CheckRows()).with_outputs(_FAILED, main=_GOOD)
    return checked[_GOOD], checked[_FAILED]


def look_at_rows(rows, modality):
    """`(unique, failed)`: one readable row for each different picture or text, by its key."""
    look = beam.ParDo(_Look(modality)).with_output_types(_KEYED)
    looked = rows | f"look at {modality}s" >> look.with_outputs(_FAILED, main=_GOOD)
    unique = looked[_GOOD] | f"one of equal {modality}s" >> beam.CombinePerKey(min)
    return unique, looked[_FAILED]


class _Look(beam.DoFn):
    """Row → (key, (name, path, bytes)); the path is empty where bytes are given."""

    def __init__(self, modality):
        self._modality = modality

    def process(self, row):
        value = row[self._modality]
        if not value:
            return
        path = ""
        if self._modality == "image":
            if isinstance(value, str):
                path = value
            try:
                value = _beam_files.read_picture(path) if path else value
            except OSError as error:
                yield TaggedOutput(_FAILED, _failure(row, f"unreadable picture: {error}"))
                return
            reason, _ = look_at(value, "decode")
            if reason:
                yield TaggedOutput(_FAILED, _failure(row, f"unreadable picture: {reason}"))
                return
        value = value.encode() if isinstance(value, str) else value
        yield row_key(value), (row["id"], path, b"" if path else value)


class _Missing(beam.DoFn):
    """Passes on the rows that no file holds yet."""

    def __init__(self, modality):
        self._modality = modality

    def process(self, joined):
        key, found = joined
        for row in found["rows"]:
            if any(found["kept"]):
                Metrics.counter(COUNTERS, f"{self._modality}_found").inc()
            else:
                yield key, row


class _Encode(beam.DoFn):
    """(number, [(key, row)]) → files. A process makes the encoder once, when it needs it."""

    def __init__(self, modality, packed, options, folders, view, batch_size, parts, shared):
        self._modality, self._packed, self._options = modality, packed, options
        self._folders, self._view, self._batch_size = folders, view, batch_size
        self._parts, self._shared = parts, shared
        self._filler = self._writer = None

    def process(self, group):
        if self._filler is None:
            self._filler = self._shared.acquire(self._make_filler)
            space = self._filler.spaces[self._view]
            self._writer = beam_files.ShardWriter(self._folders[space.id], space)
        keys, values, size = [], [], 0
        for key, (name, path, value) in sorted(group[1]):
            if path:
                try:
                    value = _unchanged(path, key)
                except OSError as error:
                    yield _failure({"id": name, "image": path}, f"unreadable picture: {error}")
                    continue
            keys.append(key)
            values.append((value, name))
            size += len(value)
            if size >= SHARD_BYTES:
                self._fill(keys, values)
                keys, values, size = [], [], 0
        if keys:
            self._fill(keys, values)

    def _fill(self, keys, values):
        self._filler.fill(self._writer, keys, values)
        Metrics.counter(COUNTERS, f"{self._modality}_encoded").inc(len(keys))

    def _make_filler(self):
        encoder, preprocessor, augmentation = unpack(_beam_files.read(self._packed))
        cache = FeatureCache(augmentation=augmentation, **self._options)
        filler = Filler(
            self._modality, encoder, cache, preprocessor, self._parts,
            self._batch_size or default_batch_size(), augmentation is not None,
        )  # fmt: skip
        found = [space.id for space in filler.spaces]
        if found != list(self._folders):
            raise ValueError(
                "Workers must have the encoder, its preprocessing and the versions of packages of "
                f"the features {list(self._folders)}. Received: a worker with "
                f"{json.dumps(filler.spaces[0].description['versions'])} that would make {found}. "
                "Give workers the packages of this process."
            )
        return filler


def _unchanged(path, key):
    value = _beam_files.read_picture(path)
    if row_key(value) != key:
        raise OSError(f"the file changed while it was being encoded: {path}")
    return value


def _failure(row, reason):
    Metrics.counter(COUNTERS, "failed").inc()
    image = row["image"]
    return {"id": row["id"], "image": image if isinstance(image, str) else None, "reason": reason}


def _numbered(keyed, count, shard_rows):
    """A row with the number of its group, which its key decides; few rows make smaller groups."""
    size = min(shard_rows, max(_FEW_ROWS, -(-count // _GROUPS)))
    return int.from_bytes(keyed[0][:8], "big") % -(-count // size), keyed


def shared():
    """A handle by which the threads of one process share an encoder."""
    return Shared()
