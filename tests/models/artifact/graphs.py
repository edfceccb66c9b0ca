"""Traces layers and models as an export does, and looks into the graphs."""

import keras
import numpy as np
import tensorflow as tf


def specs_of(inputs):
    """Specifications with any number of rows, for a tensor or a dict of them."""
    return tf.nest.map_structure(
        lambda x: tf.TensorSpec([None, *x.shape[1:]], tf.convert_to_tensor(x).dtype), inputs
    )


def traced(weights, call, inputs):
    """`call` as a concrete function that reads what is exported, to be asked with `inputs`."""
    function = tf.function(call, input_signature=[specs_of(inputs)], autograph=False)
    with weights.applied():
        return function.get_concrete_function()


def all_nodes(function):
    """The nodes of a function and of all functions in its graph."""
    graph = function.graph.as_graph_def()
    nested = [node for inner in graph.library.function for node in inner.node_def]
    return [*graph.node, *nested]


def count(function, operation):
    return sum(node.op == operation for node in all_nodes(function))


def captured_variables(function):
    """How many variables a function reads, whatever Python knows of it."""
    return sum(tensor.dtype == tf.resource for tensor in function.captured_inputs)


def with_random_statistics(model, seed=0):
    """Gives each normalisation values that move, stretch and flip its channels."""
    rng = np.random.default_rng(seed)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            size = layer.moving_mean.shape
            layer.moving_mean.assign(rng.normal(0, 0.3, size))
            layer.moving_variance.assign(rng.uniform(0.3, 2, size))
            layer.gamma.assign(rng.uniform(0.5, 1.5, size) * rng.choice([-1, 1], size))
            layer.beta.assign(rng.normal(0, 0.3, size))
    return model
