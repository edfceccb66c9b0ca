"""tatl-train: trains a model of the zoo on pictures with text.

    tatl-train --model=efficientnet_lite0_minilm_concat --data=pets.csv --workdir=runs/pets
    tatl-train --flagfile=zoo/efficientnet_lite0_minilm_concat/train.flags --data=pets.csv \\
        --workdir=runs/pets
    tatl-train --model=vit_b16_bert_cross --smoke

The workdir gets config.json, history.csv, curves.png, logs/ (for TensorBoard), model.keras and,
last, metrics.json with the accuracy on the test split. Splits that the data does not have are made
by --split_seed. Flags on the command line win over those of a flagfile.

Stopped at any moment, the same command goes on from the last checkpoint. Exit codes: 0 done, 1 an
error, 2 wrong flags, 75 stopped by SIGTERM or by the loss of a worker: call it again.
"""

import contextlib
import os
import sys
import tempfile

from absl import app, flags

import tatl_keras
from tatl_keras.bin import cache_flags, common, data_flags, recipe_flags, records

flags.declare_key_flag("model")
flags.adopt_module_key_flags(data_flags)
flags.adopt_module_key_flags(cache_flags)
_TRAIN_SPLIT = flags.DEFINE_string("train_split", "train", "Split to learn from.")
_VALIDATION_SPLIT = flags.DEFINE_string(
    "validation_split",
    None,
    "Split to watch while training, such as `validation`; made from the training split where the "
    "data has none of this name. Without it every training example is learned from.",
)
_TEST_SPLIT = flags.DEFINE_string("test_split", "test", "Split to be asked about in the end.")
for _name in ("workdir", "overwrite", "batch_size"):
    flags.declare_key_flag(_name)
_EPOCHS = flags.DEFINE_integer("epochs", 30, "How often each example is seen.", lower_bound=1)
_STRATEGY = flags.DEFINE_enum(
    "strategy",
    "auto",
    ["auto", "one_device", "mirrored", "multi_worker", "tpu"],
    "Where to train: on one device, on every GPU of this machine, on several machines (the same "
    "command on each, with TF_CONFIG or under Slurm), or on a TPU. --batch_size is that of all "
    "replicas together. auto: what is there.",
)
_CHECKPOINT_STEPS = flags.DEFINE_integer(
    "checkpoint_steps",
    None,
    "After how many steps a checkpoint is written, from which the same command goes on. Default: "
    "after each epoch.",
    lower_bound=1,
)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of initial weights, dropout and order.")
flags.adopt_module_key_flags(recipe_flags)
_HEAD_SOLVER = flags.DEFINE_enum(
    "head_solver",
    "sgd",
    ["sgd", "exact", "logistic", "auto"],
    "sgd: train for --epochs. exact, logistic: solve the linear head of a concat, image-only or "
    "text-only model at once, its settings chosen by leaving examples out. auto: the better of "
    "the two.",
)
_CLASS_TEXTS = flags.DEFINE_string(
    "class_texts",
    None,
    "Texts of the classes, to start from and as further examples: `names`, `prompts`, or a "
    'JSON file {"class": ["a description", …]}. Helps most with few examples a class.',
)
_IMAGE_PRESET = flags.DEFINE_string(
    "image_preset",
    None,
    "Weights of the image encoder: a KerasHub preset, hf:// or kaggle:// handle, folder, or `none` "
    "for random ones. Default: those that belong to the model.",
)
_TEXT_PRESET = flags.DEFINE_string("text_preset", None, "Likewise for the text encoder.")
_UNFREEZE = flags.DEFINE_list(
    "unfreeze", [], "Pretrained encoders that learn too: image, text or image,text."
)
_UNFREEZE_LAST_N = flags.DEFINE_integer(
    "unfreeze_last_n", None, "Only the last n blocks of those. Default: all.", lower_bound=1
)
_IMAGE_SIZE = flags.DEFINE_integer(
    "image_size", None, "Height and width in pixels. Default: the preset's.", lower_bound=1
)
_SEQUENCE_LENGTH = flags.DEFINE_integer(
    "sequence_length", None, "Tokens per text. Default: the model's own.", lower_bound=3
)
_MODEL_ARGS = flags.DEFINE_list(
    "model_args", [], "More arguments of the model: hidden_dim=512,dropout=0.2."
)
for _name in ("register", "smoke", "debug"):
    flags.declare_key_flag(_name)

