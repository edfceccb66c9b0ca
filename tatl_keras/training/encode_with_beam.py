"""Encoding past one machine: the features of a whole manifest as an Apache Beam pipeline."""

import json
import os
import time
import uuid

from tatl_keras import _beam
from tatl_keras.features import FeatureCache
from tatl_keras.features.filling import SHARD_ROWS
from tatl_keras.features.space import DESCRIPTION
from tatl_keras.training.feature_cache import what_to_encode

FAILED = "failed.jsonl"


def encode_with_beam(
    examples,
    encoders,
    cache,
    *,
    directory=None,
    preprocessor=None,
    uses=None,
    batch_size=None,
    augmented=False,
    shard_rows=SHARD_ROWS,
    pipeline_options=None,
):
    """Fills a feature cache with an Apache Beam pipeline; training finds it ready.

        rows → key of each → not in the cache yet → one of equal ones → groups → encode → files

    Keys and files are those of `encode`, and so are the features, bit for bit, on processors of
    one kind with one `batch_size` that is a multiple of 8, if they have AVX-512. On others, and
    with other sizes, a row's place in the batch decides how its sums are rounded, as
    `inference_function` tells: features may differ by some 1e-6 of the largest, as they do when
    `encode` is given the rows in another order.

    Rows that cannot be encoded do not stop the pipeline. They are in `failed.jsonl` in the cache,
    one `{"id", "image", "reason"}` a line; the file of an earlier run is replaced, or removed when
    no row failed. What was written stays: a pipeline that is run again encodes what is missing.

    Workers read pictures, and write files, by the paths given here, so several machines need a
    file system they all have: a mounted folder, or an address such as `gs://bucket/features`, from
    which the files are copied into a folder before training. They need tatl_keras with the extra
    `beam` and the same versions of Keras, KerasHub and TensorFlow; others are refused.

    Args:
        examples: what `data.load(..., verify=None)` gives, whose pictures are then looked at by
            the workers; or dicts with "id", "image" (path or encoded bytes) and "text", as a list
            or as a Beam transform that makes them (`beam.io.ReadFromText(…) | beam.Map(…)`).
        encoders: as `encode` takes them; those that are not frozen are left out.
        cache: a folder, an address or a `FeatureCache`.
        directory: address to write to instead of the cache's own folder.
        preprocessor, uses, augmented: as in `encode`.
        batch_size: int, how many rows an encoder sees at once. Defaults to what suits the device
            of a worker, as in `fit`.
        shard_rows: int, rows in a file at most, about; also the piece of work for one worker. Under
            16 times as many rows are cut into smaller pieces, of 128 or more.
        pipeline_options: Beam's flags as a list of strings, or its `PipelineOptions`. Defaults to
            the DirectRunner with one worker. `["--direct_num_workers=4",
            "--direct_running_mode=multi_processing"]` takes four processes of this machine,
            `["--runner=FlinkRunner", …]` and the like a cluster.

    Returns:
        A dict of ints: "rows" and "failed", and for "image" and "text" a dict of distinct examples
        "encoded" and "found"; also "seconds".

    Raises:
        ImportError: apache-beam is not installed.
        ValueError: an argument is none of these, or no encoder is frozen.
        RuntimeError: the pipeline failed. Files that were finished are kept.

    Example:

    >>> import tempfile
    >>> from tatl_keras import data, training, zoo
    >>> folder = tempfile.mkdtemp()
    >>> manifest = data.synthetic.write_manifest(folder, num_classes=2, num_examples=6)
    >>> examples = data.load(manifest, "all", verify=None, verbose=False)
    >>> model = zoo.build("test_efficientnet_image_only", num_classes=2)
    >>> done = training.encode_with_beam(examples, model, f"{folder}/features")
    >>> done["image"], done["failed"]
    ({'encoded': 6, 'found': 0}, 0)
    """
    _beam.check_positive(
        shard_rows=shard_rows, **({} if batch_size is None else {"batch_size": batch_size})
    )
    beam = _beam.import_beam("encode_with_beam")
    from tatl_keras import _beam_files

    encoders, preprocessor, uses = what_to_encode(encoders, preprocessor, uses)
    frozen = {modality: encoder for modality, encoder in encoders.items() if encoder.frozen}
    if not frozen:
        raise ValueError("`encoders` must have a frozen encoder. Received: none that is frozen")
    cache, directory = _where(cache, directory)
    staging = _beam_files.join(directory, f".beam-{uuid.uuid4().hex}")
    start = time.monotonic()
    try:
        pipeline = _beam.make_pipeline(beam, pipeline_options)
        rows = pipeline | "rows" >> _source(beam, examples, staging)
        _build(
            rows, frozen, cache, directory, staging, preprocessor=preprocessor, uses=uses,
            batch_size=batch_size, augmented=augmented, shard_rows=shard_rows,
        )  # fmt: skip
        counts = _beam.run(beam, pipeline)
        failed = _beam_files.read(_beam_files.join(staging, FAILED)).splitlines(keepends=True)
        listed = _beam_files.join(directory, FAILED)
        _beam_files.remove(listed)
        if failed:
            _beam_files.write(listed, b"".join(sorted(failed)))
    finally:
        _beam_files.remove(staging + "/", staging)
    kinds = ("encoded", "found")
    done = {m: {kind: counts.get(f"{m}_{kind}", 0) for kind in kinds} for m in frozen}
    seconds = round(time.monotonic() - start, 3)
    return {name: counts.get(name, 0) for name in ("rows", "failed")} | done | {"seconds": seconds}


