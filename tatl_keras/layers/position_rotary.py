"""Relative positions by rotation."""

import keras
import numpy as np
from keras import ops

from tatl_keras.layers.position import (
    angles,
    check_multiple,
    check_start_index,
    check_wavelength,
)


@keras.saving.register_keras_serializable(package="tatl_keras")
class RotaryPositions(keras.layers.Layer):
    """Rotates queries or keys by angles that grow with their position.

        f_i = w^(-2i / D)                               i from 0 to D/2 - 1
        a   = (t + start) f_i
        Y[t, i]       = X[t, i] cos(a) - X[t, i + D/2] sin(a)
        Y[t, i + D/2] = X[t, i] sin(a) + X[t, i + D/2] cos(a)

    The dot product of a rotated query and a rotated key depends on their distance only, not on
    where they stand. Lengths stay as they are. The paper rotates the channels 2i and 2i + 1
    together; here these are i and i + D/2, as in KerasHub, the same but for the order of channels.
    Angles are computed in float32 under any dtype policy (in float64 under "float64").

    Shape letters: T length, D channels, w the largest wavelength over 2 pi.

    Args:
        max_wavelength: w, number of at least 1.
        **kwargs: `name`, `dtype`.

    Call arguments:
        inputs: floats (…, T, D) with any axes before, such as (B, H, T, D); D even.
        start_index: position of the first vector, as needed in decoding step by step; integer of at
            least 0, or an integer tensor without axes.

    Returns:
        Y (…, T, D) in the compute dtype.

    Raises:
        ValueError: `max_wavelength` is below 1; `inputs` has fewer than two axes, or a number of
            channels that is odd or unknown; `start_index` is negative or no index.

    Example:

    >>> import numpy as np
    >>> from tatl_keras import layers
    >>> rotated = layers.RotaryPositions()(np.array([[1.0, 0.0]] * 3))
    >>> print(rotated.numpy().round(2))
    [[ 1.    0.  ]
     [ 0.54  0.84]
     [-0.42  0.91]]

    Reference:
        Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding", 2021, section
        3.2.2, https://arxiv.org/abs/2104.09864.
    """

    def __init__(self, max_wavelength=10000, **kwargs):
        super().__init__(**kwargs)
        self.max_wavelength = check_wavelength(max_wavelength)
        self.supports_masking = True

    def call(self, inputs, start_index=0):
        self._check_shape(inputs.shape)
        length, channels = ops.shape(inputs)[-2:]
        frequencies = self.max_wavelength ** (-2 * np.arange(channels // 2) / channels)
        precise = keras.backend.result_type(self.compute_dtype, "float32")
        phases = angles(length, check_start_index(start_index), frequencies, precise)
        cosines = ops.cast(ops.cos(phases), self.compute_dtype)
        sines = ops.cast(ops.sin(phases), self.compute_dtype)
        first, second = ops.split(inputs, 2, axis=-1)
        return ops.concatenate(
            [first * cosines - second * sines, first * sines + second * cosines], axis=-1
        )

    def compute_output_shape(self, inputs_shape):
        return self._check_shape(inputs_shape)

    def compute_output_spec(self, inputs, start_index=0):
        check_start_index(start_index)
        return keras.KerasTensor(self._check_shape(inputs.shape), self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "max_wavelength": self.max_wavelength}

    def _check_shape(self, shape):
        shape = tuple(shape)
        if len(shape) < 2:
            raise ValueError(
                f"`inputs` must have the shape (…, T, D). Received: inputs.shape={shape}. "
                "Positions are counted along the last axis but one."
            )
        return check_multiple("inputs", shape, 2)