HELP = {
    "model": "Which model of the zoo to train; `tatl-zoo list` shows them.",
    "workdir": "Folder for everything this run writes; must be new.",
    "overwrite": "Use a workdir that is not empty. Files of an earlier run are replaced, "
    "all others are kept.",
}
SMOKE_MODEL = "test_efficientnet_bert_concat"
_TINY = {"sasa": "test_sasa", "clip": "test_clip", "siglip": "test_siglip"}
_SMOKE_EXAMPLES = 16
_SMOKE_CLASSES = 2


def run():
    common.run(main, sys.modules[__name__])


def main(arguments):
    """Trains, writes the workdir, prints how good the model is and what to do next."""
    common.no_arguments(arguments)
    if not common.SMOKE.value:
        common.required(common.MODEL, data_flags.DATA, common.WORKDIR)
    _check_flags()
    name = common.MODEL.value or SMOKE_MODEL
    tatl_keras.zoo.spec(name)
    with tatl_keras.training.preemption.to_be_called_again(), contextlib.ExitStack() as stack:
        where = _STRATEGY.value if _HEAD_SOLVER.value == "sgd" else "one_device"
        strategy = tatl_keras.training.strategy(where)
        is_first = tatl_keras.training.cluster.is_first(strategy)
        workdir = common.WORKDIR.value if is_first else None
        if workdir is None:
            workdir = stack.enter_context(tempfile.TemporaryDirectory())
        stack.enter_context(tatl_keras.training.workdir.alone_in(workdir))
        given = records.flags_of(sys.modules[__name__])
        if tatl_keras.training.create_workdir(workdir, common.OVERWRITE.value, given):
            print(f"Goes on with the unfinished run in {workdir}.")
        if common.SMOKE.value:
            with strategy.scope():
                config, metrics = smoke(workdir, name)
        else:
            splits = _load_splits()
            with strategy.scope():
                model = build(len(splits["train"].class_names))
            epochs, batch_size = _EPOCHS.value, common.BATCH_SIZE.value
            config, metrics = _fit(model, splits, workdir, epochs, batch_size)
    if not is_first:
        print("The first worker writes the workdir.")
        return
    print(f"\n{records.result(metrics, config)}\n")
    if common.WORKDIR.value:
        print(records.next_steps(config, workdir))


def smoke(workdir, name):
    """Trains a model's fusion on tiny encoders for one step, and records it as any other run.

    Args:
        workdir: folder made by `create_workdir`.
        name: entry of the zoo.

    Returns:
        The dicts in `config.json` and `metrics.json`.
    """
    recipe_flags.start(_SEED.value)
    spec = tatl_keras.zoo.spec(name)
    image = _TINY.get((spec.image or "").split("_")[0], "test_image")
    text = f"{image}_text" if image in ("test_clip", "test_siglip") else "test_text"
    tiny = {
        "image": image if spec.image and not spec.image.startswith("test_") else None,
        "text": text if spec.text and _is_pretrained(spec.text) else None,
    }
    tiny = {modality: encoder for modality, encoder in tiny.items() if encoder}
    made_up = tatl_keras.data.synthetic.examples(_SMOKE_CLASSES, _SMOKE_EXAMPLES)
    replaced = ", ".join(f"{getattr(spec, m)} by {encoder}" for m, encoder in tiny.items())
    print(f"smoke: {name}" + (f" with {replaced} (tiny, random)" if tiny else ""))
    print(f"smoke: one step on {_SMOKE_EXAMPLES} made-up examples; the numbers mean nothing")
    arguments = {"seed": _SEED.value, **_model_arguments(), **tiny}
    if _CLASS_TEXTS.value is not None:
        arguments["class_texts"] = "names"  # a file would not name the made-up classes
    model = tatl_keras.zoo.build(name, _SMOKE_CLASSES, **arguments)
    splits = {"train": made_up, "test": made_up}
    return _fit(model, splits, workdir, epochs=1, batch_size=_SMOKE_EXAMPLES)


def _fit(model, splits, workdir, epochs, batch_size):
    recipe_flags.compile_model(model, splits["train"], epochs, batch_size)
    config = records.config_of_run(model, splits, sys.modules[__name__], _SEED.value)
    config["recipe"] = recipe_flags.recipe_of(model)
    options = {"batch_size": batch_size, "feature_cache": cache_flags.load(model, _SEED.value)}
    if _HEAD_SOLVER.value != "sgd":
        options["solver"] = _HEAD_SOLVER.value
        return config, records.solve_and_record(model, splits, workdir, config, **options)
    options["callbacks"] = recipe_flags.callbacks(splits, options)
    options |= {"epochs": epochs, "backup": _backup()}
    return config, records.fit_and_record(model, splits, workdir, config, **options)


