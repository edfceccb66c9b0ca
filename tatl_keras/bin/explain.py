"""tatl-explain: which regions of a picture and which words of its text decided.

    tatl-explain --model=runs/pets cat.jpg --text="asleep on a keyboard" --output=cat.png
    tatl-explain --workdir=runs/pets --output=gallery
    tatl-explain --model=runs/pets --data=new_pictures --output=gallery

One example from the command line is explained on the screen and, with --output, as a picture with
all numbers in a JSON file beside it (cat.json). A run's test split, or --data, becomes a folder
with gallery.html, a page of the best, worst, most changed by text and most uncertain answers, and
explanations.jsonl, a line for each example that is on it. Labels are not needed; without them there
is no best and worst. --count of all examples explains every one of them.

Of a model that writes, a picture shows where it looked while it wrote each word: over the regions
of the picture, or, of a translation, over the tokens of the source. It writes as its training did
where no flag of a sampler is given.
"""

import contextlib
import json
import os
import sys
import tempfile

from absl import app, flags

import tatl_keras
from tatl_keras._files import write_whole
from tatl_keras.bin import (
    common,
    data_flags,
    explain_outputs,
    explain_writing,
    predictors,
    records,
    sampler_flags,
    trained,
)
from tatl_keras.bin import predict as _predict  # noqa: F401  (it defines --image and --text)

for _name in ("model", "workdir"):
    flags.declare_key_flag(_name)
flags.adopt_module_key_flags(data_flags)
for _name in ("split", "output", "overwrite", "batch_size", "image", "text"):
    flags.declare_key_flag(_name)
_CLASS_NAME = flags.DEFINE_string(
    "class_name", None, "Class to explain, its name or number. Default: the answer."
)
_REGIONS = flags.DEFINE_string("regions", "3x3", "Rows x columns of regions of a picture.")
_SAMPLES = flags.DEFINE_integer(
    "samples",
    400,
    "Most coalitions of regions and words that the encoders see, but 2n + 2 of n of either where "
    "that is more; four times as many halve the errors.",
    lower_bound=20,
)
_GRADE = flags.DEFINE_bool("grade", True, "Grade each map, which takes further evaluations.")
_COUNT = flags.DEFINE_integer(
    "count", 6, "Examples of each kind in a gallery, at most.", lower_bound=1
)
flags.adopt_module_key_flags(sampler_flags)
for _name in ("register", "smoke", "debug"):
    flags.declare_key_flag(_name)

HELP = {
    "model": "Workdir of tatl-train, .keras file or folder of save_to_preset.",
    "workdir": "The same, for a gallery of the run's own test split.",
    "data": "Manifest, folder or tfds:NAME, with or without labels.",
    "split": "Split to explain. Default: the test split of the training; all of another --data.",
    "output": "Picture (.png, .pdf, .svg) of one example, or folder of a gallery.",
    "overwrite": "Replace what is there.",
    "image": "The picture. Same as naming it without a flag.",
    "text": "Text of the picture. Alone: text alone.",
}
_SAVED_MODEL = "saved_model.pb"
_SMOKE = {"regions": (2, 2), "samples": 20}


def run():
    common.run(main, sys.modules[__name__])


def main(arguments):
    """Explains one example, or the most telling ones of many."""
    images, texts = [*flags.FLAGS.image, *arguments], flags.FLAGS.text
    options = _options(images, texts)
    single = bool(images or texts)
    paths = explain_outputs.asked(single)
    with contextlib.ExitStack() as stack:
        if common.SMOKE.value:
            given = common.WORKDIR.value or common.MODEL.value
            predictor = predictors.open_model(trained.smoke_workdir(stack, given))
            examples = trained.load_split(predictor.config)
        else:
            predictor = _open()
            if predictor.writes_about:
                explain_writing.check(predictor, images, texts)
            examples = _named(images, texts) if single else _load(predictor)
        if not single:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            paths = paths or explain_outputs.inside(folder)
        if not predictor.writes_about:
            options["class_name"] = _known(options["class_name"], predictor.model.class_names)
        _explain(predictor, examples, paths, single, options)
    if common.OUTPUT.value:
        print(f"{'' if single else chr(10)}Written: {', '.join(paths)}")
    skipped = examples.summary.get("skipped", [])
    for row in skipped:
        print(f"{row['id']}: {row['reason']}", file=sys.stderr)
    return 1 if skipped else 0


def _explain(predictor, examples, paths, single, options):
    if predictor.writes_about and single:
        explain_writing.explain_one(predictor, examples, paths)
    elif predictor.writes_about:
        explain_writing.explain_many(predictor, examples, paths, _COUNT.value)
    elif single:
        _explain_one(predictor.model, examples, paths, options)
    else:
        _explain_many(predictor.model, examples, paths, options)


def _options(images, texts):
    """The arguments of `model.explain`, after errors for flags that do not fit."""
    if not common.SMOKE.value:
        if bool(common.MODEL.value) == bool(common.WORKDIR.value):
            raise app.UsageError("either --model or --workdir must be given.")
        if (images or texts) and data_flags.DATA.value:
            raise app.UsageError(
                "examples must come from --data or from the command line, not both. Received: "
                f"--data={data_flags.DATA.value} and {(images + texts)[0]!r}"
            )
        if not (images or texts):
            common.required(common.OUTPUT)
    if max(len(images), len(texts)) > 1:
        raise app.UsageError(
            "there must be one picture, one text, or one of each; --data takes more. "
            f"Received: {len(images)} pictures, {len(texts)} texts"
        )
    rows, _, columns = _REGIONS.value.partition("x")
    if not (rows.isdecimal() and columns.isdecimal() and int(rows) and int(columns)):
        raise app.UsageError(
            f"--regions must be rows x columns, such as 3x3. Received: {_REGIONS.value!r}"
        )
    options = {
        "class_name": _CLASS_NAME.value,
        "regions": (int(rows), int(columns)),
        "samples": _SAMPLES.value,
        "grade": _GRADE.value,
    }
    return options | (_SMOKE if common.SMOKE.value else {})


