"""What a training run left: its configuration, its model, its data."""

import contextlib
import os
import sys
import tempfile

from absl import flags

import tatl_keras
from tatl_keras.bin import common, data_flags, records

SMOKE_CLASSES = 2
_SPLIT_FLAGS = ("train_split", "validation_split", "test_split")
_COLUMN_FLAGS = ("image_column", "text_column", "target_column", "label_column", "id_column")


def read_config(workdir):
    """The `config.json` of a finished run.

    Raises:
        FileNotFoundError: the folder holds no run, or one that did not finish.
    """
    files = tatl_keras.training.workdir
    present = os.listdir(workdir) if os.path.isdir(workdir) else []
    config = {}
    if files.CONFIG in present:
        config = tatl_keras.training.read_json(os.path.join(workdir, files.CONFIG))
    if config.get("program") != files.PROGRAM:
        raise FileNotFoundError(
            f"--workdir must be a folder that tatl-train wrote. Received: {workdir!r}"
        )
    if not {files.METRICS, files.MODEL} <= set(present):
        raise FileNotFoundError(
            f"--workdir must hold a finished run. Received: {workdir!r}, which has no "
            f"{files.METRICS}: the training has not ended, or was interrupted."
        )
    return config


def load_model(path):
    """Loads a `.keras` file, or the one in a workdir.

    Raises:
        ValueError: `path` is another file. Other formats of Keras can hold code.
    """
    import keras

    import tatl_keras.models  # noqa: F401  (Keras finds the classes by their registered names)

    if os.path.isdir(path):
        path = os.path.join(path, tatl_keras.training.workdir.MODEL)
    if not path.endswith(".keras"):
        raise ValueError(f"`path` must be a .keras file or a workdir. Received: path={path!r}")
    return keras.models.load_model(path)


def smoke_workdir(stack, given):
    """A workdir to try a program on: the given one if `tatl-train --smoke` wrote it, or a new one.

    Args:
        stack: `contextlib.ExitStack` that ends the life of a new one.
        given: folder or `None`.
    """
    from tatl_keras.bin import train

    with contextlib.suppress(FileNotFoundError):
        if given and read_config(given)["smoke"]:
            return given
    workdir = stack.enter_context(tempfile.TemporaryDirectory())
    with contextlib.redirect_stdout(sys.stderr):  # stdout is for what was asked
        train.smoke(workdir, train.SMOKE_MODEL)
    return workdir


def load_split(config, split=None, **overrides):
    """Loads labelled examples for a trained model.

    Args:
        config: `config.json` of the run. Without `--data`, or with the one of the training, splits
            are those of the training; with another `--data`, columns are looked for under the same
            names.
        split: name of a split, or `None` for the test split of the training, and for all examples
            of another `--data`.
        **overrides: arguments of `data.load` that win over the flags.

    Returns:
        A data set of `data.load`.
    """
    task = records.task_in(config)
    if config["smoke"] and (common.SMOKE.value or not data_flags.DATA.present):
        return made_up(task, config["data"]["test"]["num_examples"])
    if task == "classify":
        overrides = {"class_names": config["model"]["class_names"]} | overrides
    if not is_training_data(config):
        columns = {name: config["flags"].get(name) for name in _COLUMN_FLAGS}
        return data_flags.load_for(task, split or "all", columns, **overrides)
    split = split or config["flags"]["test_split"]
    names = splits_of(config)
    if split not in names:
        return data_flags.load_for(task, split, config["flags"], **overrides)
    found = data_flags.load_for(task, tuple(names), config["flags"], **overrides)
    return found[names.index(split)]


def load_learned(config):
    """The examples that a model has learned from, whatever flags are given now.

    Args:
        config: `config.json` of the run.

    Raises:
        FileNotFoundError: the data is not where it was.
    """
    task = records.task_in(config)
    if config["smoke"]:
        return made_up(task, config["data"]["train"]["num_examples"])
    options = {"verbose": False} | ({} if task == "translate" else {"verify": None})
    names = tuple(splits_of(config))
    return data_flags.load_for(task, names, config["flags"], command_line=False, **options)[0]


def splits_of(config):
    """Names of the splits that a run has made, the one that was learned from first."""
    return [config["flags"][name] for name in _SPLIT_FLAGS if config["flags"][name]]


def made_up(task, count):
    """Examples for `--smoke`; of two classes where the model classifies."""
    if task == "translate":
        return tatl_keras.data.synthetic.pairs("reverse", count)
    return tatl_keras.data.synthetic.examples(SMOKE_CLASSES, count)


def is_training_data(config):
    """Whether the flags ask for the data of the training, or for none."""
    given = flags.FLAGS[data_flags.DATA.name]
    return not given.present or given.value == config["flags"]["data"]


def changed_since_training(config, examples):
    """Whether a split of the training has other examples now."""
    known = {summary["split"]: summary for summary in config["data"].values()}
    then = known.get(examples.summary["split"])
    return (
        is_training_data(config)
        and then is not None
        and then.get("fingerprint_of") == examples.summary.get("fingerprint_of")
        and then["fingerprint"] != examples.summary["fingerprint"]
    )


def warn_if_changed(config, examples):
    """Says so, on stderr, where a split of the training has other examples now."""
    if changed_since_training(config, examples):
        print("warning: the examples are not those of the training any more", file=sys.stderr)
