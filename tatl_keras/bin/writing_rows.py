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
    if isinstance(predictor.model, tatl_keras.serving.LoadedWriter):
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
    about, ids, rows = predictor.writes_about, iter(examples.ids), []
    for batch in examples.batch(_BATCHES * batch_size).as_numpy_iterator():
        for row in _written(predictor.model, about, list(batch[about]), batch_size):
            rows.append({"id": next(ids), **row})
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


def _written(model, about, raw, batch_size):
    """Dicts with `text`, `log_prob` and `valid`."""
    if isinstance(model, tatl_keras.serving.LoadedWriter):
        answer = model.answer(raw, batch_size)
        columns = zip(answer["texts"], answer["log_probs"], answer["valid"], strict=True)
        found = [(texts[0].decode(), float(logs[0]), bool(valid)) for texts, logs, valid in columns]
    else:
        options = sampler_flags.options() | {"batch_size": batch_size, "return_details": True}
        written = model.generate({about: raw}, **options)
        found = [(one.text, one.log_prob, one.valid) for one in written]
    return [
        {"text": text, "log_prob": log_prob if valid else 0.0, "valid": valid}
        for text, log_prob, valid in found
    ]
