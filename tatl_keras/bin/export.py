"""tatl-export: makes a SavedModel for TensorFlow Serving, and proves it before it appears.

    tatl-export --workdir=runs/pets --output=saved_models/pets/1
    tatl-export --check=saved_models/pets/1

Pictures go in as bytes and texts as strings. The export is loaded in a new process that imports
TensorFlow only and is asked about some examples; --output appears when the answers are those of the
model, to 1e-5. TensorFlow Serving wants a number as the folder's name, larger for a newer model.

--check exports nothing: it reads a SavedModel, also a foreign one, without running any of it, and
prints a line for each thing that TensorFlow Serving 2.20 would stumble over. The exit status is 1
if it cannot be served, 0 if there is at most advice.
"""

import contextlib
import os
import shutil
import sys
import tempfile

from absl import flags

import tatl_keras
from tatl_keras.bin import common, data_flags, trained

flags.adopt_module_key_flags(data_flags)
for _name in ("workdir", "output", "overwrite"):
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
_CHECK = flags.DEFINE_string(
    "check", None, "Folder of a SavedModel to check for TensorFlow Serving; nothing is exported."
)
for _name in ("register", "smoke", "debug"):
    flags.declare_key_flag(_name)

HELP = {
    "workdir": "Folder of the run whose model is exported.",
    "data": "Where the examples for the comparison come from; default: the data of the training.",
    "output": "Folder to write, named by a number: saved_models/pets/1.",
    "overwrite": "Replace --output if it holds an export.",
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
        model = trained.load_model(workdir)
        examples = _examples(config)
        logits = model.predict(
            {key: [example[key] for example in examples] for key in ("image", "text")}, verbose=0
        )
        options = {} if _MAX_PIXELS.value is None else {"max_pixels": _MAX_PIXELS.value}
        difference = export_verified(model, output, examples, logits, **options)
        print(
            f"Exported {workdir} to {output}\n"
            f"  {len(examples)} examples asked in a new process without Keras: largest difference "
            f"{difference:.1e}\n"
            f"  inputs: image_bytes, text; outputs: probabilities, label, logits, evidence, valid"
        )
        if not common.SMOKE.value:
            print(f"Next:\n  tatl-predict --model={output} PICTURE --text=TEXT")


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


def export_verified(model, output, examples, logits, **options):
    """Exports beside `output`, verifies, and renames; a wrong export leaves nothing behind.

    Args:
        model: a `TextAssistedClassifier`.
        output: folder to make; one that is there is replaced.
        examples: list of dicts with `image` (bytes) and `text` (str).
        logits: floats (number of examples, num_classes), the model's own.
        **options: as of `model.export`.

    Returns:
        The largest difference between the probabilities.

    Raises:
        ValueError: the export answers something else than the model.
    """
    import tensorflow as tf

    parent = os.path.dirname(os.path.abspath(output))
    os.makedirs(parent, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unverified-", dir=parent) as folder:
        beside = os.path.join(folder, "export")
        model.export(beside, **options)
        probabilities = tf.nn.softmax(logits).numpy()
        difference = tatl_keras.serving.verify(beside, examples, probabilities)
        if os.path.exists(output):
            shutil.rmtree(output)
        os.rename(beside, output)
    return difference


def _check_output(output):
    """Refuses to replace anything, or anything but an export when told to overwrite."""
    if not os.path.exists(output):
        return
    is_export = os.path.isfile(os.path.join(output, "saved_model.pb"))
    if not common.OVERWRITE.value or not is_export:
        hint = "Choose the next number, or pass --overwrite." if is_export else "It is no export."
        raise FileExistsError(f"--output must be a new folder. Received: {output!r}. {hint}")


def _examples(config):
    """Some examples of the data, and the same without picture and without text."""
    try:
        found = trained.load_split(config, verify=None, verbose=False, on_bad="skip")
    except FileNotFoundError:
        print(
            f"The data is not where it was ({config['flags']['data']}): compared on made-up "
            "examples. --data names it.",
            file=sys.stderr,
        )
        found = tatl_keras.data.synthetic.examples(2, _EXAMPLES.value)
    taken = found.take(_EXAMPLES.value).as_numpy_iterator()
    examples = [{"image": x["image"], "text": x["text"].decode()} for x, _ in taken]
    return [*examples, examples[0] | {"image": b""}, examples[0] | {"text": ""}]


if __name__ == "__main__":
    run()
