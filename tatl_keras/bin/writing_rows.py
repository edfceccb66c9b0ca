"""What tatl-predict prints of models that write."""

from absl import app

import tatl_keras
from tatl_keras.bin import records, sampler_flags, writing

_BATCHES = 16  # whose pictures are in memory at once


def check(predictor, pictures, texts):
    """Raises a usage error for flags, or examples, that a model that writes does not take.

    Args:
        predictor: a `Predictor` of such a model.
        pictures, texts: lists of str, those of the command line.
    """
    writing.refuse(["top_k"], "a model that writes")
    about = predictor.writes_about
    wrong = {"image": [f"--text={text!r}" for text in texts], "text": pictures}[about]
    if wrong:
        reads = {"image": "pictures", "text": "--text"}[about]
        raise app.UsageError(f"the model reads {reads} alone. Received: {wrong[0]}")
    if _is_exported(predictor):
        writing.refuse(sampler_flags.NAMES, "an exported model, which has its own")


def rows_of(predictor, examples, batch_size):
    """The rows of the output: dicts with `id`, `text`, `log_prob` and `valid`.

    Args:
        predictor: a `Predictor` of a model that writes.
        examples: data set of `data.load`, without labels.
        batch_size: int.

    Returns:
        A list of dicts in the order of the examples; those that could not be read come last, with
        `id` and `error`.
    """
    ask = _asked if _is_exported(predictor) else _generated
    found = zip(examples.ids, ask(predictor, examples, batch_size), strict=True)
    rows = [
        {"id": name, "text": text, "log_prob": log_prob, "valid": valid}
        for name, (text, log_prob, valid) in found
    ]
    skipped = examples.summary.get("skipped", [])
    return rows + [{"id": row["id"], "error": row["reason"]} for row in skipped]


def table(rows):
    """The rows as lines with aligned columns."""
    lines = [["id", "log-probability", "text"]]
    for row in rows:
        if "error" in row:
            lines.append([row["id"], "-", f"error: {row['error']}"])
        else:
            lines.append(
                [row["id"], f"{row['log_prob']:.2f}" if row["valid"] else "-", row["text"]]
            )
    return records.table(lines)


def _asked(predictor, examples, batch_size):
    """Yields text, log-probability and whether there was something to write about, of exports."""
    for batch in examples.batch(_BATCHES * batch_size).as_numpy_iterator():
        answer = predictor.model.answer(list(batch[predictor.writes_about]), batch_size)
        columns = answer["texts"], answer["log_probs"], answer["valid"]
        for texts, logs, valid in zip(*columns, strict=True):
            yield texts[0].decode(), float(logs[0]), bool(valid)


def _generated(predictor, examples, batch_size):
    """The same of models."""
    options = sampler_flags.options(predictor.config) | {"batch_size": batch_size}
    for one in predictor.model.generate(examples, return_details=True, **options):
        yield one.text, one.log_prob, one.valid


def _is_exported(predictor):
    return isinstance(predictor.model, tatl_keras.serving.LoadedWriter)
