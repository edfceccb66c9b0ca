"""Batch normalisation folded into convolutions while an export is traced."""

import contextlib
import functools

import numpy as np
import tensorflow as tf

from tatl_keras.encoders.folding import adding, folded


class Folding:
    """What `encoders.fold_batch_norm` does, without a copy and for a time.

        W' = W · γ / sqrt(σ² + ε),   b' = β + (b − μ) · γ / sqrt(σ² + ε)

    in float64, rounded once to the dtype of the weights.

    Args:
        encoders: list of `Encoder`, which are left as they are.

    Attributes:
        values: dict from `id` of a variable to the array that takes its place.
        layers: the `BatchNormalization` layers that only add, or do nothing.
    """

    def __init__(self, encoders):
        self.values, self._shifts = {}, []
        for encoder in encoders:
            values, shifts = folded(encoder)
            self.values |= {id(one): np.asarray(value, one.dtype) for one, value in values}
            self._shifts += shifts

    @property
    def layers(self):
        return [normalization for normalization, _ in self._shifts]

    @contextlib.contextmanager
    def applied(self):
        """Inside, the layers are traced as folded; the values are for the caller to put in."""
        try:
            for normalization, shift in self._shifts:
                # An attribute of the object goes before the method of its class.
                normalization.call = functools.partial(_call, normalization, adding(shift))
            yield
        finally:
            for normalization, _ in self._shifts:
                vars(normalization).pop("call", None)


def _call(normalization, in_graphs, inputs, **arguments):
    """Eager code reads the variables as they are, and so normalises."""
    if tf.executing_eagerly():
        return type(normalization).call(normalization, inputs, **arguments)
    return in_graphs(inputs, **arguments)
