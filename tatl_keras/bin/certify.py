"""tatl-certify: what text is worth on a data set, and whether it gives the label away.

    tatl-certify --data=pets.csv --output=certificates/pets
    tatl-certify --model=resnet50_bert_concat --data=pets.csv --feature_cache=features \\
        --output=certificates/pets
    tatl-certify --smoke

Runs the frozen encoders of a model once over all examples, learns from few and many of them with
and without text, and writes certificate.html, certificate.png and certificate.json: gains with
intervals, a leak alarm, the share of each modality, what missing and wrong texts cost, and
calibration. Splits of the data (a column, or --split_column) are checked for pictures and groups
that are in two of them; the measurements draw their own splits, several times. A certificate in the
workdir of tatl-train, put there before the training or with --overwrite after it, is shown in the
run's report.
"""

import os
import sys

from absl import app, flags

import tatl_keras
from tatl_keras.bin import cache_flags, common, data_flags, train

flags.declare_key_flag("model")
flags.adopt_module_key_flags(data_flags)
flags.adopt_module_key_flags(cache_flags)
_MODEL_FLAGS = ("image_preset", "text_preset", "image_size", "sequence_length", "model_args")
for _name in ("output", "overwrite", "batch_size", *_MODEL_FLAGS):
    flags.declare_key_flag(_name)
_SHOTS = flags.DEFINE_list("shots", ["1", "2", "4", "8"], "Examples a class of few-shot sets.")
_SEEDS = flags.DEFINE_integer("seeds", 5, "Draws of each training set.", lower_bound=2)
for _name in ("register", "smoke", "debug"):
    flags.declare_key_flag(_name)

HELP = {
    "model": "Model of the zoo whose frozen encoders are used. "
    "Default: efficientnet_lite0_minilm_concat.",
    "output": "Folder to write the certificate to.",
    "overwrite": "Replace a certificate that is there.",
    "batch_size": "Examples an encoder sees at once.",
    "held_out": "Share of the examples that the largest training set leaves out (default: 0.2).",
}
DEFAULT_MODEL = "efficientnet_lite0_minilm_concat"
_HELD_OUT = 0.2
_SMOKE_CLASSES, _SMOKE_EXAMPLES = 2, 40


def run():
    common.run(main, sys.modules[__name__])


def main(arguments):
    """Prints the certificate's words and, when told so, writes its files."""
    common.no_arguments(arguments)
    shots = _check_flags()
    if common.SMOKE.value:
        model, examples, told = _smoke()
    else:
        if common.MODEL.value is None:
            flags.FLAGS[common.MODEL.name].value = DEFAULT_MODEL
        if tatl_keras.zoo.spec(common.MODEL.value).task != "classify":
            raise ValueError(f"--model must classify. Received: {common.MODEL.value}")
        examples = data_flags.load("all")
        told = {name: _keys(examples, name) for name in ("group", "split")}
        model = train.build(len(examples.class_names))
    held_out = flags.FLAGS.held_out or _HELD_OUT
    certificate = tatl_keras.training.certify(
        model, examples, groups=told["group"], splits=told["split"], shots=shots,
        held_out=held_out, seeds=_SEEDS.value, batch_size=common.BATCH_SIZE.value,
        feature_cache=cache_flags.load(model) or "memory",
    )  # fmt: skip
    print(certificate)
    if common.OUTPUT.value:
        paths = certificate.save(common.OUTPUT.value)
        print("\nWritten: " + ", ".join(paths))


def _check_flags():
    """The shots, after errors for flags that do not fit."""
    if not common.SMOKE.value:
        common.required(data_flags.DATA)
    if flags.FLAGS.text_from_class:
        raise app.UsageError(
            "--text_from_class must be left out: such text tells the label. Received: "
            "--text_from_class"
        )
    if cache_flags.VIEWS.value is not None:
        raise app.UsageError(
            f"--views must be left out. Received: --views={cache_flags.VIEWS.value}"
        )
    wrong = [word for word in _SHOTS.value if not word.isdigit() or int(word) < 1]
    if wrong:
        raise app.UsageError(f"--shots must be numbers of at least 1. Received: {wrong[0]!r}")
    folder = common.OUTPUT.value
    if folder and os.path.exists(folder) and not common.OVERWRITE.value:
        if not os.path.isdir(folder) or os.listdir(folder):
            raise FileExistsError(
                f"--output must be a new folder. Received: {folder!r}. --overwrite replaces a "
                "certificate in it."
            )
    return tuple(int(word) for word in _SHOTS.value)


def _keys(examples, role):
    """The group or split of each row of a manifest, by the column that it was found in."""
    column = examples.summary["columns"].get(role)
    if not column or not os.path.isfile(data_flags.DATA.value):
        return None
    keyed = data_flags.load(
        "all", label=column, group=False, split=False, class_names=None, on_bad="skip",
        verify=None, verbose=False,
    )  # fmt: skip
    labels = (int(label) for label in keyed.map(lambda x, y: y).as_numpy_iterator())
    found = {key: keyed.class_names[label] for key, label in zip(keyed.ids, labels, strict=True)}
    return [found.get(key) for key in examples.ids]


def _smoke():
    """A tiny model and made-up examples."""
    model = tatl_keras.zoo.build(train.SMOKE_MODEL, _SMOKE_CLASSES)
    examples = tatl_keras.data.synthetic.examples(_SMOKE_CLASSES, _SMOKE_EXAMPLES)
    print(f"smoke: {train.SMOKE_MODEL} on {_SMOKE_EXAMPLES} made-up examples")
    return model, examples, {"group": None, "split": None}


if __name__ == "__main__":
    run()
