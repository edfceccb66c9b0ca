"""Every command and snippet in the documents is executed, or checked, or says why it is not."""

import csv
import os
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tests.project import checks, documents, fresh, source, warm

BLOCKS = documents.all_blocks()
EXECUTED = sorted({b.document for b in BLOCKS if b.mode in documents.EXECUTED})


def parsed(python):
    return [b for b in BLOCKS if b.mode == "parse" and b.is_python == python]


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """What a reader has: `pets.csv` with small pictures of 37 breeds, and the folder zoo/."""
    root = tmp_path_factory.mktemp("documents")
    shutil.copytree(source.REPO / "zoo", root / "zoo", dirs_exist_ok=True)
    (root / "pets").mkdir()
    with open(root / "pets.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "text", "label"])
        rng = np.random.default_rng(0)
        for number in range(37 * 6):
            name = f"pets/{number:03}.png"
            _save_picture(root / name, rng)
            breed = f"breed {number % 37}"
            writer.writerow([name, f"a picture of a {breed}", breed])
    return root


@pytest.fixture
def folder(template, tmp_path):
    """A copy of it for one document."""
    return shutil.copytree(template, tmp_path / "reader")


@pytest.fixture(scope="module")
def interpreter():
    with warm.interpreter() as start:
        yield start


def _save_picture(path, rng):
    from PIL import Image

    Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(path)


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    """A folder with the console scripts and `python`, for PATH; none of them reaches a network."""
    root = tmp_path_factory.mktemp("bin")
    programs = {p.stem for p in (source.PACKAGE / "bin").glob("*.py") if p.stem[0] != "_"}
    for name in programs:
        code = root / f"{name}.py"
        code.write_text(fresh.GUARD + fresh.program(name))
        _executable(root / f"tatl-{name}", f'exec "{sys.executable}" "{code}" "$@"')
    for name in ("python", "python3"):
        _executable(root / name, f'exec "{sys.executable}" "$@"')
    return root


def _executable(path, line):
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_every_block_says_how_it_is_tested(block):
    example = "<!-- test: run --> above it, or smoke, fails(what), parse, skip(reason)"
    assert block.mode in documents.MODES, f"{block} needs a comment {example}; has {block.mode!r}"
    assert block.mode not in ("skip", "fails") or block.reason, f"{block} needs {block.mode}(…)"
    assert block.mode != "smoke" or block.is_console, f"{block}: only programs have --smoke"
    executed = block.mode in documents.EXECUTED
    assert executed or block.output is None, f"{block} has an output and is not executed"


@pytest.mark.parametrize("document", [d for d in documents.DOCUMENTS if d.startswith("docs/")])
def test_every_text_block_in_docs_is_checked_output(document):
    assert documents.unchecked_texts(document) == [], "need <!-- output --> above them"


@pytest.mark.parametrize("document", EXECUTED)
def test_document_is_true(document, folder, interpreter, scripts):
    blocks = [b for b in BLOCKS if b.document == document and b.mode in documents.EXECUTED]
    path = os.pathsep.join([str(scripts), os.environ["PATH"]])
    with interpreter(folder, PATH=path) as python:
        for block in blocks:
            if block.is_python:
                _check_snippet_runs(block, python.run(block.code, document, block.line))
            else:
                _check_commands_run(block, folder, lambda: interpreter(folder, PATH=path), path)


def _check_snippet_runs(block, done):
    error, printed = done["error"], done["output"]
    expected = block.reason if block.mode == "fails" else None
    kind = error and error.split(":")[0]
    assert kind == expected, f"{block} raised {kind}, not {expected}:\n{printed}{done['trace']}"
    _check_output(block, printed + (error or ""))


def _check_commands_run(block, folder, start, path):
    smoke = ["--smoke"] if block.mode == "smoke" else []
    expected = block.reason if block.mode == "fails" else "0"
    lines = documents.commands(block)
    if any(not line.startswith("tatl-") or set("|&;<>$*") & set(line) for line in lines):
        done = _run_in_shell([" ".join([line, *smoke]) for line in lines], folder, path)
        _check_ended(block, done, expected)
        _check_output(block, done["output"])
        return
    printed = ""
    for number, line in enumerate(lines, 1):
        program, *arguments = shlex.split(line.removeprefix("tatl-"))
        with start() as process:
            done = process.run_program(program, [*arguments, *smoke])
        printed += done["output"]
        _check_ended(block, done, expected if number == len(lines) else "0")
    _check_output(block, printed)


def _run_in_shell(lines, folder, path):
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(lines)],
        cwd=folder, env=fresh.environment(PATH=path), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600,
    )  # fmt: skip
    return {"status": done.returncode, "output": done.stdout, "error": None, "trace": ""}


