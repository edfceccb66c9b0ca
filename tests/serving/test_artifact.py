"""The files beside the SavedModel of a whole export."""

import json
import pathlib
import shutil

import tensorflow as tf

from tatl_keras import _predict_protos as protos
from tatl_keras import serving
from tatl_keras.models.artifact import warm_up
from tatl_keras.models.lint import saved_model


def test_the_lint_finds_any_change(directory, tmp_path):
    """Of a whole export: a bit of each file in turn, and a file that is gone."""
    copy = tmp_path / "1"
    shutil.copytree(directory, copy)
    assert not [finding for finding in serving.lint(copy) if finding.is_error]
    names = json.loads((copy / "MANIFEST.json").read_text(encoding="utf-8"))["sha256"]
    for name in sorted(set(names) - {"saved_model.pb"}):
        contents = (copy / name).read_bytes()
        (copy / name).write_bytes(contents[:-1] + bytes([contents[-1] ^ 1]))
        assert changed(copy) == [name]
        (copy / name).unlink()
        assert changed(copy) == [name]
        (copy / name).write_bytes(contents)
    assert changed(copy) == [] and "variables/variables.index" in names


def changed(folder):
    return [finding.where for finding in serving.lint(folder) if finding.is_error]


def test_an_export_has_them(directory):
    folder = pathlib.Path(directory)
    names = json.loads((folder / "class_names.json").read_text(encoding="utf-8"))
    assert names == [n.decode() for n in tf.saved_model.load(directory).class_names().numpy()]


def test_warm_up_asks_all_signatures(directory, tmp_path):
    """And the model answers, in a session."""
    copy = tmp_path / "1"
    shutil.copytree(directory, copy)
    asked = set(dict(saved_model.read(copy).signatures()))
    assert warm_up.write_warm_up(copy) == len(asked) + 2
    log = protos.message("PredictionLog")
    path = str(copy / "assets.extra" / "tf_serving_warmup_requests")
    requests = [
        log.FromString(record).predict_log.request
        for record in tf.data.TFRecordDataset(path).as_numpy_iterator()
    ]
    assert {request.model_spec.signature_name for request in requests} == asked
    assert {"serving_default", "classify", "embed", "tensors"} <= asked
    assert "warm_up" not in {finding.rule for finding in serving.lint(copy)}
