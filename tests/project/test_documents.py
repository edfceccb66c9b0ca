"""Every command and snippet in the documents is executed, or checked, or says why it is not."""

import csv
import json
import os
import shutil
import sys

import numpy as np
import pytest

from tests.project import checks, documents, fresh, source

BLOCKS = documents.all_blocks()

RUN_SNIPPETS = """
import json
document, snippets = sys.argv[1], json.loads(sys.argv[2])
namespace = {"__name__": "__main__"}
for line, code in snippets:
    exec(compile("\\n" * (line - 1) + code, document, "exec"), namespace)
"""


def chosen(*modes, python=None):
    return [b for b in BLOCKS if b.mode in modes and python in (None, b.is_python)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
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
    example = "<!-- test: run --> above it, or smoke, parse, skip(reason)"
    assert block.mode in documents.MODES, f"{block} needs a comment {example}; has {block.mode!r}"
    assert block.mode != "skip" or block.reason, f"{block} is skipped without a reason"
    assert block.mode != "smoke" or block.is_console, f"{block}: only programs have --smoke"


@pytest.mark.parametrize("document", sorted({b.document for b in chosen("run", python=True)}))
def test_snippets_run(document, folder):
    own = [b for b in chosen("run", python=True) if b.document == document]
    fresh.run(RUN_SNIPPETS, document, json.dumps([(b.line, b.code) for b in own]), cwd=folder)


@pytest.mark.parametrize("block", chosen("parse", python=True), ids=str)
def test_snippet_names_what_exists(block):
    checks.check_snippet(block.code)


@pytest.mark.parametrize("block", chosen("run", "smoke", python=False), ids=str)
def test_commands_run(block, folder, scripts):
    smoke = " --smoke" if block.mode == "smoke" else ""
    lines = [c + smoke if c.startswith("tatl-") else c for c in documents.commands(block)]
    path = os.pathsep.join([str(scripts), os.environ["PATH"]])
    command = ["bash", "-euo", "pipefail", "-c", "\n".join(lines)]
    fresh.finish(command, folder, env=fresh.environment(PATH=path))


@pytest.mark.parametrize("block", chosen("parse", python=False), ids=str)
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
