"""tatl-export --check: lines, and a status that a script can go by."""

import tensorflow as tf

from tests.bin.conftest import run_program


def save(folder, path=None):
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def served(text):
        return {"text": text if path is None else text + tf.io.read_file(path)}

    module.served = served
    tf.saved_model.save(module, str(folder), signatures={"serving_default": served})
    return folder


def test_advice_alone_passes(tmp_path):
    outcome = run_program("export", f"--check={save(tmp_path / '1')}")
    first, last = outcome.out.splitlines()
    assert outcome.status == 0
    assert first.startswith("advice: warm_up: assets.extra/tf_serving_warmup_requests: There are")
    assert last == f"TensorFlow Serving 2.20 can serve {tmp_path / '1'}: errors: 0, advice: 1"


def test_an_error_fails(tmp_path):
    outcome = run_program("export", f"--check={save(tmp_path / '1', '/etc/hostname')}")
    first, *_, last = outcome.out.splitlines()
    assert outcome.status == 1
    assert first.startswith("error: absolute_path: __inference_served_")
    assert "ReadFile goes to '/etc/hostname'" in first
    assert last == f"TensorFlow Serving 2.20 cannot serve {tmp_path / '1'}: errors: 1, advice: 1"


def test_what_is_no_model_is_one_line(tmp_path):
    outcome = run_program("export", f"--check={tmp_path}")
    assert outcome.status == 1 and outcome.out == ""
    assert (
        f"must hold a SavedModel (saved_model.pb). Received: directory='{tmp_path}'" in outcome.err
    )
    assert len(outcome.err.splitlines()) == 1
