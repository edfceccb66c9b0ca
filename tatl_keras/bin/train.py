"""tatl-train: trains a model of the zoo, which classifies pictures with text, or writes.

    tatl-train --model=efficientnet_lite0_minilm_concat --data=pets.csv --workdir=runs/pets
    tatl-train --flagfile=zoo/efficientnet_lite0_minilm_concat/train.flags --data=pets.csv \\
        --workdir=runs/pets
    tatl-train --model=efficientnet_lite0_transformer_caption --data=pets.csv --workdir=runs/said
    tatl-train --model=transformer_translate --data=emoji:en-de --workdir=runs/en-de
    tatl-train --model=vit_b16_bert_cross --smoke

The workdir gets config.json, history.csv, curves.png, logs/ (for TensorBoard), model.keras,
predictions.npz (what it says of the test split), report.html (all of this on one page) and, last,
metrics.json with the accuracy on the test split. A certificate that lies in the workdir is shown in
the report (tatl-certify --output). A model that writes leaves texts.jsonl, the texts that it
writes about the test split, and their BLEU, chrF and perplexity beside baselines.
Splits that the data does not have are made by --split_seed.
Flags on the command line win over those of a flagfile.

Stopped at any moment, the same command goes on from the last checkpoint. Exit codes: 0 done, 1 an
error, 2 wrong flags, 75 stopped by SIGTERM or by the loss of a worker: call it again.
"""

import contextlib
import os
import sys
import tempfile

from absl import app, flags

import tatl_keras
from tatl_keras.bin import (
    cache_flags,
    common,
    data_flags,
    fitting,
    model_flags,
    recipe_flags,
    records,
    sampler_flags,
    trained,
    writing,
)

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
flags.adopt_module_key_flags(model_flags)
flags.adopt_module_key_flags(sampler_flags)
for _name in ("register", "smoke", "debug"):
    flags.declare_key_flag(_name)

HELP = {
    "model": "Which model of the zoo to train; `tatl-zoo list` shows them.",
    "workdir": "Folder for everything this run writes; must be new.",
    "overwrite": "Use a workdir that is not empty. Files of an earlier run are replaced, "
    "all others are kept.",
}
SMOKE_MODEL = "test_efficientnet_bert_concat"
_SMOKE_EXAMPLES = 16


def run():
    common.run(main, sys.modules[__name__])


def main(arguments, finish=None):
    """Trains, writes the workdir, prints how good the model is and what to do next.

    Args:
        arguments: what of the command line is no flag.
        finish: function of the workdir for one who adds to it, called by the worker that writes it.
    """
    common.no_arguments(arguments)
    if not common.SMOKE.value:
        common.required(common.MODEL, data_flags.DATA, common.WORKDIR)
    _check_flags()
    name = common.MODEL.value or SMOKE_MODEL
    task = tatl_keras.zoo.spec(name).task
    writing.check(task)
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
            splits = _load_splits(task)
            with strategy.scope():
                model = build(len(splits["train"].class_names or ()))
            epochs, batch_size = _EPOCHS.value, common.BATCH_SIZE.value
            config, metrics = _fit(model, splits, workdir, epochs, batch_size)
        if is_first and finish is not None:
            finish(workdir)
    if not is_first:
        print("The first worker writes the workdir.")
        return
    result = records.result if task == "classify" else writing.result
    print(f"\n{result(metrics, config)}\n")
    if common.WORKDIR.value:
        print(records.next_steps(config, workdir))


def smoke(workdir, name):
    """Trains a model on tiny encoders for one step, and records it as any other run.

    Args:
        workdir: folder made by `create_workdir`.
        name: entry of the zoo.

    Returns:
        The dicts in `config.json` and `metrics.json`.
    """
    recipe_flags.start(_SEED.value)
    task = tatl_keras.zoo.spec(name).task
    made_up = trained.made_up(task, _SMOKE_EXAMPLES)
    num_classes = trained.SMOKE_CLASSES if task == "classify" else None
    model = model_flags.build_tiny(name, num_classes, _SEED.value)
    print(f"smoke: one step on {_SMOKE_EXAMPLES} made-up examples; the numbers mean nothing")
    splits = {"train": made_up, "test": made_up}
    return _fit(model, splits, workdir, epochs=1, batch_size=_SMOKE_EXAMPLES)


def build(num_classes):
    """The model that the flags describe; to be compiled once what learns is decided.

    Args:
        num_classes: int, of a model that classifies.
    """
    recipe_flags.start(_SEED.value)
    classifies = tatl_keras.zoo.spec(common.MODEL.value).task == "classify"
    return model_flags.build(common.MODEL.value, num_classes if classifies else None, _SEED.value)


def _fit(model, splits, workdir, epochs, batch_size):
    recipe_flags.compile_model(model, splits["train"], epochs, batch_size)
    config = records.config_of_run(model, splits, sys.modules[__name__], _SEED.value)
    config["recipe"] = recipe_flags.recipe_of(model)
    options = {"batch_size": batch_size, "feature_cache": cache_flags.load(model, _SEED.value)}
    if _HEAD_SOLVER.value != "sgd":
        options["solver"] = _HEAD_SOLVER.value
        return config, fitting.solve_and_record(model, splits, workdir, config, **options)
    options["callbacks"] = recipe_flags.callbacks(splits, options)
    options |= {"epochs": epochs, "backup": _backup()}
    return config, fitting.fit_and_record(model, splits, workdir, config, **options)


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
    model_flags.check()
    data_flags.where()
    solved = _HEAD_SOLVER.value != "sgd"
    recipe_flags.check(_EPOCHS.value, _VALIDATION_SPLIT.value is not None, solved)
    if solved and _STRATEGY.value not in ("auto", "one_device"):
        raise app.UsageError(
            "--head_solver must be sgd with --strategy: solving takes one device. "
            f"Received: --head_solver={_HEAD_SOLVER.value} with --strategy={_STRATEGY.value}"
        )
    if solved and (cache_flags.VIEWS.value is not None or model_flags.UNFREEZE.value):
        raise app.UsageError(
            "--head_solver must be sgd with --views or --unfreeze. "
            f"Received: --head_solver={_HEAD_SOLVER.value}"
        )


def _load_splits(task="classify"):
    names = [_TRAIN_SPLIT.value, _TEST_SPLIT.value]
    roles = ["train", "test"]
    if _VALIDATION_SPLIT.value is not None:
        names.insert(1, _VALIDATION_SPLIT.value)
        roles.insert(1, "validation")
    return dict(zip(roles, data_flags.load_for(task, tuple(names)), strict=True))


if __name__ == "__main__":
    run()
