"""Pooling of token sequences."""

import keras
from keras import ops

from tatl_keras.layers.checks import check_mask, check_sequence
from tatl_keras.layers.masking import zero_masked


@keras.saving.register_keras_serializable(package="tatl_keras")
class MaskedAveragePooling(keras.layers.Layer):
    """Averages a sequence over its unmasked positions.

        y = sum_t m_t x_t / max(1, sum_t m_t)

    Shape letters: B batch, T positions, D channels. A row with nothing unmasked gives zeros. What
    stands in masked places has no effect and gets no gradient. Sums run in float32 under any dtype
    policy.

    Call arguments:
        inputs: floats (B, T, D).
        mask: optional booleans or integers (B, T), nonzero = real. Without it the implicit Keras
            mask of `inputs` is used, and without that every position counts.

    Returns:
        Floats (B, D).

    Raises:
        ValueError: `inputs` is not (B, T, D), D is unknown, or `mask` is neither boolean nor
            integer or not (B, T).

    Example:

    >>> import numpy as np
    >>> from tatl_keras import layers
    >>> tokens = np.array([[[1.0, 2.0], [3.0, 6.0], [50.0, 70.0]]])
    >>> layers.MaskedAveragePooling()(tokens, mask=np.array([[1, 1, 0]])).numpy().tolist()
    [[2.0, 4.0]]
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs, mask=None):
        shape = check_sequence("inputs", inputs.shape, ranks=(3,))
        precise = keras.backend.result_type(inputs.dtype, "float32")
        inputs = ops.cast(inputs, precise)
        if mask is None:
            total, count = ops.sum(inputs, axis=1), ops.cast(ops.shape(inputs)[1], precise)
        else:
            mask = ops.cast(check_mask("mask", mask, shape[:-1]), "bool")
            total = ops.sum(zero_masked(inputs, mask), axis=1)
            count = ops.sum(ops.cast(mask, precise), axis=1, keepdims=True)
        return ops.cast(total / ops.maximum(count, 1), self.compute_dtype)

    def compute_mask(self, inputs, mask=None):
        return None

    def compute_output_shape(self, input_shape):
        shape = check_sequence("inputs", input_shape, ranks=(3,))
        return (shape[0], shape[2])
