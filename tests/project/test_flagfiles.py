"""Every recipe under zoo/ starts with the command that uses it; the program understands both."""

import json
import shlex

import pytest

from tests.project import fresh, source

FLAGFILES = sorted((source.REPO / "zoo").glob("*/train.flags"))

# Parses each command line as the program does, from the flags' defaults; no training.
PARSE = """
import json
from absl import flags
from tatl_keras.bin import common, train

results = []
for line in json.loads(sys.argv[1]):
    flags.FLAGS.unparse_flags()
    try:
        rest = common.parse(line, train)
        results.append({"model": common.MODEL.value, "rest": rest, "error": None})
    except flags.Error as error:
        results.append({"model": None, "rest": [], "error": str(error)})
print(json.dumps(results))
"""


def parse(*lines):
    """What the training program makes of each command line (a list of words)."""
    return json.loads(fresh.run(PARSE, json.dumps(lines)).splitlines()[-1])


def command_of(path):
    """The command in the header of a flagfile, as a list of words."""
    prefix = "# tatl-train "
    lines = path.read_text(encoding="utf-8").splitlines()
    found = [line[2:] for line in lines if line.startswith(prefix)]
    return shlex.split(found[0]) if found else []


@pytest.fixture(scope="module")
def parsed():
    return dict(zip(FLAGFILES, parse(*map(command_of, FLAGFILES)), strict=True))


def test_there_are_flagfiles():
    assert FLAGFILES


@pytest.mark.parametrize("path", FLAGFILES, ids=lambda p: p.parent.name)
def test_flagfile_has_its_command(path):
    own = f"--flagfile={path.relative_to(source.REPO).as_posix()}"
    assert own in command_of(path), f"the header needs a line `# tatl-train {own} --workdir=…`"
    assert any(word.startswith("--workdir=") for word in command_of(path))


@pytest.mark.parametrize("path", FLAGFILES, ids=lambda p: p.parent.name)
def test_flagfile_parses(path, parsed):
    result = parsed[path]
    assert result["error"] is None
    assert result["rest"] == [], "a word in a flagfile that is no flag"
    assert result["model"] == path.parent.name


def test_a_flagfile_with_a_typo_fails(tmp_path):
    path = tmp_path / "train.flags"
    path.write_text("--modle=test_efficientnet_bert_concat\n")
    (result,) = parse(["tatl-train", f"--flagfile={path}"])
    assert "modle" in result["error"]
