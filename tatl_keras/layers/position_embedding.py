"""Positions as learned vectors."""

import keras
from keras import ops

from tatl_keras.layers.checks import check_channels, check_count, check_sequence
from tatl_keras.layers.position import check_map, check_start_index, join_axes
from tatl_keras.layers.seeds import split_initializer


@keras.saving.register_keras_serializable(package="tatl_keras")
class PositionEmbedding(keras.layers.Layer):
    """Looks up a learned vector for each place in a sequence.

        P[t] = E[t + start]

    P is returned, to be added to the inputs; of the inputs only the shape counts.

    Shape letters: B batch, T length, D channels. Everything also works without the batch axis.

    Weights: `embeddings` E (N, D).

    Args:
        sequence_length: N, the largest T; integer of at least 1.
        initializer: initializer of E.
        **kwargs: `name`, `dtype`, `trainable`.

    Call arguments:
        inputs: floats (B, T, D).
        start_index: position of the first vector, as needed in decoding step by step; integer of at
            least 0, or an integer tensor without axes.

    Returns:
        P (B, T, D) in the compute dtype, the same for each of the batch.

    Raises:
        ValueError: `sequence_length` is below 1; `inputs` has another rank, unknown channels, or
            other channels than the layer was built for; `start_index` is negative or no index;
            `start_index` + T is above `sequence_length`, as far as both are known beforehand.

    Example:

    >>> import numpy as np
    >>> from tatl_keras import layers
    >>> layer = layers.PositionEmbedding(sequence_length=5)
    >>> tuple(layer(np.zeros((2, 3, 4))).shape)
    (2, 3, 4)
    >>> bool(np.all(layer(np.zeros((1, 4)), start_index=4) == layer.embeddings[4]))
    True

    Reference:
        Vaswani et al., "Attention Is All You Need", 2017, section 3.5,
        https://arxiv.org/abs/1706.03762 (the learned variant).
    """

    def __init__(self, sequence_length, initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        self.sequence_length = check_count("sequence_length", sequence_length)
        self.initializer = keras.initializers.get(initializer)
        self.supports_masking = True

    def build(self, inputs_shape):
        channels = self._check_shape(inputs_shape, 0)[-1]
        (initializer,) = split_initializer(self.initializer, 1)
        self.embeddings = self.add_weight(
            name="embeddings", shape=(self.sequence_length, channels), initializer=initializer
        )

    def call(self, inputs, start_index=0):
        self._check_shape(inputs.shape, start_index)
        shape = ops.shape(inputs)
        embeddings = ops.slice(
            ops.convert_to_tensor(self.embeddings),
            (ops.cast(start_index, "int32"), 0),
            shape[-2:],
        )
        return ops.broadcast_to(embeddings, shape)

    def compute_output_shape(self, inputs_shape):
        return self._check_shape(inputs_shape, 0)

    def compute_output_spec(self, inputs, start_index=0):
        shape = self._check_shape(inputs.shape, start_index)
        return keras.KerasTensor(shape, self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "sequence_length": self.sequence_length,
            "initializer": keras.initializers.serialize(self.initializer),
        }

    def _check_shape(self, shape, start_index):
        shape = check_sequence("inputs", shape)
        if self.built:
            check_channels("inputs", shape, self.embeddings.shape[1])
        start_index = check_start_index(start_index)
        known = start_index if isinstance(start_index, int) else 0
        if shape[-2] is not None and known + shape[-2] > self.sequence_length:
            raise ValueError(
                f"`inputs` must end at position {self.sequence_length} or before, that is at "
                f"`sequence_length`. Received: inputs.shape={shape}, start_index={known}. "
                "Use a layer for longer sequences."
            )
        return shape


@keras.saving.register_keras_serializable(package="tatl_keras")
class PositionEmbedding2D(keras.layers.Layer):
    """Looks up a learned vector for each place in a map.

        P[y, x] = R[y] and then C[x]                    half of the channels each

    P is returned, to be added to the inputs; of the inputs only the shape counts. A smaller map
    takes the first rows and columns.

    Shape letters: B batch, H rows, W columns, D channels.

    Weights, in the order of `get_weights()`: `row_embeddings` R (height, D / 2) and
    `column_embeddings` C (width, D / 2).

    Args:
        height: the largest H; integer of at least 1.
        width: the largest W; integer of at least 1.
        initializer: initializer of both. A seeded one gives each a seed of its own, derived from
            the given one, so that they differ.
        **kwargs: `name`, `dtype`, `trainable`.

    Call arguments:
        inputs: floats (B, H, W, D), D even.

    Returns:
        P (B, H, W, D) in the compute dtype, the same for each of the batch.

    Raises:
        ValueError: `height` or `width` is below 1; `inputs` has another rank, a number of channels
            that is odd, unknown, or not that for which the layer was built; the map is larger than
            `height` or `width`, as far as its size is known beforehand.

    Example:

    >>> import numpy as np
    >>> from tatl_keras import layers
    >>> layer = layers.PositionEmbedding2D(height=7, width=5)
    >>> positions = layer(np.zeros((2, 3, 5, 4)))
    >>> tuple(positions.shape)
    (2, 3, 5, 4)
    >>> bool(np.all(positions[0, 2, 1, 2:] == layer.column_embeddings[1]))
    True

    Reference:
        Parmar et al., "Image Transformer", 2018, section 3.1, https://arxiv.org/abs/1802.05751 (the
        learned variant).
    """

    def __init__(self, height, width, initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        self.height = check_count("height", height)
        self.width = check_count("width", width)
        self.initializer = keras.initializers.get(initializer)
        self.supports_masking = True

    def build(self, inputs_shape):
        channels = self._check_shape(inputs_shape)[-1] // 2
        self.row_embeddings, self.column_embeddings = (
            self.add_weight(name=name, shape=(length, channels), initializer=initializer)
            for name, length, initializer in zip(
                ("row_embeddings", "column_embeddings"),
                (self.height, self.width),
                split_initializer(self.initializer, 2),
                strict=True,
            )
        )

    def call(self, inputs):
        self._check_shape(inputs.shape)
        shape = ops.shape(inputs)
        rows, columns = (
            ops.slice(ops.convert_to_tensor(table), (0, 0), (length, shape[3] // 2))
            for table, length in zip(
                (self.row_embeddings, self.column_embeddings), shape[1:3], strict=True
            )
        )
        return join_axes(rows, columns, shape)

    def compute_output_shape(self, inputs_shape):
        return self._check_shape(inputs_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "height": self.height,
            "width": self.width,
            "initializer": keras.initializers.serialize(self.initializer),
        }

    def _check_shape(self, shape):
        shape = check_map("inputs", shape, multiple=2)
        if self.built:
            check_channels("inputs", shape, 2 * self.row_embeddings.shape[1])
        if (shape[1] or 0) > self.height or (shape[2] or 0) > self.width:
            raise ValueError(
                f"`inputs` must be a map of at most {self.height} x {self.width} places, that is "
                f"`height` x `width`. Received: inputs.shape={shape}. Use a layer for larger maps."
            )
        return shape
