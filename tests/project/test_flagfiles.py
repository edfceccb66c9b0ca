"""Every recipe under zoo/ is a flagfile that the training program understands."""

import json

import pytest

from tests.project import fresh, source

FLAGFILES = sorted((source.REPO / "zoo").glob("*/train.flags"))

# Parses each file as the program does, from the flags' defaults; no training.
PARSE = """
import json
from absl import flags
from tatl_keras.bin import common, train

results = {}
for path in sys.argv[1:]:
    flags.FLAGS.unparse_flags()
    try:
        rest = common.parse(["tatl-train", f"--flagfile={path}"], train)
        results[path] = {"model": common.MODEL.value, "rest": rest, "error": None}
    except flags.Error as error:
        results[path] = {"model": None, "rest": [], "error": str(error)}
print(json.dumps(results))
"""


def parse(*paths):
    return json.loads(fresh.run(PARSE, *paths).splitlines()[-1])


@pytest.fixture(scope="module")
def parsed():
    return parse(*FLAGFILES)


def test_there_are_flagfiles():
    assert FLAGFILES


@pytest.mark.parametrize("path", FLAGFILES, ids=lambda p: p.parent.name)
def test_flagfile_parses(path, parsed):
    result = parsed[str(path)]
    assert result["error"] is None
    assert result["rest"] == [], "a word in a flagfile that is no flag"
    assert result["model"] == path.parent.name


@pytest.mark.parametrize("path", FLAGFILES, ids=lambda p: p.parent.name)
def test_flagfile_says_what_it_is(path):
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("#") and path.parent.name in first


def test_a_flagfile_with_a_typo_fails(tmp_path):
    path = tmp_path / "train.flags"
    path.write_text("--modle=test_resnet_bert_concat\n")
    assert "modle" in parse(path)[str(path)]["error"]
