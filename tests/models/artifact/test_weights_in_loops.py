"""Loops that are traced with exported weights: each round gives what the layer gives."""

import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tatl_keras.models.artifact.quantization import to_int8
from tatl_keras.models.artifact.weights import ExportedWeights
from tests.models.artifact.graphs import traced

ROUNDS = 3


@pytest.fixture
def dense():
    """A layer that keeps lengths about as they are."""
    dense = layers.Dense(32, use_bias=False)
    dense.build((None, 32))
    dense.kernel.assign(np.random.default_rng(0).normal(0, 32**-0.5, (32, 32)))
    return dense


def in_a_loop(weights, dense, ahead):
    def run(x):
        if ahead:
            weights.read_ahead(dense.weights)
        return tf.while_loop(
            lambda index, _: index < ROUNDS,
            lambda index, x: (index + 1, dense(x)),
            (tf.constant(0), x),
        )[1]

    return run


def operations_of_loops(function):
    """Types of the operations in the bodies of loops."""
    library = function.graph.as_graph_def().library.function
    bodies = [one for one in library if "while_body" in one.signature.name]
    assert bodies
    return [node.op for one in bodies for node in one.node_def]


@pytest.mark.parametrize("ahead", [False, True])
@pytest.mark.parametrize(
    "forms",
    [{}, {"freeze": True}, {"quantize": True}, {"quantize": True, "freeze": True}],
    ids=lambda forms: "_".join(forms) or "own",
)
def test_a_loop_gives_what_the_formula_gives(dense, forms, ahead):
    kernel = dense.kernel.numpy()
    if "quantize" in forms:
        integers, scales = to_int8(kernel, (1,))
        kernel = integers * scales
    x = np.random.default_rng(1).normal(size=(5, 32)).astype("float32")
    expected = x.astype("float64")
    for _ in range(ROUNDS):
        expected = expected @ kernel.astype("float64")
    weights = ExportedWeights(dense, **forms)
    function = traced(weights, in_a_loop(weights, dense, ahead), tf.constant(x))
    np.testing.assert_allclose(function(tf.constant(x)), expected, atol=1e-5)
    inside = operations_of_loops(function)
    assert ("ReadVariableOp" in inside) == ("freeze" not in forms and not ahead)
    assert ("Mul" in inside) == ("quantize" in forms and not ahead)
    assert len(weights.variables) == (0 if "freeze" in forms else len(forms) + 1)
