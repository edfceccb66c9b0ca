"""tatl-export: makes a SavedModel for TensorFlow Serving, and proves it before it appears.

    tatl-export --workdir=runs/pets --output=saved_models/pets
    tatl-export --workdir=runs/pets --output=saved_models/pets --bfloat16 --keep=3
    tatl-export --check=saved_models/pets/1

Pictures go in as bytes and texts as strings. --output is the folder of the model's versions, and
the export becomes the next one; or it ends in the version's number. The export is loaded in a new
process that imports TensorFlow only and is asked about some examples; it appears when the answers
are those of the model: probabilities to 1e-5; texts to the letter, log-probabilities to 1e-4.

If the training had a validation split, probabilities are calibrated on it, and it is replayed
through the export: what the temperature, --bfloat16 and --quantize change is printed, and written
to the export's MANIFEST.json.

A model that writes is exported with a --sampler and a --max_length, those of the training where
none is given; requests cannot change them.

--check exports nothing: it reads a SavedModel, also a foreign one, without running any of it, and
prints a line for each thing that TensorFlow Serving 2.20 would stumble over. The exit status is 1
if it cannot be served, 0 if there is at most advice.
"""

import contextlib
import os
import sys
import tempfile

from absl import flags

import tatl_keras
from tatl_keras.bin import (
    common,
    data_flags,
    exporting,
    records,
    sampler_flags,
    trained,
    writing,
    writing_export,
)

flags.adopt_module_key_flags(data_flags)
for _name in ("workdir", "output", "overwrite", "models_config"):
    flags.declare_key_flag(_name)
_EXAMPLES = flags.DEFINE_integer(
    "examples", 8, "How many examples of the test split are compared.", lower_bound=1
)
_MAX_PIXELS = flags.DEFINE_integer(
    "max_pixels",
    None,
    "Pictures with more pixels are rejected by their header. Default: as of `model.export`.",
    lower_bound=1,
)
_CALIBRATE = flags.DEFINE_bool(
    "calibrate", True, "Divide logits by the temperature that suits the validation split best."
)
_FREEZE = flags.DEFINE_bool("freeze", False, "Make the weights constants of the graph.")
_BFLOAT16 = flags.DEFINE_bool("bfloat16", False, "Let the encoders compute in bfloat16.")
_QUANTIZE = flags.DEFINE_bool(
    "quantize", False, "Hold large weights as 8-bit integers: a quarter of the space."
)
_TFLITE = flags.DEFINE_string("tflite", None, "TFLite file to write too, of ready tensors.")
_ONNX = flags.DEFINE_string("onnx", None, "ONNX file to write too; needs the extra `onnx`.")
_KEEP = flags.DEFINE_integer(
    "keep",
    None,
    "How many of the newest versions stay; older ones are removed, but none that --models_config "
    "names. Default: all.",
    lower_bound=1,
)
_CHECK = flags.DEFINE_string(
    "check", None, "Folder of a SavedModel to check for TensorFlow Serving; nothing is exported."
)
flags.adopt_module_key_flags(sampler_flags)
for _name in ("register", "smoke", "debug"):
    flags.declare_key_flag(_name)

HELP = {
    "workdir": "Folder of the run whose model is exported.",
    "data": "Where the examples for the comparison come from; default: the data of the training.",
    "output": "Folder of the model's versions, saved_models/pets; or of one, saved_models/pets/1.",
    "overwrite": "Replace --output if it holds an export.",
    "models_config": "For --keep: the server's --model_config_file. Default: models.config beside "
    "--output.",
}


def run():
    common.run(main, sys.modules[__name__])


def main(arguments):
    """Exports, compares, and only then moves the export to its place; or checks one."""
    common.no_arguments(arguments)
    if _CHECK.value is not None:
        return check(_CHECK.value)
    with contextlib.ExitStack() as stack:
        if common.SMOKE.value:
            workdir = trained.smoke_workdir(stack, common.WORKDIR.value)
            output = os.path.join(stack.enter_context(tempfile.TemporaryDirectory()), "1")
        else:
            common.required(common.WORKDIR, common.OUTPUT)
            workdir, output = common.WORKDIR.value, common.OUTPUT.value
        _check_output(output)
        config = trained.read_config(workdir)
        writes = records.task_in(config) != "classify"
        if writes:
            writing.refuse((_TFLITE.name, _ONNX.name), "a model that writes")
        else:
            writing.refuse(sampler_flags.NAMES, "a model that classifies")
        made = (_export_writer if writes else _export)(workdir, config, output)
        for write, path in (("to_tflite", _TFLITE.value), ("to_onnx", _ONNX.value)):
            if path:
                getattr(tatl_keras.serving, write)(made, path, overwrite=common.OVERWRITE.value)
                print(f"Wrote {path}, of the signature tensors")
        if not common.SMOKE.value:
            given = {"classify": "PICTURE --text=TEXT", "caption": "PICTURE"}
            words = given.get(records.task_in(config), "--text=TEXT")
            print(f"Next:\n  tatl-predict --model={made} {words}")


