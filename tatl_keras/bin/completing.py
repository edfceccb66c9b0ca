"""What a shell can complete behind the programs' names, from their own flags, and scripts of it."""

import dataclasses
import re
import textwrap

from absl import flags

from tatl_keras.bin import common

SHELLS = ("bash", "zsh", "fish")
# Flags whose help says one of these take a path.
_PATHS = re.compile(r"\b(files?|folders?|manifest|where to write)\b", re.IGNORECASE)
_MODELS = "`tatl-zoo list`"
_HEADER = """\
# Completion of tatl_keras {version} for {shell}. Written by `tatl-zoo completion {shell}`: write it
# anew after an update. It starts no Python. For each new shell:
#   {advice}
"""
_ADVICE = {
    "bash": "tatl-zoo completion bash > ~/.tatl.bash; echo 'source ~/.tatl.bash' >> ~/.bashrc",
    "zsh": "tatl-zoo completion zsh > ~/.tatl.zsh; echo 'source ~/.tatl.zsh' >> ~/.zshrc",
    "fish": "tatl-zoo completion fish > ~/.config/fish/conf.d/tatl.fish",
}


@dataclasses.dataclass(frozen=True)
class Flag:
    """What completes a flag.

    Attributes:
        name: str, without dashes.
        meaning: str, the first sentence of its help.
        values: tuple of str, "model", "path", or `None` for a flag without a value.
    """

    name: str
    meaning: str
    values: object


@dataclasses.dataclass(frozen=True)
class Program:
    """What completes a program.

    Attributes:
        name: str, as it is typed.
        flags: list of `Flag`.
        words: dict from a first word to what may follow it, as `Flag.values`.
    """

    name: str
    flags: list
    words: dict


def script(shell, version, models, zoo):
    """The script that makes a shell complete all programs.

    Args:
        shell: one of `SHELLS`.
        version: str, of the package.
        models: list of str, what --model takes where it names a model of the zoo.
        zoo: module of tatl-zoo, as it runs.

    Returns:
        str.
    """
    from tatl_keras.bin import completion_scripts

    header = _HEADER.format(version=version, shell=shell, advice=_ADVICE[shell])
    body = getattr(completion_scripts, shell)([_program(one) for one in modules(zoo)], models)
    return f"{header}\n{body}"


def modules(zoo):
    """The modules of all programs, that of tatl-zoo as it is given: it may run as `__main__`."""
    from tatl_keras.bin import (
        cache,
        certify,
        client,
        compare,
        encode,
        evaluate,
        explain,
        export,
        init,
        predict,
        pretrain,
        release,
        rethink,
        train,
    )

    others = (cache, certify, client, compare, encode, evaluate, explain, export, init, predict)
    return [*others, pretrain, release, rethink, train, zoo]


def _program(module):
    meanings = getattr(module, "HELP", {})
    found = []
    for flag in common.program_flags(module):
        meaning = " ".join((meanings.get(flag.name, flag.help) or "").split())
        meaning = meaning.split(">: ", 1)[-1]  # absl writes the choices before the meaning
        found.append(Flag(flag.name, _first_sentence(meaning), _values(flag, meaning)))
        if flag.boolean:
            found.append(Flag(f"no{flag.name}", f"Not --{flag.name}.", None))
    found.append(Flag("flagfile", "Read flags from a file.", "path"))
    found.append(Flag("help", "Show the flags.", None))
    words = getattr(module, "COMMANDS", {})
    words = {word: of[-1] if isinstance(of, tuple) else () for word, of in words.items()}
    return Program(common.name_of(module), sorted(found, key=lambda flag: flag.name), words)


def _values(flag, meaning):
    if flag.boolean:
        return None
    choices = getattr(flag.parser, "enum_values", None)
    if choices:
        return tuple(choices)
    if isinstance(flag.parser, (flags.IntegerParser, flags.FloatParser)):
        return ()
    if _MODELS in meaning:
        return "model"
    return "path" if _PATHS.search(meaning) else ()


def _first_sentence(meaning):
    sentence = re.split(r"(?<=[a-z)])[.] ", meaning, maxsplit=1)[0].rstrip(".")
    return textwrap.shorten(sentence, 80, placeholder=" …")
