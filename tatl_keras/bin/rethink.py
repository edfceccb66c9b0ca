"""tatl-rethink: does pre-training help on these data, and for how long?

    tatl-rethink --model=efficientnet_lite0_minilm_concat --data=pets.csv --workdir=runs/rethink
    tatl-rethink --model=efficientnet_lite0_minilm_concat --data=tfds:openmoji \\
        --workdir=runs/rethink --image_size=48 --sizes=100,400,all --steps=1000 --num_seeds=3
    tatl-rethink --smoke

Trains a model's image encoder from random weights, from pretrained ones, with these frozen, and
with text beside the frozen ones: the arms random, finetuned, frozen and frozen_text. All see the
same examples in the same order, and are evaluated at the same steps on the test split. The workdir
gets config.json, curves.csv (a row an evaluation), curves.png (accuracy over steps, a panel a
size), features/ and, last, summary.json: the step where random catches up, with its interval over
seeds, or that it does not.

Stopped and called again with the same flags, it goes on with what is missing; more --arms, --sizes
or --num_seeds may be asked for then. Learning rates are constant.
"""

import contextlib
import sys
import tempfile

from absl import app, flags

import tatl_keras
from tatl_keras.bin import common, data_flags, train

flags.declare_key_flag("model")
flags.adopt_module_key_flags(data_flags)
_MODEL_FLAGS = ("image_preset", "text_preset", "image_size", "sequence_length")
for _name in ("train_split", "test_split", "workdir", "batch_size", *_MODEL_FLAGS):
    flags.declare_key_flag(_name)
_ARMS = flags.DEFINE_list(
    "arms",
    None,
    "Which of random, finetuned, frozen and frozen_text. Default: all that the model has.",
)
_SIZES = flags.DEFINE_list(
    "sizes", ["all"], "Numbers of training examples, each a panel of the figure; all for all."
)
_STEPS = flags.DEFINE_integer("steps", 500, "Training steps of each arm.", lower_bound=1)
_NUM_SEEDS = flags.DEFINE_integer(
    "num_seeds",
    3,
    "Trainings of each arm and size, with other weights, examples and order; at least 2 for "
    "intervals.",
    lower_bound=1,
)
_LEARNING_RATES = flags.DEFINE_list(
    "learning_rates",
    [],
    "Step sizes: random=0.001,finetuned=0.0003. Default: Adam with 0.001 for random and 0.0001 for "
    "finetuned, and the model's own recipe for frozen arms (SGD with 0.002 for a linear head).",
)
_MOMENTUM = flags.DEFINE_float(
    "batch_norm_momentum",
    0.9,
    "Of batch normalisation's moving averages, where networks learn. With 0.99, those of random "
    "weights lag behind for hundreds of steps.",
    lower_bound=0.0,
)
_MARGIN = flags.DEFINE_float(
    "margin", 0.01, "How far random may be behind and has caught up, as accuracy.", lower_bound=0.0
)
for _name in ("register", "smoke", "debug"):
    flags.declare_key_flag(_name)

HELP = {
    "model": "Model of the zoo, with a pretrained image encoder; `tatl-zoo list` shows them.",
    "workdir": "Folder for everything this writes: new, or of an earlier call with these flags.",
    "batch_size": "Examples in one training step.",
}
_SMOKE_SIZE = 8


def run():
    common.run(main, sys.modules[__name__])


def main(arguments):
    """Compares, writes the workdir, prints what was found."""
    common.no_arguments(arguments)
    if not common.SMOKE.value:
        common.required(common.MODEL, data_flags.DATA, common.WORKDIR)
    name = common.MODEL.value or train.SMOKE_MODEL
    options = {"arms": _arms(name), "learning_rates": _learning_rates()}
    options |= {"batch_norm_momentum": _MOMENTUM.value, "margin": _MARGIN.value}
    options |= {"on_run": _show}
    with contextlib.ExitStack() as stack:
        workdir = common.WORKDIR.value
        if workdir is None:
            workdir = stack.enter_context(tempfile.TemporaryDirectory())
        if common.SMOKE.value:
            summary = _smoke(workdir, options)
        else:
            data_flags.where()
            splits = (flags.FLAGS.train_split, flags.FLAGS.test_split)
            learned, held_out = data_flags.load(splits)
            options |= {"sizes": _sizes(learned), "steps": _STEPS.value, "seeds": _NUM_SEEDS.value}
            options |= {"batch_size": common.BATCH_SIZE.value, **_model_options()}
            summary = tatl_keras.training.rethink(name, learned, held_out, workdir, **options)
    print("\n" + "\n".join(summary["words"]))
    if common.WORKDIR.value:
        print(f"\nWritten to {workdir}: curves.csv, curves.png, summary.json")


def _smoke(workdir, options):
    name = train.SMOKE_MODEL
    print(f"smoke: two steps of {name} on made-up examples; the numbers mean nothing")
    made_up = [tatl_keras.data.synthetic.examples(2, 2 * _SMOKE_SIZE, seed=seed) for seed in (0, 1)]
    few = {"sizes": [_SMOKE_SIZE], "steps": 2, "seeds": 1, "batch_size": 4}
    return tatl_keras.training.rethink(name, *made_up, workdir, **options, **few)


def _show(run):
    """A line for each training."""
    total = run["done"] + run["left"]
    print(
        f"{run['done']}/{total}  {run['size']:,} examples, seed {run['seed']}, {run['arm']}: "
        f"{run['accuracy']:.1%}; about {run['seconds_left'] / 60:.1f} min left",
        flush=True,
    )


def _arms(name):
    """The arms that were asked for, or all that a model has."""
    if _ARMS.value is not None:
        return tuple(_ARMS.value)
    has_text = common.SMOKE.value or tatl_keras.zoo.spec(name).text is not None
    return tuple(
        arm for arm in tatl_keras.training.rethink_runs.ARMS if has_text or arm != "frozen_text"
    )


def _sizes(examples):
    """`["100", "all"]` as numbers."""
    everything = examples.summary["num_examples"]
    sizes = []
    for word in _SIZES.value:
        if word != "all" and not word.isdecimal():
            raise app.UsageError(f"--sizes must be numbers or all. Received: {word!r}")
        sizes.append(everything if word == "all" else int(word))
    return sizes


def _learning_rates():
    """`["random=0.001"]` → `{"random": 0.001}`."""
    rates = {}
    for pair in _LEARNING_RATES.value:
        arm, _, rate = pair.partition("=")
        try:
            rates[arm] = float(rate)
        except ValueError:
            raise app.UsageError(
                f"--learning_rates must be arm=number,arm=number. Received: {pair!r}"
            ) from None
    return rates


def _model_options():
    """Arguments of `training.rethink` from the flags that tatl-train has, too."""
    values = {name: flags.FLAGS[name].value for name in _MODEL_FLAGS}
    presets = {"image": values["image_preset"], "text": values["text_preset"]}
    if "none" in presets.values():
        raise app.UsageError(
            "--image_preset and --text_preset must be presets: the arm random has the random "
            f"weights. Received: {presets}"
        )
    options = {"image": {}, "text": {}}
    for modality, preset in presets.items():
        if preset is not None:
            options[modality][f"{modality}_preset"] = preset
    if values["sequence_length"] is not None:
        options["text"]["sequence_length"] = values["sequence_length"]
    return {
        "image_size": values["image_size"],
        "image_options": options["image"],
        "text_options": options["text"],
    }


if __name__ == "__main__":
    run()
