"""An export as a model of Apache Beam's RunInference, and what stands before and behind it."""

import os
import tempfile

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.ml.inference.base import (
    KeyedModelHandler,
    ModelHandler,
    PredictionResult,
    RunInference,
)
from apache_beam.pvalue import TaggedOutput

from tatl_keras import _beam_files
from tatl_keras._beam import COUNTERS
from tatl_keras.data.pictures import look_at
from tatl_keras.serving.loaded import load_classifier
from tatl_keras.serving.prediction_rows import complete_probabilities, prediction_row

_FAILED, _GOOD = "failed", "good"


class SavedModelHandler(ModelHandler):
    """Answers of an export to rows: dicts with "id", "image" (bytes) and "text".

    A process loads the export once. What fails for a batch is asked again row by row, so that a row
    fails alone.

    Args:
        directory: the numbered folder, or its address, which every worker sees.
        top_k: int, how many classes a row of the output names.
        batch_size: int, rows in a request at most.
    """

    def __init__(self, directory, top_k, batch_size):
        super().__init__(max_batch_size=batch_size)
        self._directory, self._top_k, self._batch_size = directory, top_k, batch_size

    def load_model(self):
        """The export; one at an address is copied to a folder of this process first."""
        if not _beam_files.is_address(self._directory):
            return load_classifier(self._directory)
        with tempfile.TemporaryDirectory() as folder:
            start = self._directory.rstrip("/") + "/"
            for path in _beam_files.match(f"{start}**"):
                copy = os.path.join(folder, *path.removeprefix(start).split("/"))
                _beam_files.write(copy, _beam_files.read(path))
            return load_classifier(folder)

    def run_inference(self, batch, model, inference_args=None):
        """Yields a `PredictionResult` with a row of the output for each row."""
        for row, found in zip(batch, self._answers(batch, model), strict=True):
            yield PredictionResult(row["id"], found)

    def get_num_bytes(self, batch):
        """Bytes of pictures and texts."""
        return sum(len(row["image"]) + len(row["text"].encode()) for row in batch)

    def get_metrics_namespace(self):
        """Where Beam counts batches, bytes and times."""
        return COUNTERS

    def _answers(self, batch, model):
        images, texts = [row["image"] for row in batch], [row["text"] for row in batch]
        try:
            answer = model.answer(images, texts, self._batch_size)
        except Exception as error:  # whatever TensorFlow has to say
            if len(batch) > 1:
                return [found for row in batch for found in self._answers([row], model)]
            return [{"error": f"the model failed: {_first_line(error)}"}]
        names = model.class_names or [str(i) for i in range(model.num_classes)]
        values, evidence = complete_probabilities(answer), answer["evidence"]
        found = [
            prediction_row(values[i], evidence[i].decode(), names, self._top_k)
            for i in range(len(batch))
        ]
        return [one | _unread(image, one) for image, one in zip(images, found, strict=True)]


def _unread(image, row):
    """An error for a picture that is there, but was not read because it is broken."""
    if not image or "image" in row["evidence"]:
        return {}
    reason, _ = look_at(image, "decode")
    return {"error": reason} if reason else {}


def _first_line(error):
    return next((line for line in str(error).splitlines() if line.strip()), repr(error))


class _Read(beam.DoFn):
    """(number, row) with paths → with bytes; rows whose picture cannot be read aside."""

    def process(self, numbered):
        number, row = numbered
        image, text = row.get("image") or b"", row.get("text") or ""
        name = row.get("id") or (image if isinstance(image, str) else "") or number
        row = {"id": str(name), "image": image, "text": text}
        try:
            if isinstance(image, str):
                row["image"] = _beam_files.read_picture(image)
        except OSError as error:
            yield TaggedOutput(_FAILED, (number, {"id": row["id"], "error": str(error)}))
            return
        yield number, row


class _Write(beam.DoFn):
    """(file's number, [(row's number, JSON)]) → a file with the rows in their order."""

    def __init__(self, folder, names):
        self._folder, self._names = folder, names

    def process(self, shard):
        number, lines = shard
        text = "".join(line + "\n" for _, line in sorted(lines))
        _beam_files.write(_beam_files.join(self._folder, self._names[number]), text.encode())


def predict(numbered, handler, timeout):
    """Rows of the output of a `PCollection` of (number, row).

    Args:
        numbered: rows with "id", "image" (path or bytes) and "text", by their numbers.
        handler: a `SavedModelHandler`.
        timeout: seconds for a batch, or `None`.

    Returns:
        A `PCollection` of (number, dict) with "id", and "error" where something failed.
    """
    read = numbered | "read" >> beam.ParDo(_Read()).with_outputs(_FAILED, main=_GOOD)
    infer = RunInference(KeyedModelHandler(handler))
    parts = [read[_FAILED]]
    if timeout is None:
        answered = read[_GOOD] | "answer" >> infer
    else:
        answered, lost = read[_GOOD] | "answer" >> infer.with_exception_handling(timeout=timeout)
        parts.append(lost.failed_inferences | "too late" >> beam.FlatMap(_too_late, timeout))
    rows = answered | "rows" >> beam.MapTuple(_row)
    return [*parts, rows] | beam.Flatten() | "count" >> beam.Map(_counted)


def _too_late(lost, timeout):
    """A batch that was not answered in time, or failed in Beam itself, row by row."""
    batch, error = lost
    name = getattr(error[0], "__name__", "error") if isinstance(error, tuple) else "error"
    late = name == "TimeoutError"
    reason = f"no answer in {timeout:g} s" if late else f"the model failed: {name}"
    for number, row in batch:
        yield number, {"id": row["id"], "error": reason}


def _row(number, result):
    found = result.inference
    failed = {"error": found["error"]} if "error" in found else found
    return number, {"id": result.example} | failed


def _counted(numbered):
    Metrics.counter(COUNTERS, "rows").inc()
    if "error" in numbered[1]:
        Metrics.counter(COUNTERS, "failed").inc()
    return numbered


def write(rows, folder, names, shard_rows, to_json):
    """Writes (number, dict) in the order of the numbers, `shard_rows` to a file."""
    return (
        rows
        | "lines" >> beam.MapTuple(lambda n, row: (n // shard_rows, (n, to_json(row))))
        | "files" >> beam.GroupByKey()
        | "write" >> beam.ParDo(_Write(folder, names))
    )
