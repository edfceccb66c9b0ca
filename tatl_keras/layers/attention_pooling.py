"""Pooling of token sequences by learned queries."""

import keras
from keras import ops

from tatl_keras.layers.checks import (
    check_channels,
    check_choice,
    check_count,
    check_dim,
    check_mask,
    check_rate,
    check_sequence,
)
from tatl_keras.layers.execution import IMPLEMENTATIONS, attention_spec, dot_product_attention
from tatl_keras.layers.kernels import add_kernels, kernel_config
from tatl_keras.layers.masking import zero_masked
from tatl_keras.layers.seeded import seeded_initializer
from tatl_keras.layers.seeds import derive_seed


@keras.saving.register_keras_serializable(package="tatl_keras")
class AttentionPooling(keras.layers.Layer):
    """Averages a sequence with weights that one learned query per head gives to its positions.

        K_h = inputs @ W_K[:, h]                        (B, T, K)    for each head h of H
        V_h = inputs @ W_V[:, h]                        (B, T, V)
        a_h = softmax(K_h @ q[h] / sqrt(K)) over T      (B, T)       sums to 1
        y_h = sum_t a_h[t] V_h[t]                       (B, V)
        y   = the y_h side by side                      (B, H V)

    There is no bias and no output projection.

    Shape letters: B batch, T length, H heads, K and V channels of a head's keys and values, D
    channels of the inputs.

    Masks: True (nonzero) marks what may be attended. What stands in masked places has no effect and
    gets no gradient. A row with nothing to attend gives zeros, in a and in y. The softmax runs in
    float32 under any dtype policy (in float64 under "float64").

    Weights, in the order of `get_weights()`: `query` q (H, K), `key_kernel` W_K (D, H, K) and
    `value_kernel` W_V (D, H, V).

    Args:
        num_heads: H, integer of at least 1.
        key_dim: K, integer of at least 1; None takes D / H, which must be whole.
        value_dim: V, integer of at least 1; None takes K.
        dropout: fraction of the entries of a dropped in training, in [0, 1).
        kernel_initializer: initializer of the query and the kernels. A seeded one gives each a seed
            of its own, derived from the given one, so that they differ.
        kernel_regularizer: optional regularizer of the query and the kernels.
        kernel_constraint: optional constraint of the query and the kernels.
        implementation: "dense", "chunked" (TensorFlow only, without a) or "auto". The results are
            the same.
        seed: optional integer; fixes the dropout, and the initial weights if their initializer has
            no seed of its own.
        **kwargs: `name`, `dtype`, `trainable`.

    Call arguments:
        inputs: floats (B, T, D).
        mask: optional booleans or integers (B, T), nonzero = real. Without it the implicit Keras
            mask of `inputs` is used, and without that every position counts.
        return_attention_scores: whether to return a as well.
        training: whether to drop out.

    Returns:
        y (B, H V) in the compute dtype; with `return_attention_scores=True` the pair y, a, a
        (B, H, T) in float32 and before dropout.

    Raises:
        ValueError: an argument is out of bounds; `num_heads` does not divide D where `key_dim` is
            None; `inputs` is not (B, T, D), D is unknown or not that for which the layer was built;
            `mask` is neither boolean nor integer or not (B, T); `implementation` is "chunked" where
            a is returned or without TensorFlow.

    Example:

    >>> import numpy as np
    >>> from tatl_keras import layers
    >>> tokens, mask = np.ones((1, 5, 6)), np.array([[1, 1, 0, 1, 1]])
    >>> pooled, scores = layers.AttentionPooling(num_heads=2)(
    ...     tokens, mask=mask, return_attention_scores=True
    ... )
    >>> tuple(pooled.shape)
    (1, 6)
    >>> scores[0, 1].numpy().tolist()
    [0.25, 0.25, 0.0, 0.25, 0.25]

    Reference:
        Lee et al., "Set Transformer", 2019, section 3.2, https://arxiv.org/abs/1810.00825 (pooling
        by multihead attention with one seed vector, without its residual and feed-forward parts).
    """

    def __init__(
        self,
        num_heads=1,
        key_dim=None,
        value_dim=None,
        *,
        dropout=0.0,
        kernel_initializer="glorot_uniform",
        kernel_regularizer=None,
        kernel_constraint=None,
        implementation="auto",
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_heads = check_count("num_heads", num_heads)
        self.key_dim = None if key_dim is None else check_dim("key_dim", key_dim)
        self.value_dim = None if value_dim is None else check_dim("value_dim", value_dim)
        self.dropout = check_rate("dropout", dropout)
        self.kernel_initializer = seeded_initializer(kernel_initializer, derive_seed(seed, 1))
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.implementation = check_choice("implementation", implementation, IMPLEMENTATIONS)
        self.seed = seed
        if self.dropout:
            self.seed_generator = keras.random.SeedGenerator(derive_seed(seed, 0))
        self.supports_masking = True

    def build(self, inputs_shape):
        channels = self._check_shape(inputs_shape)[-1]
        key_dim, value_dim = self._dims(inputs_shape)
        self.query, self.key_kernel, self.value_kernel = add_kernels(
            self,
            query=(self.num_heads, key_dim),
            key_kernel=(channels, self.num_heads, key_dim),
            value_kernel=(channels, self.num_heads, value_dim),
        )

    def call(self, inputs, mask=None, return_attention_scores=False, training=None):
        batch, length, _ = self._check_shape(inputs.shape)
        if mask is not None:
            mask = check_mask("mask", mask, (batch, length))
            inputs = zero_masked(inputs, mask)
            mask = ops.expand_dims(mask, 1)
        key = self._heads(inputs, self.key_kernel)
        query = ops.broadcast_to(
            ops.expand_dims(ops.convert_to_tensor(self.query), 1),
            (ops.shape(inputs)[0], self.num_heads, 1, self.query.shape[1]),
        )
        dropout = self.dropout if training else 0.0
        attended = dot_product_attention(
            query,
            key,
            self._heads(inputs, self.value_kernel),
            value_mask=mask,
            dropout=dropout,
            seed=self.seed_generator.next() if dropout else None,
            implementation=self.implementation,
            return_attention_scores=return_attention_scores,
        )
        shape = (ops.shape(inputs)[0], self.num_heads * self.value_kernel.shape[2])
        outputs = ops.reshape(attended.outputs, shape)
        return (outputs, attended.scores[:, :, 0]) if return_attention_scores else outputs

    def compute_mask(self, inputs, mask=None):
        return None

    def compute_output_shape(self, inputs_shape):
        shape = self._check_shape(inputs_shape)
        return (shape[0], self.num_heads * self._dims(shape)[1])

    def compute_output_spec(self, inputs, mask=None, return_attention_scores=False, training=None):
        shape = self.compute_output_shape(inputs.shape)
        if mask is not None:
            check_mask("mask", mask, inputs.shape[:-1])
        scores_shape = (shape[0], self.num_heads, inputs.shape[1])
        return attention_spec(
            self.compute_dtype, shape, scores_shape, return_attention_scores, self.implementation
        )

    def get_config(self):
        names = ("num_heads", "key_dim", "value_dim", "dropout", "implementation", "seed")
        config = {name: getattr(self, name) for name in names}
        return {**super().get_config(), **config, **kernel_config(self)}

    def _heads(self, inputs, kernel):
        """(B, T, D) to (B, H, T, K) by the matrices of all heads at once."""
        channels, heads, dim = kernel.shape
        outputs = ops.matmul(inputs, ops.reshape(kernel, (channels, heads * dim)))
        outputs = ops.reshape(outputs, (*ops.shape(inputs)[:2], heads, dim))
        return ops.swapaxes(outputs, 1, 2)

    def _dims(self, shape):
        """K and V for inputs of `shape`."""
        key_dim = self.key_dim
        if key_dim is None:
            key_dim, rest = divmod(shape[-1], self.num_heads)
            if rest or not key_dim:
                raise ValueError(
                    "`num_heads` must divide the channels of `inputs` where `key_dim` is None. "
                    f"Received: num_heads={self.num_heads}, inputs.shape={tuple(shape)}. "
                    "Or give `key_dim`."
                )
        return key_dim, self.value_dim or key_dim

    def _check_shape(self, shape):
        shape = check_sequence("inputs", shape, ranks=(3,))
        if self.built:
            check_channels("inputs", shape, self.key_kernel.shape[0])
        return shape
