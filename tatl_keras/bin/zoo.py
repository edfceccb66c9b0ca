"""tatl-zoo: which models there are, what one is made of, and how to add one of your own.

    tatl-zoo list
    tatl-zoo list "resnet50*"
    tatl-zoo show vit_b16_bert_cross
    tatl-zoo new my_model

`new` writes a Python file with a model of your own to start from; --register=my_model.py makes it
known to every program.
"""

import contextlib
import keyword
import os
import sys
import tempfile
import warnings

from absl import app, flags

import tatl_keras
from tatl_keras.bin import common, records, starter

flags.declare_key_flag("output")
flags.declare_key_flag("overwrite")
_NUM_CLASSES = flags.DEFINE_integer(
    "num_classes", 10, "How many classes the parameters of `show` are counted for.", lower_bound=2
)
for _name in ("register", "smoke", "debug"):
    flags.declare_key_flag(_name)

HELP = {
    "output": "File that `new` writes. Default: the model's name with .py.",
    "overwrite": "Let `new` replace a file.",
    "smoke": "Let `new` write to a temporary folder and try the model; list and show are as ever.",
}


def run():
    common.run(main, sys.modules[__name__])


def main(arguments):
    """Does what the first argument says."""
    commands = {"list": (_list, 0, 1), "show": (_show, 1, 1), "new": (_new, 1, 1)}
    name = arguments[0] if arguments else None
    if name not in commands:
        raise app.UsageError(f"the first word must be list, show or new. Received: {name}")
    command, least, most = commands[name]
    if not least <= len(arguments) - 1 <= most:
        raise app.UsageError(
            f"`tatl-zoo {name}` must be followed by {'a name' if least else 'at most a pattern'}. "
            f"Received: {' '.join(arguments[1:]) or 'nothing'}"
        )
    command(*arguments[1:])


def _list(pattern="*"):
    names = tatl_keras.zoo.list_models(pattern)
    if not names:
        raise ValueError(
            f"the pattern must fit a model. Received: {pattern!r}. `tatl-zoo list` shows all."
        )
    print(records.table([[name, tatl_keras.zoo.spec(name).summary] for name in names]))


def _show(name):
    spec = tatl_keras.zoo.spec(name)
    rows = [
        ["image", *_encoder(spec.image)],
        ["text", *_encoder(spec.text)],
        ["fusion", spec.fusion or "-", ""],
    ]
    if spec.image or spec.text:
        rows += _count_parameters(name)
    print(f"{name}\n  {spec.summary}\n\n{records.table(rows)}\n\nTrain it:")
    print(f"  tatl-train --model={name} --data=pets.csv --workdir=runs/{name}")


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
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*random weights")  # they are only counted
        model = tatl_keras.zoo.build(name, _NUM_CLASSES.value, image_preset=None, text_preset=None)
    parts = {f"{modality} encoder": encoder for modality, encoder in model.encoders.items()}
    parts |= {"fusion": model.fusion, "head": model.head}
    rows = []
    for title, layer in parts.items():
        total, learned = records.count(layer.weights), records.count(layer.trainable_weights)
        state = "frozen" if not learned else "all learned" if learned == total else "partly learned"
        rows.append([title, f"{total:,} parameters", state if total else ""])
    head = f"for {_NUM_CLASSES.value} classes"
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


if __name__ == "__main__":
    run()
