"""Predictions past one machine: an export asked about a whole manifest by Apache Beam."""

import functools
import json
import os
import time
import uuid

from tatl_keras import _beam

_NAME = "predictions-{:05d}-of-{:05d}.jsonl"


def predict_with_beam(
    directory,
    examples,
    output,
    *,
    top_k=1,
    batch_size=32,
    shard_rows=10_000,
    timeout=None,
    overwrite=False,
    pipeline_options=None,
):
    """Asks an export about every example with Beam's RunInference, and writes JSON lines.

        rows → read pictures → batches → the export → rows of the output → files, in order

    Files are `predictions-00000-of-00003.jsonl` and so on: one line for each example, in the order
    of the examples, whatever the runner and its workers do. A line has "id", and either "label",
    "probability", "evidence" and "top", as `tatl-predict` writes them, or "error": the picture
    cannot be read, or the model failed. Each file is written beside and renamed, so it is whole or
    not there.

    Each process of a worker loads the export once. Workers need tatl_keras with the extra `beam`,
    and must see the export, the pictures and `output` under the paths given here: in a folder that
    all of them mount, or at an address such as `gs://bucket/pets/1`.

    Args:
        directory: a SavedModel that `model.export` wrote, the numbered folder.
        examples: what `data.load(..., verify=None)` gives, whose pictures are then looked at by
            the workers; or a list of dicts with "id", "image" (path or encoded bytes) and "text".
        output: folder or address to write to; made if it is not there.
        top_k: int, how many classes "top" holds.
        batch_size: int, examples in one request at most.
        shard_rows: int, examples in a file.
        timeout: float, seconds that a batch may take before its examples get an "error", or
            `None`. Count loading in: a process loads the export with its first batch.
        overwrite: bool, whether predictions that are in `output` are removed first.
        pipeline_options: Beam's flags as a list of strings, or its `PipelineOptions`. Defaults to
            the DirectRunner with one worker.

    Returns:
        A dict: ints "rows", "failed", "files", and "seconds".

    Raises:
        ImportError: apache-beam is not installed.
        FileNotFoundError: there is no SavedModel in `directory`.
        FileExistsError: `output` holds predictions, and not `overwrite`.
        ValueError: an argument is none of these, or there is no example.
        RuntimeError: the pipeline failed. Files that were finished are kept.

    Example:

    >>> import tempfile
    >>> from tatl_keras import data, serving, zoo
    >>> folder = tempfile.mkdtemp()
    >>> manifest = data.synthetic.write_manifest(folder, num_classes=2, num_examples=4)
    >>> model = zoo.build("test_efficientnet_image_only", num_classes=2)
    >>> model.export(f"{folder}/pets/1")
    >>> examples = data.load(manifest, "all", verify=None, verbose=False)
    >>> done = serving.predict_with_beam(f"{folder}/pets/1", examples, f"{folder}/out")
    >>> done["rows"], done["failed"], os.listdir(f"{folder}/out")
    (4, 0, ['predictions-00000-of-00001.jsonl'])
    """
    _beam.check_positive(top_k=top_k, batch_size=batch_size, shard_rows=shard_rows)
    if timeout is not None and not (isinstance(timeout, (int, float)) and timeout > 0):
        raise ValueError(f"`timeout` must be seconds above 0. Received: timeout={timeout!r}")
    rows = _beam.rows_of(examples)
    if not rows:
        raise ValueError("`examples` must have an example. Received: none")
    beam = _beam.import_beam("predict_with_beam")
    from tatl_keras import _beam_files
    from tatl_keras.serving import beam_inference

    directory, output = _located(directory), _located(output)
    _check_export(directory)
    _make_room(output, overwrite)
    count = -(-len(rows) // shard_rows)
    names = [_NAME.format(place, count) for place in range(count)]
    staging = _beam_files.join(output, f".beam-{uuid.uuid4().hex}")
    start = time.monotonic()
    try:
        pipeline = _beam.make_pipeline(beam, pipeline_options)
        source = _source(beam, rows, staging)
        numbered = pipeline | "examples" >> source | "spread" >> beam.Reshuffle()
        handler = beam_inference.SavedModelHandler(directory, top_k, batch_size)
        answered = beam_inference.predict(numbered, handler, timeout)
        to_json = functools.partial(json.dumps, ensure_ascii=False)
        beam_inference.write(answered, output, names, shard_rows, to_json)
        counts = _beam.run(beam, pipeline)
    finally:
        _beam_files.remove(staging + "/", staging)
    done = {name: counts.get(name, 0) for name in ("rows", "failed")}
    return done | {"files": len(names), "seconds": round(time.monotonic() - start, 3)}


def _located(path):
    path = os.fspath(path)
    return path if "://" in path else os.path.abspath(path)


def _check_export(directory):
    if "://" not in directory and not os.path.isfile(os.path.join(directory, "saved_model.pb")):
        raise FileNotFoundError(
            "`directory` must hold a SavedModel (saved_model.pb). "
            f"Received: directory={directory!r}. It is the numbered folder, as in pets/1."
        )


def _make_room(output, overwrite):
    """Removes earlier predictions, of which there may be more files, or refuses them."""
    from tatl_keras import _beam_files

    there = _beam_files.match(_beam_files.join(output, "predictions-*.jsonl"))
    if there and not overwrite:
        raise FileExistsError(
            "`output` must hold no predictions, or overwrite=True. Received: "
            f"output={output!r} with {os.path.basename(there[0])!r}"
        )
    _beam_files.remove(*there)


def _source(beam, rows, staging):
    """The transform that makes (number, row)."""
    from tatl_keras import _beam_files

    if any(isinstance(row.get("image"), bytes) for row in rows):
        return beam.Create(list(enumerate(rows)))
    path = _beam_files.join(staging, "rows.jsonl")
    lines = (json.dumps([number, row]).encode() + b"\n" for number, row in enumerate(rows))
    _beam_files.write(path, b"".join(lines))
    return beam.io.ReadFromText(path) | beam.Map(lambda line: tuple(json.loads(line)))
