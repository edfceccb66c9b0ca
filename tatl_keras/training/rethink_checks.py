"""What `rethink` refuses before anything is computed."""

import os

from tatl_keras import zoo
from tatl_keras.encoders.catalog import ARCHITECTURES, LEARNED_TEXT
from tatl_keras.training.rethink_runs import ARMS
from tatl_keras.training.workdir import read_json


def check(model, train, test, arms, sizes, steps, seeds, recipe):
    """Raises a ValueError for arguments of `rethink` that are out of their bounds."""
    if not arms or len(set(arms)) != len(arms) or not set(arms) <= set(ARMS):
        raise ValueError(f"`arms` must be different ones of {ARMS}. Received: arms={arms}")
    _check_model(model, arms)
    for name, value in (("steps", steps), ("seeds", seeds), ("batch_size", recipe["batch_size"])):
        if not _is_int(value) or value < 1:
            raise ValueError(f"`{name}` must be an integer of at least 1. Received: {name}={value}")
    least, most = len(train.class_names), train.summary["num_examples"]
    wrong = [size for size in sizes if not _is_int(size) or not least <= size <= most]
    if wrong or not sizes or len(set(sizes)) != len(sizes):
        raise ValueError(
            f"`sizes` must be different integers from {least} (classes) to {most} (training "
            f"examples). Received: sizes={sizes}"
        )
    if list(test.class_names) != list(train.class_names):
        raise ValueError(
            f"`test` must have the classes of `train`: {train.class_names[:10]}. "
            f"Received: test with {test.class_names[:10]}"
        )
    _check_recipe(recipe)


def check_workdir(workdir, path, config):
    """Raises a ValueError where a folder holds something else than this comparison.

    Args:
        workdir: folder, which need not be there.
        path: its config.json.
        config: dict as it would be written there.
    """
    if os.path.exists(workdir) and not os.path.isdir(workdir):
        raise ValueError(f"`workdir` must be a folder. Received: workdir={workdir!r}, a file")
    if not os.path.isdir(workdir) or not _visible(workdir):
        return
    if not os.path.isfile(path):
        raise ValueError(
            "`workdir` must be a new folder, or one of an earlier comparison. Received: "
            f"workdir={workdir!r}, which holds other files ({', '.join(_visible(workdir)[:3])})"
        )
    before, now = read_json(path), _as_json(config)
    names = [name for name in {**now, **before} if before.get(name) != now.get(name)]
    if names:
        differ = "; ".join(f"{n}: there {before.get(n)!r}, now {now.get(n)!r}" for n in names)
        raise ValueError(
            "`workdir` must be a new folder, or one of the same comparison. Received: "
            f"workdir={workdir!r}, which differs in {differ}. Choose another folder."
        )


def _check_model(model, arms):
    spec = zoo.spec(model)
    image, text = ARCHITECTURES.get(spec.image), ARCHITECTURES.get(spec.text)
    if spec.image is None or (image is not None and image.learned):
        raise ValueError(
            "`model` must be an entry with a pretrained image encoder. Received: "
            f"model={model!r}, whose image encoder is {spec.image!r}"
        )
    learned = spec.text in LEARNED_TEXT or (text is not None and text.learned)
    if "frozen_text" in arms and (spec.text is None or learned):
        others = ",".join(arm for arm in arms if arm != "frozen_text")
        raise ValueError(
            "`model` must be an entry with a pretrained text encoder for the arm frozen_text. "
            f"Received: model={model!r}, whose text encoder is {spec.text!r}. Choose another "
            f"model, or the arms {others or 'random,frozen'}."
        )


def _check_recipe(recipe):
    momentum = recipe["batch_norm_momentum"]
    if momentum is not None and not 0 <= momentum < 1:
        raise ValueError(
            "`batch_norm_momentum` must be at least 0 and under 1, or None. "
            f"Received: batch_norm_momentum={momentum}"
        )
    for arm, rate in recipe["learning_rates"].items():
        if arm not in ARMS or (rate is not None and not rate > 0):
            raise ValueError(
                f"`learning_rates` must map some of {ARMS} to positive numbers. "
                f"Received: learning_rates={ {arm: rate} }"
            )


def _is_int(value):
    return isinstance(value, int) and not isinstance(value, bool)


def _visible(folder):
    return sorted(name for name in os.listdir(folder) if not name.startswith("."))


def _as_json(value):
    """A value as JSON gives it back: tuples are lists."""
    if isinstance(value, dict):
        return {name: _as_json(one) for name, one in value.items()}
    return [_as_json(one) for one in value] if isinstance(value, (list, tuple)) else value