def _known(class_name, names):
    """A class as `model.explain` takes it: a number, unless a class is called by it."""
    if class_name is None or class_name in (names or ()) or not class_name.isdecimal():
        return class_name
    return int(class_name)


def _open():
    if common.WORKDIR.value:
        config = trained.read_config(common.WORKDIR.value)
        return predictors.Predictor(trained.load_model(common.WORKDIR.value), config)
    path = common.MODEL.value
    found = [path, *(os.path.join(path, name) for name in _versions(path))]
    if any(os.path.exists(os.path.join(one, _SAVED_MODEL)) for one in found):
        raise ValueError(
            f"--model must be a run, a .keras file or a preset. Received: {path!r}, an exported "
            "model, which does not show what is inside. Give the run it was exported from."
        )
    return predictors.open_model(path)


def _versions(path):
    return [n for n in os.listdir(path) if n.isdecimal()] if os.path.isdir(path) else []


def _named(images, texts):
    """The example of the command line."""
    examples, errors = predictors.load_named(images or [""], texts or [""])
    if errors:
        raise ValueError(f"{errors[0]['id']}: {errors[0]['error']}")
    return examples


def _load(predictor):
    """The examples of the flags, with their labels if they have some that the model knows."""
    config, split = predictor.config, common.SPLIT.value
    if config and trained.is_training_data(config):
        return trained.load_split(config, split)
    common.required(data_flags.DATA)
    if predictor.writes_about:
        return predictors.load_examples(predictor, split)
    try:
        if config:
            return trained.load_split(config, split)
        return data_flags.load(split or "all", class_names=predictor.class_names)
    except ValueError as error:
        if split not in (None, "all"):
            raise
        print(f"without labels: {error}", file=sys.stderr)
        return predictors.load_examples(predictor)


def _explain_one(model, examples, paths, options):
    training = tatl_keras.training
    (element,) = examples.take(1).as_numpy_iterator()
    x = element[0] if isinstance(element, tuple) else element
    example = {"image": x["image"], "text": x["text"].decode("utf-8", "replace"), "label": None}
    raw = {name: example[name] for name in ("image", "text")}
    (explanation,) = model.explain([raw], **options, verbose=0)
    example["view"] = training.picture_view(model, example["image"])
    print(_summary(examples.ids[0], explanation))
    if paths:
        training.draw_explanation(example, explanation, paths[0])
        one = example | {"id": examples.ids[0], "row": 0, "explanation": explanation}
        training.write_json(paths[1], _record(one, examples))


def _explain_many(model, examples, paths, options):
    batching = {"count": _COUNT.value, "batch_size": common.BATCH_SIZE.value}
    found = tatl_keras.training.explanation_gallery(
        model, examples, paths[0], **batching, **options
    )
    lines = []
    for one in found:
        record = _record(one, examples) | {"sections": one["sections"]}
        lines.append(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")
    write_whole(paths[1], "".join(lines).encode())
    print(_table(found))


def _record(one, examples):
    """An example as JSON: what it is, and all that its explanation says."""
    rows = getattr(examples, "rows", None)
    picture = None if rows is None else str(rows["image"].iloc[one["row"]]) or None
    known = {"id": one["id"], "label": one["label"], "picture": picture, "text": one["text"]}
    known["view"] = one["view"]
    return known | one["explanation"].to_dict()


def _summary(name, explanation):
    """A few lines about one example."""
    from tatl_keras.training import explanation_words as words

    index = explanation.class_index
    answer = words.probability_in_words(explanation, index)
    nothing = words.percent(explanation.baseline)
    rows = []
    for modality, title, strongest in (
        ("image", "picture", words.strongest_regions),
        ("text", "text", words.strongest_words),
    ):
        if modality in explanation.evidence:
            value = words.signed(explanation.modality[modality])
            found = strongest(explanation)
            said = words.enumerate_values(found) or "no part is told from zero"
            if words.is_refused(explanation, "shapley"):
                said = f"values of parts are refused: {explanation.grades['shapley']['reason']}"
            rows.append([title, value, said])
        else:
            rows.append([title, "-", "not there, or not read by the model"])
    for key, one in explanation.maps.items():
        if words.is_refused(explanation, key):
            rows.append(["refused", "", f"{one.title}: {explanation.grades[key]['reason']}"])
    head = f"{name}: {explanation.class_name} {answer}, {nothing} without picture and text"
    return f"{head}\n{records.table(rows)}"


def _table(found):
    """A line for each example of a gallery."""
    from tatl_keras.training import explanation_words as words

    rows = [["id", "answer", "probability", "label", "picture", "text", "chosen as"]]
    for one in found:
        explanation = one["explanation"]
        best = words.best_class(explanation)
        shares = [words.signed(explanation.modality[m]) for m in ("image", "text")]
        rows.append(
            [one["id"], explanation.class_names[best],
             words.percent(explanation.probabilities[best]),
             one["label"] or "-", *shares, ", ".join(one["sections"])]
        )  # fmt: skip
    return records.table(rows)


if __name__ == "__main__":
    run()
