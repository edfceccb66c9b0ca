"""The property that needs two devices."""

import numpy as np
import tensorflow as tf
from keras import tree

from tests.conformance.case import single


def has_executions(case):
    """Whether attention is inside."""
    return any(True for _ in _parts_with_executions(case.built(case.inputs())))


def check_two_devices(case, strategy, implementation):
    """Two replicas with a batch each, against the layer without a strategy on either batch.

    Outputs are equal, and the gradients of the weights, summed over the replicas, are the sum of
    the gradients on the two batches.
    """
    batches = [{n: single(x) for n, x in case.inputs(seed).items()} for seed in (0, 1)]
    alone = case.built(batches[0])
    expected = [_outputs_and_gradients(case, alone, batch) for batch in batches]
    with strategy.scope():
        layer = case.built(batches[0])
    for part in _parts_with_executions(layer):
        part.implementation = implementation
    values = strategy.experimental_distribute_values_from_function(
        lambda context: {
            n: tf.constant(x) for n, x in batches[context.replica_id_in_sync_group].items()
        }
    )

    @tf.function
    def step(values):
        outputs, gradients = strategy.run(
            lambda batch: _outputs_and_gradients(case, layer, batch), args=(values,)
        )
        summed = [strategy.reduce("SUM", x, axis=None) for x in gradients]
        return [strategy.experimental_local_results(x) for x in outputs], summed

    outputs, summed = step(values)
    for number, found in enumerate(outputs):
        for replica in (0, 1):
            _assert_close(found[replica], expected[replica][0][number])
    by_batch = zip(*(gradients for _, gradients in expected), strict=True)
    for found, (first, second) in zip(summed, by_batch, strict=True):
        _assert_close(found, first + second)


def _parts_with_executions(layer):
    return (part for part in layer._flatten_layers() if hasattr(part, "implementation"))


def _outputs_and_gradients(case, layer, batch):
    with tf.GradientTape() as tape:
        outputs = tree.flatten(case.call(layer, batch))
        loss = sum(tf.reduce_sum(tf.cast(x, "float32") ** 2) for x in outputs)
    variables = [v.value for v in layer.trainable_variables]
    return outputs, tape.gradient(loss, variables, unconnected_gradients="zero")


def _assert_close(found, expected):
    scale = max(1.0, np.abs(expected).max(initial=0))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * scale)