def _backup():
    """The callback that writes checkpoints into the workdir, which all workers share."""
    if common.SMOKE.value:
        return None
    folder = os.path.join(common.WORKDIR.value, tatl_keras.training.workdir.BACKUP)
    steps = _CHECKPOINT_STEPS.value
    return tatl_keras.training.BackupAndRestore(
        folder, save_freq=steps or "epoch", delete_checkpoint=False
    )


def _check_flags():
    """Raises an error for flags that do not go together, before any data is read."""
    _model_arguments()
    data_flags.where()
    unknown = set(_UNFREEZE.value) - {"image", "text"}
    if unknown:
        raise app.UsageError(
            f"--unfreeze must be image, text or image,text. Received: {sorted(unknown)}"
        )
    if _UNFREEZE_LAST_N.value is not None and not _UNFREEZE.value:
        raise app.UsageError(
            "--unfreeze_last_n must come with --unfreeze=image, text or image,text. "
            f"Received: --unfreeze_last_n={_UNFREEZE_LAST_N.value} alone"
        )
    solved = _HEAD_SOLVER.value != "sgd"
    recipe_flags.check(_EPOCHS.value, _VALIDATION_SPLIT.value is not None, solved)
    if solved and _STRATEGY.value not in ("auto", "one_device"):
        raise app.UsageError(
            "--head_solver must be sgd with --strategy: solving takes one device. "
            f"Received: --head_solver={_HEAD_SOLVER.value} with --strategy={_STRATEGY.value}"
        )
    if solved and (cache_flags.VIEWS.value is not None or _UNFREEZE.value):
        raise app.UsageError(
            "--head_solver must be sgd with --views or --unfreeze. "
            f"Received: --head_solver={_HEAD_SOLVER.value}"
        )


def _load_splits():
    names = [_TRAIN_SPLIT.value, _TEST_SPLIT.value]
    roles = ["train", "test"]
    if _VALIDATION_SPLIT.value is not None:
        names.insert(1, _VALIDATION_SPLIT.value)
        roles.insert(1, "validation")
    return dict(zip(roles, data_flags.load(tuple(names)), strict=True))


def build(num_classes):
    """The model that the flags describe; to be compiled once what learns is decided."""
    recipe_flags.start(_SEED.value)
    arguments = _model_arguments() | {"seed": _SEED.value} | _class_texts()
    for name, holder in (("image_preset", _IMAGE_PRESET), ("text_preset", _TEXT_PRESET)):
        if holder.value is not None:
            arguments[name] = None if holder.value == "none" else holder.value
    if _IMAGE_SIZE.value is not None:
        arguments["image_size"] = (_IMAGE_SIZE.value, _IMAGE_SIZE.value)
    if _SEQUENCE_LENGTH.value is not None:
        arguments["sequence_length"] = _SEQUENCE_LENGTH.value
    model = tatl_keras.zoo.build(common.MODEL.value, num_classes, **arguments)
    for modality in _UNFREEZE.value:
        if modality not in model.encoders:
            raise ValueError(
                f"--unfreeze must name encoders of {common.MODEL.value}. Received: {modality}"
            )
        model.encoders[modality].unfreeze(last_n=_UNFREEZE_LAST_N.value)
    return model


def _model_arguments():
    """`["a=1", "b=x"]` → `{"a": 1, "b": "x"}`."""
    arguments = {}
    for pair in _MODEL_ARGS.value:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"--model_args must be name=value,name=value. Received: {pair!r}")
        arguments[name] = _parse_value(value)
    return arguments


def _parse_value(text):
    words = {"none": None, "true": True, "false": False}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text


def _is_pretrained(text):
    return not text.startswith("test_") and text not in ("lstm", "embed")


def _class_texts():
    """The model's `class_texts`, where there are any: words, or the dict in a JSON file."""
    given = _CLASS_TEXTS.value
    if given is None:
        return {}
    words = ("names", "prompts")
    return {"class_texts": given if given in words else tatl_keras.training.read_json(given)}


if __name__ == "__main__":
    run()
