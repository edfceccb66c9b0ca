"""The scale at which pooled vectors enter a fusion."""

import keras
from keras import ops

from tatl_keras.layers.masking import zero_masked

EPSILON = 1e-12
LENGTH = 16.0


@keras.saving.register_keras_serializable(package="tatl_keras")
class PooledNormalization(keras.layers.Layer):
    """Brings pooled vectors to one length, and absent ones to zero.

        y = 16 x / |x|                       if present and x ≠ 0, else 0

    Image and text then weigh the same, however many channels their encoders have; 16 gives the 256
    hidden units of a fusion inputs of about unit size. Nothing is learned.
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
    [[ 9.6  0.  12.8  0. ]
     [ 0.   0.   0.   0. ]]
    """

    def call(self, pooled, present):
        pooled = ops.cast(pooled, keras.backend.result_type(pooled.dtype, "float32"))
        pooled = zero_masked(pooled, present)
        square = ops.sum(ops.square(pooled), axis=-1, keepdims=True)
        scale = LENGTH * ops.rsqrt(ops.maximum(square, EPSILON))
        return ops.cast(pooled * scale, self.compute_dtype)

    def compute_output_shape(self, pooled_shape):
        return tuple(pooled_shape)
