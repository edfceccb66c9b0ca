"""An export reads its weights in the form it was asked for, and the model never changes."""

import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tatl_keras import encoders, zoo
from tatl_keras.encoders.folding import fold_in_place, inference_copy
from tatl_keras.models.artifact import weights as module
from tatl_keras.models.artifact.weights import ExportedWeights
from tests.encoders import cases
from tests.models.artifact.graphs import (
    captured_variables,
    count,
    traced,
    with_random_statistics,
)


@pytest.fixture(scope="module")
def model():
    """Pictures and texts, with statistics and a head that make a difference. Do not change it."""
    built = with_random_statistics(zoo.build("test_efficientnet_bert_cross", 3, seed=0))
    rng = np.random.default_rng(0)
    for weight in [*built.fusion.weights, *built.head.weights]:
        weight.assign_add(rng.normal(0, 0.3, weight.shape))
    return built


@pytest.fixture(scope="module")
def inputs(model):
    rng = np.random.default_rng(1)
    mask = (np.arange(64) < np.array([[20], [3], [0], [64]])).astype("int32")
    return {
        "images": tf.constant(rng.normal(size=(4, 32, 32, 3)), "float32"),
        "has_image": tf.constant([1, 1, 1, 0]),
        "token_ids": tf.constant(rng.integers(1, 100, (4, 64)), "int32"),
        "padding_mask": tf.constant(mask),
        "has_text": tf.constant([1, 1, 0, 1]),
    }


@pytest.fixture(scope="module")
def probabilities(model, inputs):
    return answer(model)(inputs).numpy()


def answer(model):
    return lambda inputs: tf.nn.softmax(model(inputs, training=False))


@pytest.mark.parametrize(
    ("forms", "tolerance"),
    [
        ({}, 1e-6),
        ({"freeze": True}, 1e-6),
        ({"bfloat16": True, "quantize": True}, 0.03),
    ],
    ids=lambda forms: "_".join(forms) if isinstance(forms, dict) else "",
)
def test_answers_variables_and_a_model_as_it_was(model, inputs, probabilities, forms, tolerance):
    assert probabilities.max() - probabilities.min() > 0.3
    policies = [layer.dtype_policy.name for layer in model._flatten_layers()]
    weights = ExportedWeights(model, **forms)
    function = traced(weights, answer(model), inputs)
    np.testing.assert_allclose(function(inputs), probabilities, rtol=0, atol=tolerance)
    assert captured_variables(function) == len(weights.variables)
    assert bool(weights.variables) != forms.get("freeze", False)
    np.testing.assert_array_equal(answer(model)(inputs), probabilities)
    assert policies == [layer.dtype_policy.name for layer in model._flatten_layers()]
    assert not any("call" in vars(layer) for layer in model._flatten_layers())


def test_only_what_is_read_is_exported_and_of_that_only_the_folded_anew(model, inputs):
    weights = ExportedWeights(model)
    traced(weights, lambda x: model.image_encoder(x, training=False), inputs["images"])
    own = {id(variable.value) for variable in model.variables}
    normalizations = sum(isinstance(x, layers.BatchNormalization) for x in model._flatten_layers())
    assert len(weights.variables) == normalizations == 10  # a convolution before each, no more
    assert not own & {id(variable) for variable in weights.variables}


def test_each_variable_is_read_once_in_a_graph():
    dense = layers.Dense(64, use_bias=False)
    x = tf.ones((2, 64))
    dense.build(x.shape)

    def twice(x):
        return dense(dense(x))

    for forms, name in [({}, "ReadVariableOp"), ({"freeze": True}, "Const")]:
        function = traced(ExportedWeights(dense, **forms), twice, x)
        assert count(function, name) == 1
    function = traced(ExportedWeights(dense, quantize=True), twice, x)
    assert (count(function, "ReadVariableOp"), count(function, "Mul")) == (2, 1)


@pytest.mark.parametrize("forms", [{}, {"freeze": True}, {"quantize": True}])
def test_functions_in_functions_read_for_themselves(forms):
    dense = layers.Dense(32)
    dense.build((None, 32))
    dense.kernel.assign(np.random.default_rng(0).normal(size=(32, 32)))
    x = tf.constant(np.random.default_rng(1).normal(size=(3, 32)), "float32")

    def nested(x):
        found = tf.cond(tf.shape(x)[0] > 2, lambda: dense(x), lambda: -x)
        rows = tf.data.Dataset.from_tensor_slices(x).map(lambda row: dense(row[None])[0])
        return found + dense(x), rows.batch(3).get_single_element()

    both, rows = traced(ExportedWeights(dense, **forms), nested, x)(x)
    tolerance = 0.2 if forms.get("quantize") else 1e-5
    np.testing.assert_allclose(both, 2 * dense(x), rtol=0, atol=2 * tolerance)
    np.testing.assert_allclose(rows, dense(x), rtol=0, atol=tolerance)


@pytest.fixture
def as_written():
    """Graphs run without TensorFlow's optimiser, which may round less than is written."""
    option = "disable_meta_optimizer"
    before = tf.config.optimizer.get_experimental_options().get(option, False)
    tf.config.optimizer.set_experimental_options({option: True})
    yield
    tf.config.optimizer.set_experimental_options({option: before})


