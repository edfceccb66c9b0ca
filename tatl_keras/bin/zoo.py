"""tatl-zoo: which models there are, what one is made of, and how to add one of your own.

    tatl-zoo list
    tatl-zoo list "resnet50*"
    tatl-zoo show vit_b16_bert_cross
    tatl-zoo new my_model
    tatl-zoo completion bash
    tatl-zoo check_install
    tatl-zoo verify efficientnet_lite0_minilm_concat
    tatl-zoo verify --all

`new` writes a Python file with a model of your own to start from; --register=my_model.py makes it
known to every program. `completion` writes a script for bash, zsh or fish: eval "$(tatl-zoo
completion bash)". `check_install` looks at versions, devices, presets, memory and disks, trains
for a step, and says what to do; the status is 1 if something that is needed does not work.
`verify` proves what a model's card says and writes zoo/<name>/proofs.json; the status is 1 if a
proof fails. --all takes minutes.
"""

import contextlib
import keyword
import math
import os
import sys
import tempfile
import warnings

from absl import app, flags

import tatl_keras
from tatl_keras.bin import common, completing, records, starter, verifying

flags.declare_key_flag("output")
flags.declare_key_flag("overwrite")
_NUM_CLASSES = flags.DEFINE_integer(
    "num_classes", 10, "How many classes the parameters of `show` are counted for.", lower_bound=2
)
_ASK_HUBS = flags.DEFINE_bool(
    "ask_hubs", True, "Let check_install see whether model hubs answer; for a few seconds."
)
flags.adopt_module_key_flags(verifying)
for _name in ("register", "smoke", "debug"):
    flags.declare_key_flag(_name)

HELP = {
    "output": "File that `new` writes, by default the model's name with .py; or folder that verify "
    "writes to, by default the checkout's zoo/.",
    "overwrite": "Let `new` replace a file.",
    "smoke": "Let `new` write to a temporary folder and try the model, check_install ask no hubs, "
    "and verify a tiny model, and write nothing; list and show are as ever.",
}
_MODALITIES = ("image", "text")
WITHOUT_TENSORFLOW = ("check_install",)


def run():
    common.run(main, sys.modules[__name__])


def main(arguments):
    """Does what the first argument says; returns the exit status."""
    name = arguments[0] if arguments else None
    if name not in COMMANDS:
        *others, last = COMMANDS
        raise app.UsageError(
            f"the first word must be {', '.join(others)} or {last}. Received: {name}"
        )
    command, least, most, _ = COMMANDS[name]
    if not least <= len(arguments) - 1 <= most:
        expected = {(0, 0): "flags only", (0, 1): "at most a pattern", (1, 1): "a name"}
        raise app.UsageError(
            f"`tatl-zoo {name}` must be followed by {expected[least, most]}. "
            f"Received: {' '.join(arguments[1:]) or 'nothing'}"
        )
    return command(*arguments[1:])


def _list(pattern="*"):
    names = tatl_keras.zoo.list_models(pattern)
    if not names:
        raise ValueError(
            f"the pattern must fit a model. Received: {pattern!r}. `tatl-zoo list` shows all."
        )
    print(records.table([[name, tatl_keras.zoo.spec(name).summary] for name in names]))


def _show(name):
    spec = tatl_keras.zoo.spec(name)
    rows = [["image", *_encoder(spec.image)], ["text", *_encoder(spec.text)]]
    joins = "fusion" if spec.task == "classify" else "decoder"
    rows += [[joins, getattr(spec, joins) or "-", ""]]
    if spec.image or spec.text:
        rows += _count_parameters(name)
    print(f"{name}\n  {spec.summary}\n\n{records.table(rows)}\n\nTrain it:")
    data = "pairs.csv" if spec.task == "translate" else "pets.csv"
    print(f"  tatl-train --model={name} --data={data} --workdir=runs/{name}")


