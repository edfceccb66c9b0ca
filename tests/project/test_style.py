"""Rules of the source text that no linter checks."""

import ast
import re

import pytest

from tests.project import source

MOST_FILE_LINES = 300
MOST_FUNCTION_LINES = 50

PYTHON_FILES = [path for path, _ in source.text_files() if path.suffix == ".py"]

# Neither pattern matches its own text.
MACHINE_PATHS = re.compile(r"(?<![\w.:/-])/(?:root|work|home/\w+|Users/\w+|tmp)/\w")
UNFINISHED = re.compile(r"\b(?:TO[D]O|FIX[M]E|X[X]X)\b")


def relative(path):
    return path.relative_to(source.REPO).as_posix()


@pytest.mark.parametrize("path", PYTHON_FILES, ids=relative)
def test_files_are_short(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MOST_FILE_LINES, (
        f"{relative(path)} has {lines} lines, more than {MOST_FILE_LINES}: "
        "give each public concept a file of its own"
    )


@pytest.mark.parametrize("path", PYTHON_FILES, ids=relative)
def test_functions_are_short(path):
    long = [
        f"{relative(path)}:{node.lineno} {node.name}: {lines} lines"
        for node in ast.walk(source.parse(path))
        if isinstance(node, ast.FunctionDef) and (lines := _lines(node)) > MOST_FUNCTION_LINES
    ]
    assert not long, f"functions of more than {MOST_FUNCTION_LINES} lines, docstring aside: {long}"


def _lines(function):
    total = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is not None:
        total -= first.end_lineno - first.lineno + 1
    return total


@pytest.mark.parametrize("path", source.library_files(programs=False), ids=relative)
def test_the_library_does_not_print(path):
    prints = [
        node.lineno
        for node in ast.walk(source.parse(path))
        if isinstance(node, ast.Call) and source.dotted(node.func) == "print"
    ]
    assert not prints, f"{relative(path)} prints in lines {prints}: use absl logging or a warning"


@pytest.mark.parametrize("path", source.library_files(), ids=relative)
def test_user_input_is_not_checked_by_assert(path):
    asserts = [n.lineno for n in ast.walk(source.parse(path)) if isinstance(n, ast.Assert)]
    assert not asserts, f"{relative(path)}: asserts in lines {asserts} vanish under python -O"


@pytest.mark.parametrize("path", source.library_files(), ids=relative)
def test_every_module_says_what_it_is(path):
    assert ast.get_docstring(source.parse(path)), f"{relative(path)} has no docstring"


@pytest.mark.parametrize(
    ("what", "pattern"),
    [("a path of one machine", MACHINE_PATHS), ("something unfinished", UNFINISHED)],
    ids=["machine paths", "unfinished"],
)
def test_no_text_contains(what, pattern):
    found = [
        f"{relative(path)}:{number}: {match.group()}"
        for path, text in source.text_files()
        for number, line in enumerate(text.splitlines(), start=1)
        if (match := pattern.search(line))
    ]
    assert not found, f"{what} in:\n" + "\n".join(found)
