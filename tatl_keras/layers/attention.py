"""Attention in the form of the talk: bare matrices, no bias, no output projection."""

import keras
from keras import ops

from tatl_keras.layers.checks import (
    check_channels,
    check_dim,
    check_mask,
    check_sequence,
    shapes_agree,
)
from tatl_keras.layers.execution import attention_spec, dot_product_attention
from tatl_keras.layers.kernels import add_kernels, kernel_config
from tatl_keras.layers.masking import causal_limits, zero_masked


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
        **kwargs: `name`, `dtype`, `trainable`.

    Call arguments:
        query: floats (B, T, Dq).
        value: floats (B, S, Dx).
        value_mask: optional booleans or integers (B, S). When given, it replaces the implicit
            Keras mask of `value`; otherwise that one is used, if there is one.
        return_attention_scores: whether to return A as well.

    Returns:
        Y (B, T, Dv) in the compute dtype; with `return_attention_scores=True` the pair Y, A, A
        (B, T, S) in float32. Y carries the implicit Keras mask of `query`, which changes nothing
        else.

    Raises:
        ValueError: `value_dim` is below 1; `query` or `value` has another rank, unknown channels,
            different batch sizes, or other channels than the layer was built for; `value_mask` is
            neither boolean nor integer or not (B, S).

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
    >>> scores[:, 0].numpy().tolist()
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
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.value_dim = None if value_dim is None else check_dim("value_dim", value_dim)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.supports_masking = True

    def build(self, query_shape, value_shape):
        query_shape, value_shape = self._check_shapes(query_shape, value_shape)
        query_dim, channels = query_shape[-1], value_shape[-1]
        self.key_kernel, self.value_kernel = add_kernels(
            self,
            key_kernel=(channels, query_dim),
            value_kernel=(channels, self.value_dim or query_dim),
        )

    def call(self, query, value, value_mask=None, return_attention_scores=False):
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
            return_attention_scores=return_attention_scores,
        )
        return (attended.outputs, attended.scores) if return_attention_scores else attended.outputs

    def compute_output_shape(self, query_shape, value_shape):
        query_shape, _ = self._check_shapes(query_shape, value_shape)
        return (*query_shape[:-1], self.value_dim or query_shape[-1])

    def compute_output_spec(self, query, value, value_mask=None, return_attention_scores=False):
        shape = self.compute_output_shape(query.shape, value.shape)
        if value_mask is not None:
            check_mask("value_mask", value_mask, value.shape[:-1])
        scores_shape = (*query.shape[:-1], value.shape[-2])
        return attention_spec(self.compute_dtype, shape, scores_shape, return_attention_scores)

    def get_config(self):
        return {**super().get_config(), "value_dim": self.value_dim, **kernel_config(self)}

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