def _encoder(name):
    """An encoder's name and where its weights come from."""
    if name is None:
        return ["-", ""]
    entry = tatl_keras.encoders.catalog.ARCHITECTURES.get(name)
    if name in tatl_keras.encoders.catalog.LEARNED_TEXT:
        return [name, "learned from the training text"]
    if entry is None:
        return [name, f"preset {name}"]
    if entry.seed is not None:
        return [name, "random weights, for tests"]
    if entry.learned:
        return [name, "random weights, learned with the head"]
    places = [f"folder {entry.folder}"] if entry.folder else []
    places += [f"KerasHub preset {entry.preset}"] if entry.preset else []
    return [name, "weights: " + ", else ".join(places)]


def _count_parameters(name):
    """Rows with the number of parameters; they are counted on random weights."""
    spec = tatl_keras.zoo.spec(name)
    classifies = spec.task == "classify"
    presets = {f"{modality}_preset": None for modality in _MODALITIES if getattr(spec, modality)}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*random weights")  # they are only counted
        model = tatl_keras.zoo.build(name, _NUM_CLASSES.value if classifies else None, **presets)
    parts = records.parts_of(model)
    rows = []
    for title, layer in parts.items():
        total, learned = records.count(layer.weights), records.count(layer.trainable_weights)
        state = "frozen" if not learned else "all learned" if learned == total else "partly learned"
        rows.append([title, f"{total:,} parameters", state if total else ""])
    head = f"for {_NUM_CLASSES.value} classes" if classifies else "for its largest vocabulary"
    return [*rows, ["learned", f"{records.count(model.trainable_weights):,} parameters", head]]


def _new(name):
    if not name.isidentifier() or keyword.iskeyword(name):
        raise ValueError(
            f"the model's name must be a Python name, such as my_model. Received: {name!r}"
        )
    if name in tatl_keras.zoo.list_models():
        raise ValueError(
            f"the model's name must be new. Received: {name!r}, which is "
            f"{tatl_keras.zoo.spec(name).summary!r}"
        )
    with contextlib.ExitStack() as stack:
        path = common.OUTPUT.value or f"{name}.py"
        if common.SMOKE.value:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            path = os.path.join(folder, f"{name}.py")
        if os.path.exists(path) and not common.OVERWRITE.value:
            raise FileExistsError(
                f"--output must be a new file. Received: {path!r}. --overwrite replaces it."
            )
        with open(path, "w", encoding="utf-8") as file:
            file.write(starter.source(name, os.path.basename(path)))
        if common.SMOKE.value:
            _try(stack, path, name)
            return
    print(f"Wrote {path}. Try it, then train it:")
    print(f"  tatl-train --register={path} --model={name} --smoke")
    print(f"  tatl-train --register={path} --model={name} --data=pets.csv --workdir=runs/{name}")


def _try(stack, path, name):
    from tatl_keras.bin import train

    common.register(path)
    stack.callback(tatl_keras.zoo.unregister, name)
    train.smoke(stack.enter_context(tempfile.TemporaryDirectory()), name)


def _completion(shell):
    if shell not in completing.SHELLS:
        raise app.UsageError(
            f"`tatl-zoo completion` must be followed by bash, zsh or fish. Received: {shell}"
        )
    models, own = tatl_keras.zoo.list_models(), sys.modules[__name__]
    print(completing.script(shell, tatl_keras.__version__, models, own), end="")


def _check_install():
    from tatl_keras.bin import checking

    return checking.check_install(_ASK_HUBS.value and not common.SMOKE.value)


# First word → what it calls, the fewest and most words behind it, and what these can be.
COMMANDS = {
    "list": (_list, 0, 1, "model"),
    "show": (_show, 1, 1, "model"),
    "new": (_new, 1, 1, ()),
    "completion": (_completion, 1, 1, completing.SHELLS),
    "check_install": (_check_install, 0, 0, ()),
    "verify": (verifying.verify, 0, math.inf, "model"),
}


if __name__ == "__main__":
    run()
