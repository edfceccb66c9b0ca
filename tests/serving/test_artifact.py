"""The files beside the SavedModel of a whole export."""

import json
import pathlib
import shutil

import tensorflow as tf

from tatl_keras import _predict_protos as protos
from tatl_keras import serving
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


def test_warm_up_asks_all_signatures(directory):
    """And was answered, or there would be no export."""
    asked = set(dict(saved_model.read(directory).signatures()))
    kind = protos.message("PredictionLog")
    path = pathlib.Path(directory, "assets.extra", "tf_serving_warmup_requests")
    requests = [
        kind.FromString(record).predict_log.request
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    ]
    rows = {}
    for request in requests:
        sizes = {len(protos.to_array(value)) for value in request.inputs.values()}
        rows.setdefault(request.model_spec.signature_name, []).extend(sizes)
    assert rows == {name: [1] for name in asked} | {"serving_default": [1, 8, 32]}
    assert {"serving_default", "classify", "embed", "tensors", "classify_examples"} <= asked
    assert path.stat().st_size < 100_000 and serving.lint(directory) == []