def _where(cache, directory):
    """(`FeatureCache`, folder or address to write to)."""
    if directory is None and isinstance(cache, (str, os.PathLike)) and "://" in os.fspath(cache):
        cache, directory = FeatureCache(), os.fspath(cache)
    cache = FeatureCache.get(cache)
    directory = directory or getattr(cache, "directory", None)
    if directory is None:
        raise ValueError(
            "`cache` must be a folder, an address or a FeatureCache with a folder. Received: "
            f"cache={cache!r}, without one. Other processes cannot write into this one's memory."
        )
    return cache, os.fspath(directory) if "://" in directory else os.path.abspath(directory)


def _source(beam, examples, staging):
    """The transform that makes rows."""
    from tatl_keras import _beam_files

    if isinstance(examples, beam.PTransform):
        return examples
    rows = _beam.rows_of(examples, ", a Beam transform")
    if not hasattr(examples, "rows"):
        return beam.Create(rows)
    path = _beam_files.join(staging, "rows.jsonl")
    _beam_files.write(path, b"".join(json.dumps(row).encode() + b"\n" for row in rows))
    return beam.io.ReadFromText(path) | beam.Map(json.loads)


def _build(rows, encoders, cache, directory, staging, *, uses, augmented, preprocessor, **sizes):
    """Adds the steps behind the rows to the pipeline, and makes the folders."""
    import apache_beam as beam

    from tatl_keras import _beam_files
    from tatl_keras.training import beam_pipeline, packing

    rows, failed = beam_pipeline.check_rows(rows)
    rows, failures = rows | beam.Reshuffle(), [failed]
    names = ("dtype", "compute_dtype", "jit_compile", "views")
    for modality, encoder in encoders.items():
        parts = ("pooled", *(["tokens"] if f"{modality}_tokens" in uses else []))
        spaces = cache.spaces(modality, encoder, preprocessor, parts, augmented)
        folders = {space.id: _beam_files.join(directory, space.id) for space in spaces}
        for space in spaces:
            text = json.dumps(space.description, indent=1)
            _beam_files.write(_beam_files.join(folders[space.id], DESCRIPTION), text.encode())
        views = augmented and cache.views and modality == "image"
        augmentation = cache.augmentation if views else None
        packed = _beam_files.join(staging, f"{modality}.npz")
        _beam_files.write(packed, packing.pack(encoder, preprocessor, augmentation))
        options = {name: getattr(cache, name) for name in (names if views else names[:-1])}
        shared = beam_pipeline.shared()
        unique, failed = beam_pipeline.look_at_rows(rows, modality)
        failures.append(failed)
        for view in range(len(spaces)):
            encode = beam_pipeline.EncodeRows(
                modality, packed, options, folders, view, parts, shared=shared, **sizes
            )
            failures.append(unique | encode)
    lines = failures | beam.Flatten() | "to JSON" >> beam.Map(json.dumps)
    path = _beam_files.join(staging, FAILED)
    lines | "failed" >> beam.io.WriteToText(path, shard_name_template="")