def _check_ended(block, done, expected):
    found = done["error"] or str(done["status"])
    assert found == expected, f"{block} ended with {found}:\n{done['output']}{done['trace']}"


def _check_output(block, printed):
    same = block.output is None or documents.printed_as_shown(printed, block.output)
    assert same, f"{block} prints\n{printed}\nand not\n{block.output}"


@pytest.mark.parametrize("block", parsed(python=True), ids=str)
def test_snippet_names_what_exists(block):
    checks.check_snippet(block.code)


@pytest.mark.parametrize("block", parsed(python=False), ids=str)
def test_commands_name_what_exists(block):
    for line in documents.commands(block):
        checks.check_command(line)


@pytest.mark.parametrize(("program", "line"), list(documents.program_commands()))
def test_commands_in_the_help_of_a_program(program, line):
    assert line.startswith(f"tatl-{program} ")
    checks.check_command(line)


def test_blocks_are_found_with_their_modes():
    text = (
        "<!-- test: run -->\n\n```python\nx = 1\n```\n\ntext\n\n"
        "```console\n$ make test \\\n    PYTHON=python3\noutput\n```\n"
        "<!-- test: skip(needs a server) -->\n```bash\ncurl x\n```\n"
    )
    first, second, third = documents.blocks("page.md", text)
    assert (first.mode, first.line, first.code) == ("run", 4, "x = 1\n")
    assert second.mode is None and documents.commands(second) == ["make test PYTHON=python3"]
    assert (third.mode, third.reason) == ("skip", "needs a server")


def test_outputs_belong_to_the_block_before_them():
    text = (
        "<!-- test: fails(ValueError) -->\n```python\nint('x')\n```\n\nIt prints\n\n"
        "<!-- output -->\n```text\nValueError: ...\n```\n\n```text\nnot output\n```\n"
    )
    (block,) = documents.blocks("page.md", text)
    assert (block.mode, block.reason, block.output) == ("fails", "ValueError", "ValueError: ...\n")
    assert documents.unchecked_texts("page.md", text) == ["page.md:14"]


@pytest.mark.parametrize(
    ("printed", "shown", "same"),
    [
        ("one \ntwo\n", "one\ntwo", True),
        ("one\ntwo\nthree\n", "one\n...\nthree", True),
        ("loss 0.25, 3 ms", "loss ..., 3 ms", True),
        ("loss 0.25, 3 ms", "loss ..., 4 ms", False),
        ("one\ntwo", "one", False),
        ("a.c", "a.c", True),
        ("abc", "a.c", False),
        ("one\n\rfiles: 1\rfiles: 2\ntwo\n", "one\ntwo", True),
        ("one\n\rfiles: 1\ntwo\nthree\n", "one\ntwo", False),
    ],
)
def test_what_is_shown_is_compared_with_what_is_printed(printed, shown, same):
    assert documents.printed_as_shown(printed, shown) == same


def test_processes_are_fresh_and_say_what_went_wrong(interpreter, tmp_path):
    with interpreter(tmp_path, COLOUR="red") as first, interpreter(tmp_path) as second:
        assert first.run("x = 1; print(x)")["output"] == "1\n"
        assert first.run("import os; print(x, os.environ['COLOUR'], os.getcwd())")["output"] == (
            f"1 red {tmp_path}\n"
        )
        done = second.run("print('seen'); x", "page.md", 7)
        assert (done["output"], done["error"]) == ("seen\n", "NameError: name 'x' is not defined")
        assert 'File "page.md", line 7' in done["trace"]
        assert second.run("raise SystemExit(3)")["status"] == 3
        with pytest.raises(RuntimeError, match="the process ended"):
            second.run("import os; os._exit(1)")
        done = first.run("import socket; socket.create_connection(('192.0.2.1', 80))")
        assert done["error"].startswith("OSError: no network in tests")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("make tset", "no 'tset'"),
        ("make test PYTHN=python3", "no 'PYTHN'"),
        ("tatl-trian --smoke", "no program tatl-trian"),
        ("pip install -e '.[quikstart]'", "quikstart"),
        ("python -m tatl_keras.zoo_cards", "no module"),
        ("frobnicate --now", "nothing is known"),
    ],
)
def test_a_wrong_command_is_found(line, message):
    with pytest.raises(AssertionError, match=message):
        checks.check_command(line)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("from tatl_keras import zooo", AttributeError),
        ("import tatl_keras\ntatl_keras.versoin", AssertionError),
        ("x = (", SyntaxError),
    ],
)
def test_a_wrong_snippet_is_found(code, error):
    with pytest.raises(error):
        checks.check_snippet(code)
