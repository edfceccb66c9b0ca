"""Checks of a documented command or snippet that do not run it."""

import ast
import configparser
import importlib.util
import re
import shlex

from tests.project import fresh, source

# Programs of other projects: their own command lines are not checked here.
FOREIGN = {"cd", "cp", "curl", "docker", "git", "saved_model_cli", "tensorboard", "source"}

# Parses a command line as the program does, and goes no further.
PARSE_FLAGS = """
import importlib
from tatl_keras.bin import common
program = importlib.import_module("tatl_keras.bin." + sys.argv[1])
common.parse(["tatl-" + sys.argv[1], *sys.argv[2:]], program)
"""


def check_command(line):
    """Raises AssertionError if a command line names what does not exist."""
    words = shlex.split(line, comments=True)
    while words and re.fullmatch(r"\w+=.*", words[0]):  # VARIABLE=value before the command
        words = words[1:]
    assert words, f"no command in {line!r}"
    head, rest = words[0], words[1:]
    if head == "make":
        _check_make(rest)
    elif head.startswith("tatl-"):
        _check_program(head.removeprefix("tatl-"), rest)
    elif head == "pip":
        _check_extras(rest)
    elif head.startswith("python") or head.endswith("/python"):
        _check_python(rest)
    else:
        assert head in FOREIGN, f"nothing is known about {head!r}: mark the block skip(reason)"


def _check_make(words):
    makefile = (source.REPO / "Makefile").read_text(encoding="utf-8")
    for word in words:
        name = word.split("=")[0]
        pattern = rf"^{re.escape(name)} \?=" if "=" in word else rf"^{re.escape(name)}:"
        assert re.search(pattern, makefile, re.MULTILINE), f"the Makefile has no {name!r}"


def _check_program(name, words):
    assert importlib.util.find_spec(f"tatl_keras.bin.{name}"), f"there is no program tatl-{name}"
    fresh.run(PARSE_FLAGS, name, *words)


def _check_extras(words):
    setup = configparser.ConfigParser()
    setup.read(source.REPO / "setup.cfg", encoding="utf-8")
    named = {e for word in words for e in re.findall(r"\[(.*)\]", word)}
    unknown = {e for names in named for e in names.split(",")}
    unknown -= set(setup["options.extras_require"])
    assert not unknown, f"setup.cfg has no extra {sorted(unknown)}"


def _check_python(words):
    if words[:1] == ["-m"] and words[1].startswith(("tatl_keras", "benchmarks")):
        assert importlib.util.find_spec(words[1]), f"there is no module {words[1]}"
    elif words and words[0].endswith(".py"):
        assert (source.REPO / words[0]).is_file(), f"there is no file {words[0]}"


def check_snippet(code):
    """Raises if a Python snippet does not compile or names what tatl_keras does not have."""
    tree = ast.parse(code)
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "tatl_keras":
                    names["tatl_keras"] = importlib.import_module("tatl_keras")
                    importlib.import_module(alias.name)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tatl_keras"):
            module = importlib.import_module(node.module)
            for alias in node.names:
                names[alias.asname or alias.name] = getattr(module, alias.name)
    for node in ast.walk(tree):
        path = (source.dotted(node) or "").split(".") if isinstance(node, ast.Attribute) else [""]
        if path[0] in names:
            _resolve(names[path[0]], path[1:])
        if isinstance(node, ast.Call):
            _check_model_name(node)


def _resolve(value, path):
    for name in path:
        assert hasattr(value, name), f"{value!r} has no attribute {name!r}"
        value = getattr(value, name)
    return value


def _check_model_name(call):
    if source.dotted(call.func) not in ("zoo.build", "zoo.spec", "tatl_keras.zoo.build"):
        return
    if call.args and isinstance(call.args[0], ast.Constant):
        from tatl_keras import zoo

        zoo.spec(call.args[0].value)
