"""Every rule has a model that breaks it and nothing else."""

import pytest
import tensorflow as tf
from tensorflow.python.framework import op_def_registry

from tatl_keras import serving, zoo
from tatl_keras.models.lint import check, graph_rules
from tests.serving.broken_models import BROKEN, ROWS, save, unknown_op
from tests.serving.healthy_models import HEALTHY, with_a_variable

CASES = [(rule, make) for rule, makers in BROKEN.items() for make in makers.values()]
NAMES = [f"{rule}: {name}" for rule, makers in BROKEN.items() for name in makers]
ADVICE = {"leaked_path", "bytes_name", "warm_up"}


@pytest.mark.parametrize(("rule", "make"), CASES, ids=NAMES)
def test_a_model_that_breaks_a_rule(rule, make, tmp_path):
    found = serving.lint(make(tmp_path / "1"))
    assert {finding.rule for finding in found} == {rule}, [str(finding) for finding in found]
    assert {finding.severity for finding in found} == {"advice" if rule in ADVICE else "error"}


def test_every_rule_has_one():
    assert set(BROKEN) == set(check.RULES)


@pytest.mark.parametrize("make", HEALTHY.values(), ids=HEALTHY)
def test_a_healthy_model(make, tmp_path):
    assert serving.lint(make(tmp_path / "1")) == []


def test_a_finding_says_what_and_where(tmp_path):
    (finding,) = serving.lint(unknown_op(tmp_path / "1"))
    assert finding.where.startswith("__inference_") and finding.where.endswith("/mul")
    assert finding.message.startswith("The op 'TakeTwice' (1×) is not known to TensorFlow Serving")
    assert str(finding) == f"error: unknown_op: {finding.where}: {finding.message}"


def test_errors_come_first(tmp_path):
    found = serving.lint(save(tmp_path / "1", lambda x: {"y": x[0]}, ROWS, warm=False))
    assert [finding.rule for finding in found] == ["rows", "warm_up"]
    assert [finding.is_error for finding in found] == [True, False]


def test_nothing_but_the_file_is_needed(tmp_path):
    """Neither variables nor assets are read: a graph alone is enough."""
    folder = with_a_variable(tmp_path / "1")
    for path in (folder / "variables").iterdir():
        path.unlink()
    assert serving.lint(folder) == []


def test_what_is_no_model_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"Received: directory='{tmp_path}'. It is the num"):
        serving.lint(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"\xff" * 9)
    with pytest.raises(ValueError, match=f"directory='{tmp_path}', 9 bytes that cannot be parsed"):
        serving.lint(tmp_path)


def test_the_list_of_ops():
    """Against the registry of the TensorFlow that is installed, which may be another version."""
    ops = graph_rules.served_ops()
    assert {"MatMul", "Conv2D", "FastWordpieceTokenizeWithOffsets", "SentencepieceTokenizeOp"} < ops
    assert not ops & graph_rules.PYTHON_FUNCTIONS
    core = {op for op in ops if not op.startswith("TFText>")}
    known = {op for op in core if op_def_registry.get(op) is not None}
    assert len(known) > 0.98 * len(core), sorted(core - known)


def exported(name, folder):
    model = zoo.build(name, 3, seed=0, class_names=["cat", "dog", "owl"])
    if model.preprocessor.needs_vocabulary:
        model.preprocessor.adapt(tf.data.Dataset.from_tensor_slices(["a cat", "an owl"]), 40)
    model.export(folder)
    return folder


@pytest.mark.parametrize("name", ["test_efficientnet_bert_joint", "test_siglip_class_texts"])
def test_exports_of_the_zoo(name, tmp_path):
    found = serving.lint(exported(name, tmp_path / "1"))
    assert [finding.rule for finding in found] == []


@pytest.mark.large
@pytest.mark.parametrize("name", zoo.list_models("test_*", task="classify"))
def test_all_exports_of_the_zoo(name, tmp_path):
    found = serving.lint(exported(name, tmp_path / "1"))
    assert [finding.rule for finding in found] == []


def test_an_export_that_no_server_can_serve_is_not_written(tmp_path, monkeypatch):
    model = zoo.build("test_efficientnet_image_only", 2)
    softmax = tf.nn.softmax

    def in_python(logits):
        return tf.ensure_shape(tf.py_function(softmax, [logits], tf.float32), [None, 2])

    monkeypatch.setattr(tf.nn, "softmax", in_python)
    with pytest.raises(ValueError, match="2.20 can serve. Received: .*\nerror: python_function: "):
        model.export(tmp_path / "1")
    assert list(tmp_path.iterdir()) == []