@keras.saving.register_keras_serializable(package="tatl_keras")
class SelfAttention(keras.layers.Layer):
    """Attends from each position of a sequence to the others through three learned matrices.

        Q = inputs @ W_Q                     (B, T, Dq)
        K = inputs @ W_K                     (B, T, Dq)
        V = inputs @ W_V                     (B, T, Dv)
        E = Q @ K^T / sqrt(Dq)               (B, T, T)
        A = softmax(E) over the last axis    rows sum to 1
        Y = A @ V                            (B, T, Dv)

    There is no bias and no output projection.

    Shape letters: B batch, T length, Dx, Dq, Dv channels of inputs, of queries and keys, and of the
    output. Everything also works without the batch axis: (T, Dx) gives (T, Dv).

    Masks: True (nonzero) marks what may be attended. A masked position has no effect on the other
    rows of Y; its own row is computed like any other. A row with nothing to attend gives zeros, in
    A and in Y. The softmax runs in float32 under any dtype policy (in float64 under "float64").

    Weights, in the order of `get_weights()`: `query_kernel` W_Q (Dx, Dq), `key_kernel` W_K
    (Dx, Dq) and `value_kernel` W_V (Dx, Dv).

    Args:
        key_dim: Dq, integer of at least 1.
        value_dim: Dv, integer of at least 1; None takes `key_dim`.
        kernel_initializer: initializer of the kernels. A seeded one gives each kernel a seed of its
            own, derived from the given one, so that the kernels differ.
        kernel_regularizer: optional regularizer of the kernels.
        kernel_constraint: optional constraint of the kernels.
        **kwargs: `name`, `dtype`, `trainable`.

    Call arguments:
        inputs: floats (B, T, Dx).
        padding_mask: optional booleans or integers (B, T). When given, it replaces the implicit
            Keras mask of `inputs`; otherwise that one is used, if there is one.
        use_causal_mask: whether position t attends only to positions up to and with t.
        return_attention_scores: whether to return A as well.

    Returns:
        Y (B, T, Dv) in the compute dtype; with `return_attention_scores=True` the pair Y, A, A
        (B, T, T) in float32. Y carries the implicit Keras mask of `inputs`.

    Raises:
        ValueError: `key_dim` or `value_dim` is below 1; `inputs` has another rank, unknown
            channels, or other channels than the layer was built for; `padding_mask` is neither
            boolean nor integer or not (B, T).

    Example:

    >>> import numpy as np
    >>> from tatl_keras import layers
    >>> layer = layers.SelfAttention(key_dim=2, value_dim=4)
    >>> tokens = np.ones((1, 3, 5))
    >>> outputs, scores = layer(tokens, use_causal_mask=True, return_attention_scores=True)
    >>> tuple(outputs.shape)
    (1, 3, 4)
    >>> print(scores[0].numpy().round(2))
    [[1.   0.   0.  ]
     [0.5  0.5  0.  ]
     [0.33 0.33 0.33]]

    Reference:
        Vaswani et al., "Attention Is All You Need", 2017, sections 3.2.1 and 3.2.3,
        https://arxiv.org/abs/1706.03762 (one head, without the output projection).
    """

    def __init__(
        self,
        key_dim,
        value_dim=None,
        *,
        kernel_initializer="glorot_uniform",
        kernel_regularizer=None,
        kernel_constraint=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.key_dim = check_dim("key_dim", key_dim)
        self.value_dim = None if value_dim is None else check_dim("value_dim", value_dim)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.supports_masking = True

    def build(self, inputs_shape):
        channels = self._check_shape(inputs_shape)[-1]
        self.query_kernel, self.key_kernel, self.value_kernel = add_kernels(
            self,
            query_kernel=(channels, self.key_dim),
            key_kernel=(channels, self.key_dim),
            value_kernel=(channels, self.value_dim or self.key_dim),
        )

    def call(self, inputs, padding_mask=None, use_causal_mask=False, return_attention_scores=False):
        shape = self._check_shape(inputs.shape)
        if padding_mask is None:
            padding_mask = getattr(inputs, "_keras_mask", None)
        attended = inputs
        if padding_mask is not None:
            padding_mask = check_mask("padding_mask", padding_mask, shape[:-1])
            attended = zero_masked(inputs, padding_mask)
        attended = dot_product_attention(
            ops.matmul(inputs, self.query_kernel),
            ops.matmul(attended, self.key_kernel),
            ops.matmul(attended, self.value_kernel),
            value_mask=padding_mask,
            limits=causal_limits(ops.shape(inputs)[-2]) if use_causal_mask else None,
            return_attention_scores=return_attention_scores,
        )
        return (attended.outputs, attended.scores) if return_attention_scores else attended.outputs

    def compute_output_shape(self, inputs_shape):
        return (*self._check_shape(inputs_shape)[:-1], self.value_dim or self.key_dim)

    def compute_output_spec(
        self, inputs, padding_mask=None, use_causal_mask=False, return_attention_scores=False
    ):
        shape = self.compute_output_shape(inputs.shape)
        if padding_mask is not None:
            check_mask("padding_mask", padding_mask, inputs.shape[:-1])
        scores_shape = (*inputs.shape[:-1], inputs.shape[-2])
        return attention_spec(self.compute_dtype, shape, scores_shape, return_attention_scores)

    def get_config(self):
        return {
            **super().get_config(),
            "key_dim": self.key_dim,
            "value_dim": self.value_dim,
            **kernel_config(self),
        }

    def _check_shape(self, shape):
        shape = check_sequence("inputs", shape)
        if self.built:
            check_channels("inputs", shape, self.query_kernel.shape[0])
        return shape
