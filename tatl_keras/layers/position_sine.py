"""Positions as sines and cosines, without weights."""

import keras
import numpy as np
from keras import ops

from tatl_keras.layers.checks import check_sequence
from tatl_keras.layers.position import (
    angles,
    check_map,
    check_start_index,
    check_wavelength,
    join_axes,
)


@keras.saving.register_keras_serializable(package="tatl_keras")
class SinePositionEncoding(keras.layers.Layer):
    """Encodes the places in a sequence as sines and cosines of many wavelengths.

        P[t, 2i]     = sin((t + start) / w^(2i / D))
        P[t, 2i + 1] = cos((t + start) / w^(2i / D))

    with w the largest wavelength over 2 pi. P is returned, to be added to the inputs; of the inputs
    only the shape counts. Angles are computed in float32 under any dtype policy (in float64 under
    "float64").

    Shape letters: B batch, T length, D channels. Everything also works without the batch axis.

    Args:
        max_wavelength: w, number of at least 1.
        **kwargs: `name`, `dtype`.

    Call arguments:
        inputs: floats (B, T, D).
        start_index: position of the first vector, as needed in decoding step by step; integer of at
            least 0, or an integer tensor without axes.

    Returns:
        P (B, T, D) in the compute dtype, the same for each of the batch.

    Raises:
        ValueError: `max_wavelength` is below 1; `inputs` has another rank or unknown channels;
            `start_index` is negative or no index.

    Example:

    >>> import numpy as np
    >>> from tatl_keras import layers
    >>> encoding = layers.SinePositionEncoding()(np.zeros((3, 4)))
    >>> print(encoding.numpy().round(2))
    [[ 0.    1.    0.    1.  ]
     [ 0.84  0.54  0.01  1.  ]
     [ 0.91 -0.42  0.02  1.  ]]

    Reference:
        Vaswani et al., "Attention Is All You Need", 2017, section 3.5,
        https://arxiv.org/abs/1706.03762.
    """

    def __init__(self, max_wavelength=10000, **kwargs):
        super().__init__(**kwargs)
        self.max_wavelength = check_wavelength(max_wavelength)
        self.supports_masking = True

    def call(self, inputs, start_index=0):
        check_sequence("inputs", inputs.shape)
        start_index = check_start_index(start_index)
        *_, length, channels = shape = ops.shape(inputs)
        encoding = _sines(length, start_index, channels, self.max_wavelength, self.compute_dtype)
        return ops.broadcast_to(encoding, shape)

    def compute_output_shape(self, inputs_shape):
        return check_sequence("inputs", inputs_shape)

    def compute_output_spec(self, inputs, start_index=0):
        check_start_index(start_index)
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "max_wavelength": self.max_wavelength}


@keras.saving.register_keras_serializable(package="tatl_keras")
class SinePositionEncoding2D(keras.layers.Layer):
    """Encodes the places in a map as sines and cosines of many wavelengths.

        P[y, x] = R[y] and then R[x]                    half of the channels each

        R[t, 2i]     = sin(t / w^(2i / (C / 2)))
        R[t, 2i + 1] = cos(t / w^(2i / (C / 2)))

    with w the largest wavelength over 2 pi. P is returned, to be added to the inputs; of the inputs
    only the shape counts. Angles are computed in float32 under any dtype policy (in float64 under
    "float64").

    Shape letters: B batch, H rows, W columns, C channels.

    Args:
        max_wavelength: w, number of at least 1.
        **kwargs: `name`, `dtype`.

    Call arguments:
        inputs: floats (B, H, W, C), C divisible by 4.

    Returns:
        P (B, H, W, C) in the compute dtype, the same for each of the batch.

    Raises:
        ValueError: `max_wavelength` is below 1; `inputs` has another rank, or a number of channels
            that is unknown or not divisible by 4.

    Example:

    >>> import numpy as np
    >>> from tatl_keras import layers
    >>> encoding = layers.SinePositionEncoding2D()(np.zeros((1, 2, 3, 4)))
    >>> print(encoding[0, 1].numpy().round(2))
    [[ 0.84  0.54  0.    1.  ]
     [ 0.84  0.54  0.84  0.54]
     [ 0.84  0.54  0.91 -0.42]]

    Reference:
        Vaswani et al., "Attention Is All You Need", 2017, section 3.5,
        https://arxiv.org/abs/1706.03762; per axis as in Parmar et al., "Image Transformer", 2018,
        section 3.1, https://arxiv.org/abs/1802.05751.
    """

    def __init__(self, max_wavelength=10000, **kwargs):
        super().__init__(**kwargs)
        self.max_wavelength = check_wavelength(max_wavelength)
        self.supports_masking = True

    def call(self, inputs):
        check_map("inputs", inputs.shape, multiple=4)
        shape = ops.shape(inputs)
        channels = shape[3] // 2
        rows, columns = (
            _sines(length, 0, channels, self.max_wavelength, self.compute_dtype)
            for length in shape[1:3]
        )
        return join_axes(rows, columns, shape)

    def compute_output_shape(self, inputs_shape):
        return check_map("inputs", inputs_shape, multiple=4)

    def get_config(self):
        return {**super().get_config(), "max_wavelength": self.max_wavelength}


def _sines(length, start_index, channels, max_wavelength, dtype):
    """P (length, channels) in `dtype`, from angles in float32 at least."""
    precise = keras.backend.result_type(dtype, "float32")
    pairs = np.arange((channels + 1) // 2)
    phases = angles(length, start_index, max_wavelength ** (-2 * pairs / channels), precise)
    encoding = ops.stack([ops.sin(phases), ops.cos(phases)], axis=-1)
    encoding = ops.reshape(encoding, (length, 2 * len(pairs)))[:, :channels]
    return ops.cast(encoding, dtype)