@pytest.mark.usefixtures("as_written")
@pytest.mark.parametrize("name", ["resnet", "test_vit", "test_text", "lstm"])
def test_bfloat16_is_what_an_encoder_made_for_it_computes(name):
    encoder = with_random_statistics(cases.ALL[name]())
    given = tf.nest.map_structure(tf.constant, cases.inputs_of(name))
    weights = ExportedWeights(encoder, bfloat16=True)
    ours = traced(weights, lambda x: encoder(x, training=False), given)(given)
    made = inference_copy(encoder, "mixed_bfloat16")
    fold_in_place(made)
    theirs = tf.function(made, autograph=False)(given)
    for output in ("tokens", "pooled"):
        assert ours[output].dtype == tf.float32
        np.testing.assert_array_equal(ours[output], theirs[output])
    stored = {variable.dtype for variable in weights.variables if len(variable.shape) > 1}
    assert stored == {tf.bfloat16}


def test_fusion_and_head_stay_float32(model, inputs):
    weights = ExportedWeights(model, bfloat16=True)
    traced(weights, answer(model), model.encode(inputs))
    read = {id(variable) for variable in weights.variables}
    assert {id(one.value) for one in (*model.fusion.weights, *model.head.weights)} <= read
    with weights.applied():
        parts = [*model.fusion._flatten_layers(), *model.head._flatten_layers()]
        assert {layer.compute_dtype for layer in parts} == {"float32"}
        assert model.image_encoder.compute_dtype == "bfloat16"


def test_integers_are_within_half_a_step_and_tables_are_looked_up_first():
    encoder, given = cases.ALL["embed"](), cases.inputs_of("embed")
    big = encoders.BagOfEmbeddings(300, embedding_dim=7, seed=2)
    given = tf.nest.map_structure(tf.constant, given)
    weights = ExportedWeights(big, quantize=True)
    function = traced(weights, lambda x: big(x)["tokens"], given)
    integers, scales = weights.variables
    table = np.float64(big.token_embedding.embeddings)
    steps = np.abs(table).max(axis=1, keepdims=True) / 127
    np.testing.assert_allclose(scales, steps, rtol=1e-6)
    rounded = np.float64(integers) * np.float64(scales)
    assert (np.abs(rounded - table) <= steps * (0.5 + 1e-4)).all()
    assert np.abs(integers.numpy()).max() == 127
    rows = np.where(given["padding_mask"][..., None], rounded[given["token_ids"]], 0)
    found = np.where(given["padding_mask"][..., None], function(given), 0)
    np.testing.assert_allclose(found, rows, rtol=0, atol=1e-7)
    whole = [list(output.shape) for node in function.graph.get_operations() for output in
             node.outputs if node.type in ("Cast", "Mul")]  # fmt: skip
    assert whole and [300, 7] not in whole
    assert not ExportedWeights(encoder, quantize=True)._tables  # 31 rows are too few


def test_the_model_is_as_it_was_after_an_exception(model, inputs, probabilities):
    weights = ExportedWeights(model, bfloat16=True, quantize=True)
    with pytest.raises(RuntimeError, match="on the way"), weights.applied():
        raise RuntimeError("on the way")
    np.testing.assert_array_equal(answer(model)(inputs), probabilities)
    assert not any("call" in vars(layer) for layer in model._flatten_layers())
    with ExportedWeights(model, quantize=True).applied():  # eager code reads the model's own
        np.testing.assert_array_equal(answer(model)(inputs), probabilities)


def test_a_frozen_graph_has_an_end(model, monkeypatch):
    size = sum(np.asarray(weight).nbytes for weight in model.weights)
    monkeypatch.setattr(module, "MAX_FROZEN_BYTES", size - 1)
    with pytest.raises(ValueError, match=rf"freeze=True with {size:,} bytes"):
        ExportedWeights(model, freeze=True)
    ExportedWeights(model)
    ExportedWeights(model, freeze=True, bfloat16=True)


def test_constants_of_several_functions_add_up(monkeypatch):
    dense = layers.Dense(16, use_bias=False)
    dense.build((None, 16))
    monkeypatch.setattr(module, "MAX_FROZEN_BYTES", 2 * 1024)
    weights = ExportedWeights(dense, freeze=True)
    for _ in range(2):
        traced(weights, dense, tf.ones((1, 16)))
    with pytest.raises(ValueError, match="3,072 bytes"):
        traced(weights, dense, tf.ones((1, 16)))


@pytest.mark.parametrize("name", ["freeze", "bfloat16", "quantize", "fold"])
def test_options_are_switches(name):
    with pytest.raises(ValueError, match=f"{name}='int4'"):
        ExportedWeights(layers.Dense(2), **{name: "int4"})


def test_bfloat16_is_rounded_to_nearest():
    dense = encoders.BagOfEmbeddings(5, embedding_dim=2, seed=0)
    weights = ExportedWeights(dense, bfloat16=True)
    given = tf.nest.map_structure(tf.constant, cases.inputs_of("embed"))
    given["token_ids"] %= 5
    traced(weights, lambda x: dense(x)["tokens"], given)
    (stored,) = weights.variables
    expected = np.asarray(dense.token_embedding.embeddings).astype(tf.bfloat16.as_numpy_dtype)
    np.testing.assert_array_equal(stored.numpy(), expected)
