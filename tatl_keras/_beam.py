"""Pipelines of Apache Beam: what goes in, how they run, what they counted. Beam comes on demand."""

import os

COUNTERS = "tatl_keras"  # namespace of our metrics
_DIRECT = (None, "DirectRunner")


def import_beam(caller):
    """The module `apache_beam`; an ImportError that names `caller` and the extra without it."""
    try:
        import apache_beam
    except ImportError as error:
        raise ImportError(
            f"`{caller}` needs apache-beam, which is not installed. Install tatl_keras[beam]."
        ) from error
    return apache_beam


def check_positive(**sizes):
    """Raises a ValueError for arguments that are no ints of at least 1."""
    for name, value in sizes.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"`{name}` must be an int of at least 1. Received: {name}={value!r}")


def rows_of(examples, also=""):
    """Examples as dicts with "id", "image" (absolute path, address or bytes) and "text".

    Args:
        examples: data set of `data.load`, or such dicts in a list.
        also: what else the caller takes, for the message.

    Raises:
        ValueError: it is neither, or has no files.
    """
    if hasattr(examples, "rows"):
        if examples.rows is None:
            raise ValueError(
                "`examples` must be pictures in files. Received: a data set of TFDS, which is read "
                "in its own order, in one process."
            )
        located = examples.rows.assign(image=examples.rows["image"].map(_absolute))
        return located[["id", "image", "text"]].to_dict("records")
    if isinstance(examples, (list, tuple)) and all(isinstance(row, dict) for row in examples):
        return list(examples)
    raise ValueError(
        f"`examples` must be a data set of `data.load`{also} or a list of dicts. "
        f"Received: examples={examples!r:.80}"
    )


def _absolute(path):
    return path if not path or "://" in path else os.path.abspath(path)


def make_pipeline(beam, options):
    """A pipeline; the DirectRunner is Beam's own in Python, which needs nothing else.

    Args:
        beam: the module `apache_beam`.
        options: Beam's flags as a list of strings, its `PipelineOptions`, or `None`.
    """
    from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

    if not isinstance(options, PipelineOptions):
        options = PipelineOptions([] if options is None else list(options))
    direct = options.view_as(StandardOptions).runner in _DIRECT
    return beam.Pipeline(runner=FnApiRunner() if direct else None, options=options)


def run(beam, pipeline):
    """Runs a pipeline to its end; returns a dict of our counters.

    Raises:
        RuntimeError: it failed.
    """
    try:
        result = pipeline.run()
        result.wait_until_finish()
    except Exception as error:  # often with the traceback of a worker as its text
        words = [line for line in str(error).splitlines() if line.strip()]
        raise RuntimeError(f"The pipeline failed: {words[-1] if words else error!r}") from error
    wanted = beam.metrics.MetricsFilter().with_namespace(COUNTERS)
    found = result.metrics().query(wanted)["counters"]
    counts = {}
    for counter in found:
        name = counter.key.metric.name
        counts[name] = counts.get(name, 0) + counter.result
    return counts
