"""An export is loaded and asked by TensorFlow's C API, where no Python of TensorFlow runs."""

import json
import os
import subprocess
import sys

import pytest
import tensorflow as tf

from tests.serving import c_api
from tests.serving.questions import ask, compare, questions


def through_the_c_api(directory, asked, folder):
    question, reply = folder / "question.json", folder / "reply.json"
    packed = {
        signature: {name: c_api.pack(array) for name, array in feed.items()}
        for signature, feed in asked.items()
    }
    question.write_text(json.dumps(packed), encoding="utf-8")
    command = [sys.executable, "-P", c_api.__file__, directory, str(question), str(reply)]
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, env=own, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    answers = json.loads(reply.read_text(encoding="utf-8"))
    return {
        signature: {name: c_api.unpack(array) for name, array in outputs.items()}
        for signature, outputs in answers.items()
    }


@pytest.mark.skipif(sys.platform != "linux", reason="the libraries have other names elsewhere")
def test_every_signature_answers_as_in_python(directory, tmp_path):
    signatures = tf.saved_model.load(directory).signatures
    asked = questions(signatures)
    assert {"serving_default", "classify", "classify_examples", "embed", "tensors"} <= set(asked)
    answers = through_the_c_api(directory, asked, tmp_path)
    assert sorted(answers) == sorted(asked)
    for name, feed in asked.items():
        compare(answers[name], ask(signatures[name], feed), atol=1e-6)
