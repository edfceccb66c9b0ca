"""Self-attention in the form of the talk: bare matrices, no bias, no output projection."""

import keras
from keras import ops

from tatl_keras.layers.checks import (
    check_channels,
    check_choice,
    check_dim,
    check_mask,
    check_rate,
    check_sequence,
)
from tatl_keras.layers.execution import IMPLEMENTATIONS, attention_spec, dot_product_attention
from tatl_keras.layers.kernels import add_kernels, kernel_config
from tatl_keras.layers.masking import causal_limits, zero_masked


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
        dropout: fraction of the entries of A dropped in training, in [0, 1).
        implementation: "dense" holds A whole; "chunked" (TensorFlow) never does, and memory grows
            with the lengths instead of their product; "auto" chooses. The results are the same.
        seed: optional integer; fixes the dropout.
        **kwargs: `name`, `dtype`, `trainable`.

    Call arguments:
        inputs: floats (B, T, Dx).
        padding_mask: optional booleans or integers (B, T). When given, it replaces the implicit
            Keras mask of `inputs`; otherwise that one is used, if there is one.
        use_causal_mask: whether position t attends only to positions up to and with t.
        return_attention_scores: whether to return A, before dropout, as well; "chunked" cannot.
        training: whether to drop out.

    Returns:
        Y (B, T, Dv) in the compute dtype; with `return_attention_scores=True` the pair Y, A, A
        (B, T, T) in float32. Y carries the implicit Keras mask of `inputs`.

    Raises:
        ValueError: `key_dim` or `value_dim` is below 1; `dropout` is outside [0, 1);
            `implementation` is unknown, or "chunked" where A is returned or without TensorFlow;
            `inputs` has another rank, unknown
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
        dropout=0.0,
        implementation="auto",
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.key_dim = check_dim("key_dim", key_dim)
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

    def build(self, inputs_shape):
        channels = self._check_shape(inputs_shape)[-1]
        self.query_kernel, self.key_kernel, self.value_kernel = add_kernels(
            self,
            query_kernel=(channels, self.key_dim),
            key_kernel=(channels, self.key_dim),
            value_kernel=(channels, self.value_dim or self.key_dim),
        )

    def call(
        self,
        inputs,
        padding_mask=None,
        use_causal_mask=False,
        return_attention_scores=False,
        training=None,
    ):
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
            dropout=self.dropout if training else 0.0,
            seed=self.seed_generator.next() if training and self.dropout else None,
            implementation=self.implementation,
            return_attention_scores=return_attention_scores,
        )
        return (attended.outputs, attended.scores) if return_attention_scores else attended.outputs

    def compute_output_shape(self, inputs_shape):
        return (*self._check_shape(inputs_shape)[:-1], self.value_dim or self.key_dim)

    def compute_output_spec(
        self,
        inputs,
        padding_mask=None,
        use_causal_mask=False,
        return_attention_scores=False,
        training=None,
    ):
        shape = self.compute_output_shape(inputs.shape)
        if padding_mask is not None:
            check_mask("padding_mask", padding_mask, inputs.shape[:-1])
        scores_shape = (*inputs.shape[:-1], inputs.shape[-2])
        return attention_spec(
            self.compute_dtype, shape, scores_shape, return_attention_scores, self.implementation
        )

    def get_config(self):
        return {
            **super().get_config(),
            "key_dim": self.key_dim,
            "value_dim": self.value_dim,
            **kernel_config(self),
            "dropout": self.dropout,
            "implementation": self.implementation,
            "seed": self.seed,
        }

    def _check_shape(self, shape):
        shape = check_sequence("inputs", shape)
        if self.built:
            check_channels("inputs", shape, self.query_kernel.shape[0])
        return shape