def _export(workdir, config, output):
    """Exports, tells what was found, prunes; returns the folder of the export."""
    model = trained.load_model(workdir)
    validation = None
    lossy = _BFLOAT16.value or _QUANTIZE.value
    if _CALIBRATE.value or lossy:
        validation = exporting.validation(config, model, common.BATCH_SIZE.value)
    temperature = 1.0
    if _CALIBRATE.value and validation is not None:
        temperature = tatl_keras.serving.fit_temperature(validation.logits, validation.labels)
    options = _options(workdir, config)
    examples = exporting.examples(config, _EXAMPLES.value)
    made, difference, effect = exporting.export_verified(
        model, output, examples, validation, temperature=temperature, lossy=lossy, **options
    )
    of = "itself, loaded here" if lossy else "the model"
    print(
        f"Exported {workdir} to {made}\n"
        f"  {len(examples)} examples asked in a new process without Keras: largest difference "
        f"{difference:.1e} to {of}"
    )
    if effect is not None:
        told = str(effect).replace("\n", "\n  ")
        print(f"  validation split, temperature {temperature:.3g}: {told}")
    _prune(made)
    return made


def _export_writer(workdir, config, output):
    """Exports a model that writes, tells what was found, prunes; returns the export's folder."""
    model, lossy = trained.load_model(workdir), _BFLOAT16.value or _QUANTIZE.value
    examples = writing_export.examples(config, model, _EXAMPLES.value)
    options = _options(workdir, config) | sampler_flags.options(config)
    made, difference = writing_export.export_verified(
        model, output, examples, lossy=lossy, **options
    )
    of = "itself, loaded here" if lossy else "the model"
    print(
        f"Exported {workdir} to {made}\n"
        f"  {len(examples)} examples asked in a new process without Keras: the texts of {of}, "
        f"largest difference of their log-probabilities {difference:.1e}"
    )
    _prune(made)
    return made


def _options(workdir, config):
    """Arguments of `model.export` that both kinds of models take."""
    options = {"freeze": _FREEZE.value, "bfloat16": _BFLOAT16.value, "quantize": _QUANTIZE.value}
    if _MAX_PIXELS.value is not None:
        options["max_pixels"] = _MAX_PIXELS.value
    options["training_config"] = exporting.described(config)
    metrics = tatl_keras.training.read_json(
        os.path.join(workdir, tatl_keras.training.workdir.METRICS)
    )
    return options | {"metrics": {"test": metrics}}


def _prune(made):
    if _KEEP.value is not None:
        base = os.path.dirname(os.path.abspath(made))
        gone = exporting.prune(base, _KEEP.value, common.MODELS_CONFIG.value)
        print(f"  removed versions: {', '.join(map(str, gone)) or 'none'}")


def check(directory):
    """Prints what `serving.lint` finds; the exit status is 1 where a server cannot serve it."""
    findings = tatl_keras.serving.lint(directory)
    for finding in findings:
        print(finding)
    wrong = sum(finding.is_error for finding in findings)
    can = "cannot" if wrong else "can"
    print(
        f"TensorFlow Serving 2.20 {can} serve {directory}: errors: {wrong}, "
        f"advice: {len(findings) - wrong}"
    )
    return 1 if wrong else 0


def _check_output(output):
    """Refuses to replace anything, or anything but an export when told to overwrite."""
    is_export = os.path.isfile(os.path.join(output, "saved_model.pb"))
    if not exporting.is_version(output):
        if is_export or os.path.isfile(output):
            raise FileExistsError(
                "--output must be a folder of versions, or end in the number of one. "
                f"Received: {output!r}, which is an export or a file."
            )
    elif os.path.exists(output) and not (common.OVERWRITE.value and is_export):
        hint = "Choose the next number, or pass --overwrite." if is_export else "It is no export."
        raise FileExistsError(f"--output must be a new folder. Received: {output!r}. {hint}")


if __name__ == "__main__":
    run()
