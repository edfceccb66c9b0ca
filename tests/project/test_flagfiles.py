"""Every recipe starts with the command that uses it; the program understands both."""

import json
import shlex

import pytest

from tests.project import fresh, source

OF_MODELS = sorted((source.REPO / "zoo").glob("*/train.flags"))
OF_DATA_SETS = sorted((source.REPO / "docs" / "recipes").glob("*.flags"))
OF_PRETRAINING = sorted((source.REPO / "docs" / "recipes" / "pretrain").glob("*.flags"))
FLAGFILES = OF_MODELS + OF_DATA_SETS + OF_PRETRAINING
FOLDERS = ("benchmarks", "deploy", "docs", "tests", "zoo")

# Parses each command line as the program does, from the flags' defaults; no training.
PARSE = """
import json
from absl import flags
from tatl_keras.bin import common, pretrain, train

programs = {"tatl-train": train, "tatl-pretrain": pretrain}
results = []
for line in json.loads(sys.argv[1]):
    flags.FLAGS.unparse_flags()
    try:
        rest = common.parse(line, programs[line[0]])
        values = {"model": common.MODEL.value, "data": flags.FLAGS.data}
        results.append({**values, "rest": rest, "error": None})
    except flags.Error as error:
        results.append({"model": None, "data": None, "rest": [], "error": str(error)})
print(json.dumps(results))
"""


def parse(*lines):
    """What the training programs make of each command line (a list of words)."""
    return json.loads(fresh.run(PARSE, json.dumps(lines)).splitlines()[-1])


def program_of(path):
    return "tatl-pretrain" if path in OF_PRETRAINING else "tatl-train"


def command_of(path):
    """The command in the header of a flagfile, as a list of words."""
    prefix = f"# {program_of(path)} "
    lines = path.read_text(encoding="utf-8").splitlines()
    found = [line[2:] for line in lines if line.startswith(prefix)]
    return shlex.split(found[0]) if found else []


@pytest.fixture(scope="module")
def parsed():
    return dict(zip(FLAGFILES, parse(*map(command_of, FLAGFILES)), strict=True))


def relative(path):
    return path.relative_to(source.REPO).as_posix()


def test_there_are_flagfiles():
    assert OF_MODELS and OF_DATA_SETS and OF_PRETRAINING
    others = set(source.REPO.rglob("*.flags")) - set(FLAGFILES)
    assert not {path for path in others if path.relative_to(source.REPO).parts[0] in FOLDERS}


@pytest.mark.parametrize("path", FLAGFILES, ids=relative)
def test_flagfile_has_its_command(path):
    own = f"--flagfile={relative(path)}"
    assert own in command_of(path), f"the header needs a line with {own} --workdir=…"
    assert any(word.startswith("--workdir=") for word in command_of(path))


@pytest.mark.parametrize("path", FLAGFILES, ids=relative)
def test_flagfile_parses(path, parsed):
    result = parsed[path]
    assert result["error"] is None
    assert result["rest"] == [], "a word in a flagfile that is no flag"
    if path in OF_MODELS:
        assert result["model"] == path.parent.name
    else:
        assert result["data"] == f"tfds:{path.stem}"


@pytest.mark.parametrize("path", FLAGFILES, ids=relative)
def test_each_flag_is_there_once_on_a_line_of_its_own(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    given = [line for line in lines if line and not line.startswith("#")]
    assert all(line.startswith("--") and " --" not in line for line in given)
    names = [line.partition("=")[0] for line in given]
    assert len(set(names)) == len(names)


def test_a_flagfile_with_a_typo_fails(tmp_path):
    path = tmp_path / "train.flags"
    path.write_text("--modle=test_efficientnet_bert_concat\n")
    (result,) = parse(["tatl-train", f"--flagfile={path}"])
    assert "modle" in result["error"]
