"""Attention in the form of the talk: bare matrices, no bias, no output projection."""

import keras
from keras import ops

from tatl_keras.layers.checks import (
    check_channels,
    check_choice,
    check_dim,
    check_mask,
    check_rate,
    check_sequence,
    shapes_agree,
)
from tatl_keras.layers.execution import IMPLEMENTATIONS, attention_spec, dot_product_attention
from tatl_keras.layers.kernels import add_kernels, kernel_config
from tatl_keras.layers.masking import zero_masked


@keras.saving.register_keras_serializable(package="tatl_keras")
class Attention(keras.layers.Layer):
    """Attends from a query to a second sequence through two learned matrices.

        K = value @ W_K                      (B, S, Dq)
        V = value @ W_V                      (B, S, Dv)
        E = query @ K^T / sqrt(Dq)           (B, T, S)
        A = softmax(E) over S                rows sum to 1
        Y = A @ V                            (B, T, Dv)

    There is no bias, no query projection and no output projection.

    Shape letters: B batch, T query length, S attended length, Dq, Dx, Dv channels of query, value
    and output. Everything also works without the batch axis: (T, Dq) and (S, Dx) give (T, Dv).

    Masks: True (nonzero) marks what may be attended. What stands in masked places of `value` has
    no effect and gets no gradient. A row with nothing to attend gives zeros, in A and in Y. The
    softmax runs in float32 under any dtype policy (in float64 under "float64").

    Weights, in the order of `get_weights()`: `key_kernel` W_K (Dx, Dq) and `value_kernel` W_V
    (Dx, Dv).

    Args:
        value_dim: Dv, integer of at least 1; None takes Dq, the channels of the query.
        kernel_initializer: initializer of both kernels. A seeded one gives each kernel a seed of
            its own, derived from the given one, so that the kernels differ.
        kernel_regularizer: optional regularizer of both kernels.
        kernel_constraint: optional constraint of both kernels.
        dropout: fraction of the entries of A dropped in training, in [0, 1).
        implementation: "dense" holds A whole; "chunked" (TensorFlow) never does, and memory grows
            with the lengths instead of their product; "auto" chooses. The results are the same.
        seed: optional integer; fixes the dropout.
        **kwargs: `name`, `dtype`, `trainable`.

    Call arguments:
        query: floats (B, T, Dq).
        value: floats (B, S, Dx).
        value_mask: optional booleans or integers (B, S). When given, it replaces the implicit
            Keras mask of `value`; otherwise that one is used, if there is one.
        return_attention_scores: whether to return A, before dropout, as well; "chunked" cannot.
        training: whether to drop out.

    Returns:
        Y (B, T, Dv) in the compute dtype; with `return_attention_scores=True` the pair Y, A, A
        (B, T, S) in float32. Y carries the implicit Keras mask of `query`, which changes nothing
        else.

    Raises:
        ValueError: `value_dim` is below 1; `dropout` is outside [0, 1); `implementation` is
            unknown, or "chunked" where A is returned or without TensorFlow; `query` or `value` has
            another rank, unknown channels, different batch sizes, or other channels than the layer
            was built for; `value_mask` is neither boolean nor integer or not (B, S).

    Example:

    >>> import numpy as np
    >>> from tatl_keras import layers
    >>> layer = layers.Attention(value_dim=4)
    >>> image, text = np.ones((2, 7, 3)), np.ones((2, 5, 6))
    >>> fused, scores = layer(
    ...     image, text, value_mask=np.array([[1, 1, 0, 0, 0], [0, 0, 0, 0, 0]]),
    ...     return_attention_scores=True,
    ... )
    >>> tuple(fused.shape), tuple(scores.shape)
    ((2, 7, 4), (2, 7, 5))
    >>> scores[:, 0].numpy().round(6).tolist()
    [[0.5, 0.5, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0]]

    Reference:
        Vaswani et al., "Attention Is All You Need", 2017, section 3.2.1,
        https://arxiv.org/abs/1706.03762 (the scaled dot product).
    """

    def __init__(
        self,
        value_dim=None,
        *,
        kernel_initializer="glorot_uniform",
        kernel_regularizer=None,
        kernel_constraint=None,
        dropout=0.0,
        implementation="auto",
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.value_dim = None if value_dim is None else check_dim("value_dim", value_dim)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.dropout = check_rate("dropout", dropout)
        self.implementation = check_choice("implementation", implementation, IMPLEMENTATIONS)
        self.seed = seed
        if self.dropout:
            self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True

    def build(self, query_shape, value_shape):
        query_shape, value_shape = self._check_shapes(query_shape, value_shape)
        query_dim, channels = query_shape[-1], value_shape[-1]
        self.key_kernel, self.value_kernel = add_kernels(
            self,
            key_kernel=(channels, query_dim),
            value_kernel=(channels, self.value_dim or query_dim),
        )

    def call(self, query, value, value_mask=None, return_attention_scores=False, training=None):
        _, value_shape = self._check_shapes(query.shape, value.shape)
        if value_mask is not None:
            value_mask = check_mask("value_mask", value_mask, value_shape[:-1])
            value = zero_masked(value, value_mask)
        key = ops.matmul(value, self.key_kernel)
        value = ops.matmul(value, self.value_kernel)
        attended = dot_product_attention(
            query,
            key,
            value,
            value_mask=value_mask,
            dropout=self.dropout if training else 0.0,
            seed=self.seed_generator.next() if training and self.dropout else None,
            implementation=self.implementation,
            return_attention_scores=return_attention_scores,
        )
        return (attended.outputs, attended.scores) if return_attention_scores else attended.outputs

    def compute_output_shape(self, query_shape, value_shape):
        query_shape, _ = self._check_shapes(query_shape, value_shape)
        return (*query_shape[:-1], self.value_dim or query_shape[-1])

    def compute_output_spec(
        self, query, value, value_mask=None, return_attention_scores=False, training=None
    ):
        shape = self.compute_output_shape(query.shape, value.shape)
        if value_mask is not None:
            check_mask("value_mask", value_mask, value.shape[:-1])
        scores_shape = (*query.shape[:-1], value.shape[-2])
        return attention_spec(
            self.compute_dtype, shape, scores_shape, return_attention_scores, self.implementation
        )

    def get_config(self):
        return {
            **super().get_config(),
            "value_dim": self.value_dim,
            **kernel_config(self),
            "dropout": self.dropout,
            "implementation": self.implementation,
            "seed": self.seed,
        }

    def _check_shapes(self, query_shape, value_shape):
        query_shape = check_sequence("query", query_shape)
        value_shape = check_sequence("value", value_shape)
        if not shapes_agree(query_shape[:-2], value_shape[:-2]):
            raise ValueError(
                "`value` must have the batch axis of `query`. "
                f"Received: query.shape={query_shape}, value.shape={value_shape}. "
                "Both are (B, length, channels), or both are (length, channels)."
            )
        if self.built:
            check_channels("query", query_shape, self.key_kernel.shape[1])
            check_channels("value", value_shape, self.key_kernel.shape[0])
        return query_shape, value_shape
