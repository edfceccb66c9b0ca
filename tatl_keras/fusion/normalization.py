"""The scale at which pooled vectors enter a fusion."""

import math

import keras
from keras import ops

from tatl_keras.layers.masking import zero_masked

EPSILON = 1e-12


@keras.saving.register_keras_serializable(package="tatl_keras")
class PooledNormalization(keras.layers.Layer):
    """Brings pooled vectors to one length, and absent ones to zero.

        y = sqrt(D) x / |x|                  if present and x ≠ 0, else 0

    Components then have a mean square of 1, whatever encoder they come from. Nothing is learned.
    Shape letters: B batch, D channels. The norm runs in float32 under any dtype policy. The vector
    of an absent row has no effect and gets no gradient.

    Call arguments:
        pooled: floats (B, D).
        present: booleans or integers (B,), nonzero = the row has this modality.

    Returns:
        Floats (B, D).

    Example:

    >>> import numpy as np
    >>> from tatl_keras import fusion
    >>> pooled = np.array([[3.0, 0.0, 4.0, 0.0], [3.0, 0.0, 4.0, 0.0]])
    >>> print(fusion.PooledNormalization()(pooled, np.array([1, 0])).numpy().round(3))
    [[1.2 0.  1.6 0. ]
     [0.  0.  0.  0. ]]
    """

    def call(self, pooled, present):
        pooled = ops.cast(pooled, keras.backend.result_type(pooled.dtype, "float32"))
        pooled = zero_masked(pooled, present)
        square = ops.sum(ops.square(pooled), axis=-1, keepdims=True)
        scale = math.sqrt(pooled.shape[-1]) * ops.rsqrt(ops.maximum(square, EPSILON))
        return ops.cast(pooled * scale, self.compute_dtype)

    def compute_output_shape(self, pooled_shape):
        return tuple(pooled_shape)
