"""Older TensorFlows, as older servers have them, load an export and give the same answers."""

import json
import os
import pathlib
import subprocess
import sys

import pytest
import tensorflow as tf

from tatl_keras import serving
from tests.serving import c_api
from tests.serving.questions import ask, compare, questions

pytestmark = pytest.mark.large

SCRIPT = """
import json, pathlib, sys
import tensorflow as tf
import tensorflow_text
folder, directory, question, reply = sys.argv[1:]
sys.path.insert(0, folder)
from c_api import pack, unpack
signatures = tf.saved_model.load(directory).signatures
answers = {}
for name, feed in json.loads(pathlib.Path(question).read_text()).items():
    arrays = {key: unpack(value) for key, value in feed.items()}
    tensors = {key: tf.constant(x.tolist() if x.dtype == object else x)
               for key, x in arrays.items()}
    found = signatures[name](**tensors)
    answers[name] = {key: pack(value.numpy()) for key, value in found.items()}
pathlib.Path(reply).write_text(json.dumps(answers))
print(tf.__version__, sorted({"keras_hub", "tatl_keras"} & set(sys.modules)))
"""


def run(command):
    own = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYTEST"))}
    return subprocess.run(command, capture_output=True, text=True, env=own)


@pytest.fixture(scope="module", params=["2.18", "2.20"])
def version_and_python(request, tmp_path_factory):
    """A release, and the interpreter of an environment with nothing else."""
    folder = tmp_path_factory.mktemp("other") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = str(folder / "bin" / "python")
    pins = [f"{package}=={request.param}.*" for package in ("tensorflow", "tensorflow-text")]
    done = run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *pins])
    if done.returncode:
        pytest.skip(f"pip cannot install {pins}: {done.stderr.strip()[-300:]}")
    return request.param, python


def test_they_answer_alike(version_and_python, directory, tmp_path):
    version, python = version_and_python
    signatures = tf.saved_model.load(directory).signatures
    asked = questions(signatures)
    packed = {
        signature: {name: c_api.pack(array) for name, array in feed.items()}
        for signature, feed in asked.items()
    }
    question, reply = tmp_path / "question.json", tmp_path / "reply.json"
    question.write_text(json.dumps(packed), encoding="utf-8")
    here = str(pathlib.Path(c_api.__file__).parent)
    done = run([python, "-c", SCRIPT, here, directory, str(question), str(reply)])
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1].startswith(version) and done.stdout.rstrip().endswith("[]")
    answers = json.loads(reply.read_text(encoding="utf-8"))
    assert sorted(answers) == sorted(asked)
    for name, feed in asked.items():
        answer = {key: c_api.unpack(value) for key, value in answers[name].items()}
        compare(answer, ask(signatures[name], feed), atol=1e-5)


def test_the_lint_has_nothing_against_it(directory):
    assert not [finding for finding in serving.lint(directory) if finding.is_error]
