"""tatl-predict: what a trained model says about pictures and texts.

    tatl-predict --model=runs/pets cat.jpg dog.jpg
    tatl-predict --model=runs/pets cat.jpg --text="sleeps on a keyboard"
    tatl-predict --model=saved_models/pets/1 --data=new.csv --output=predictions.jsonl
    tatl-predict --model=saved_models/pets/1 --data=new.csv --output=predictions \\
        --runner=DirectRunner -- --direct_num_workers=4 --direct_running_mode=multi_processing

Pictures and texts come from the command line or from --data; labels are not needed. Each row of
the output has id, label, probability and evidence: what of the row the model could read. Where that
is nothing ("none"; an export says valid=False), the answer is how frequent each class was in
training. A model that writes gives id, text, log_prob and valid: whether there was something to
write about. A row whose picture cannot be read has an error instead, stands at the end, and makes
the exit status 1; one with more pixels than the export takes counts as without picture.

With --runner an Apache Beam pipeline asks an exported model (pip install tatl_keras[beam]); flags
of Beam stand behind --. --output is then a folder, or an address such as gs://…, of files with the
rows in the order of --data; those that could not be read stand in their places.
"""

import contextlib
import json
import sys

from absl import app, flags

import tatl_keras
from tatl_keras.bin import (
    common,
    data_flags,
    predictors,
    records,
    sampler_flags,
    writing,
    writing_rows,
)

flags.declare_key_flag("model")
flags.adopt_module_key_flags(data_flags)
for _name in ("split", "output", "overwrite", "batch_size"):
    flags.declare_key_flag(_name)
_IMAGE = flags.DEFINE_multi_string(
    "image", [], "A picture; repeat it for more. Same as naming it without a flag."
)
_TEXT = flags.DEFINE_multi_string(
    "text", [], "Text of the picture; repeat it, in the order of the pictures. Alone: text alone."
)
_FORMAT = flags.DEFINE_enum(
    "format", None, ["table", "jsonl"], "Default: table on the screen, jsonl in a file."
)
_TOP_K = flags.DEFINE_integer("top_k", 1, "How many classes to show.", lower_bound=1)
flags.adopt_module_key_flags(sampler_flags)
for _name in ("runner", "register", "smoke", "debug"):
    flags.declare_key_flag(_name)

HELP = {
    "model": "Workdir of tatl-train, .keras file, folder of save_to_preset, or exported folder.",
    "data": "Manifest, folder or tfds:NAME; labels are not read.",
    "split": "Which examples of --data. Default: all.",
    "output": "File to write to instead of the screen; with --runner a folder.",
    "overwrite": "Replace --output if it exists, or the predictions in it.",
}


def run():
    common.run(main, sys.modules[__name__])


def main(arguments):
    """Prints or writes one row per example; the status is 1 if some could not be read."""
    if common.RUNNER.value is not None:
        return _predict_with_beam(arguments)
    pictures = [*_IMAGE.value, *arguments]
    errors = []
    common.check_output()
    with contextlib.ExitStack() as stack:
        if common.SMOKE.value:
            predictor, examples = predictors.smoke(stack)
        else:
            _check_flags(pictures)
            predictor = predictors.open_model(common.MODEL.value)
            if predictor.writes_about is not None:
                writing_rows.check(predictor, pictures, _TEXT.value)
            if data_flags.DATA.value:
                examples = predictors.load_examples(predictor, common.SPLIT.value)
            else:
                count = max(len(pictures), len(_TEXT.value))
                images, texts = pictures or [""] * count, _TEXT.value or [""] * count
                examples, errors = predictors.load_named(images, texts)
        rows = [] if examples is None else _rows(predictor, examples)
    _write(rows + errors, _table if predictor.writes_about is None else writing_rows.table)
    failed = [row for row in rows + errors if "error" in row]
    return _status(len(failed), len(rows + errors))


def _rows(predictor, examples):
    batch_size = common.BATCH_SIZE.value
    if predictor.writes_about is not None:
        return writing_rows.rows_of(predictor, examples, batch_size)
    writing.refuse(sampler_flags.NAMES, "a model that classifies")
    return predictors.predict(predictor, examples, _TOP_K.value, batch_size)


def _predict_with_beam(arguments):
    """Has Beam ask the export; prints how many files there are."""
    common.check_beam_flags(arguments)
    common.required(common.MODEL, data_flags.DATA, common.OUTPUT)
    given = [flag for flag in (_IMAGE, _TEXT, _FORMAT) if flag.value]
    if given or common.SMOKE.value:
        name = given[0].name if given else common.SMOKE.name
        raise app.UsageError(f"--runner must come without --{name}: it reads --data, writes jsonl.")
    nothing = predictors.Predictor(None)  # the workers load the model
    examples = predictors.load_examples(nothing, common.SPLIT.value, verify=None)
    done = tatl_keras.serving.predict_with_beam(
        common.MODEL.value, examples, common.OUTPUT.value, top_k=_TOP_K.value,
        batch_size=common.BATCH_SIZE.value, overwrite=common.OVERWRITE.value,
        pipeline_options=[f"--runner={common.RUNNER.value}", *arguments],
    )  # fmt: skip
    skipped = examples.summary.get("skipped", [])
    for row in skipped:
        print(f"{row['id']}: {row['reason']}", file=sys.stderr)
    rate = done["rows"] / done["seconds"]
    print(f"{done['rows']:,} rows in {done['files']:,} files, {rate:,.1f} examples/s with loading")
    return _status(done["failed"] + len(skipped), done["rows"] + len(skipped))


def _status(failed, count):
    """The exit status, and what is said when it is not 0."""
    if failed:
        print(f"{failed} of {count} examples could not be read", file=sys.stderr)
    return 1 if failed else 0


def _check_flags(pictures):
    common.required(common.MODEL)
    if data_flags.DATA.value and (pictures or _TEXT.value):
        raise app.UsageError(
            "examples must come from --data or from the command line, not both. Received: "
            f"--data={data_flags.DATA.value} and {(pictures + _TEXT.value)[0]!r}"
        )
    if not (data_flags.DATA.value or pictures or _TEXT.value):
        raise app.UsageError("there must be pictures, --text or --data.")
    if pictures and _TEXT.value and len(pictures) != len(_TEXT.value):
        raise app.UsageError(
            "--text must be given once for each picture, or not at all. "
            f"Received: {len(pictures)} pictures, {len(_TEXT.value)} texts"
        )


def _write(rows, table):
    path = common.OUTPUT.value
    as_table = (_FORMAT.value or ("jsonl" if path else "table")) == "table"
    text = table(rows) if as_table else "\n".join(json.dumps(r, ensure_ascii=False) for r in rows)
    if path is None:
        print(text)
        return
    with open(path, "w", encoding="utf-8") as file:
        file.write(text + "\n")


def _table(rows):
    header = ["id", "label", "probability", "evidence"] + ([] if _TOP_K.value == 1 else ["then"])
    lines = [header]
    for row in rows:
        if "error" in row:
            line = [row["id"], "-", "-", "-", row["error"]]
        else:
            then = ", ".join(f"{top['label']} {top['probability']:.3f}" for top in row["top"][1:])
            line = [row["id"], row["label"], f"{row['probability']:.3f}", row["evidence"], then]
        lines.append(line)
    width = max(len(line) if line[-1] else len(header) for line in lines)
    return records.table([(line + [""] * width)[:width] for line in lines])


if __name__ == "__main__":
    run()
