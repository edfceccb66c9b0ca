"""Self-attention in which each position sees about the square root of all positions."""

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
from tatl_keras.layers.implementation import in_tiles_if_possible
from tatl_keras.layers.kernels import kernel_config
from tatl_keras.layers.multi_head_checks import check_layer, check_output_shape
from tatl_keras.layers.multi_head_projections import add_projections, join_heads, split_heads
from tatl_keras.layers.seeded import seeded_initializer
from tatl_keras.layers.seeds import derive_seed
from tatl_keras.layers.sparse_pattern import (
    check_pattern,
    sparse_attention,
    sparse_attention_mask,
)


@keras.saving.register_keras_serializable(package="tatl_keras")
class SparseSelfAttention(keras.layers.Layer):
    """Attends from each position to those of a sparse pattern, in several heads.

        Q_h = inputs @ W_Q[:, h]                         (B, T, K)    for each head h of H
        K_h = inputs @ W_K[:, h]                         (B, T, K)
        V_h = inputs @ W_V[:, h]                         (B, T, V)
        A_h = softmax(Q_h @ K_h^T / sqrt(K)) over S(t)   (B, T, T)    rows sum to 1
        Y   = sum over h of A_h @ V_h @ W_O[h]           (B, T, Do)

        strided:  S(t) = {s: |t - s| <= l  or  (t - s) mod l = 0}
        fixed:    S(t) = {s: floor(s / l) = floor(t / l)  or  s mod l >= l - c}

    With the causal mask S(t) has no s > t. Each head sees the union of the paper's two sets, the
    local and the far one. S(t) has of the order of l + T / l positions (fixed: l + c T / l), so
    that with l near sqrt(T) the work grows as T sqrt(T). It is computed over the pattern alone, by
    ordinary attention over disjoint parts of it: the result and its gradient are those of dense
    attention under the mask `sparse_attention_mask`, but no tensor has T x T entries. T need not be
    a multiple of l. Where the pattern leaves nothing out (l >= T, strided with l = 1, fixed with
    c = l), this is full attention.

    Shape letters: B batch, T length, H heads, K and V channels of a head's keys and values, Dx and
    Do channels of inputs and output.

    Masks: True (nonzero) marks what may be attended. A masked position has no effect on the other
    rows of Y; its own row is computed like any other. A row with nothing to attend gives zeros, in
    A and in Y (in Y the output bias, if there is one). The softmax runs in float32 under any dtype
    policy (in float64 under "float64").

    Weights, in the order of `get_weights()`: `query_kernel` (Dx, H, K), `key_kernel` (Dx, H, K),
    `value_kernel` (Dx, H, V), `output_kernel` (H, V, Do), and with biases `query_bias` (H, K),
    `key_bias` (H, K), `value_bias` (H, V), `output_bias` (Do,).

    Args:
        num_heads: H, integer of at least 1.
        key_dim: K, integer of at least 1.
        value_dim: V, integer of at least 1; None takes `key_dim`.
        pattern: "strided", for what repeats every l positions, as the rows of a picture, or
            "fixed", for what does not, as text.
        block_size: l, integer of at least 1; None takes the square root of T, rounded up.
        summary_size: c, how many of the last positions of a block are seen from everywhere in the
            fixed pattern, where it is at most `block_size`; the paper takes 8, 16 or 32. With
            `block_size=None` it is l for the sequences whose l is smaller.
        dropout: fraction of the entries of A dropped in training, in [0, 1).
        use_bias: whether the projections have biases.
        output_shape: Do, integer of at least 1; None takes Dx.
        use_output_projection: whether there is W_O. Else Y is the heads side by side, (B, T, H V).
        position: optional layer that brings positions into the queries and keys of each head. It is
            called as `position(x, start_index=0)` with x (B, H, T, K) and returns such a tensor.
        kernel_initializer: initializer of the kernels. A seeded one gives each kernel a seed of its
            own, derived from the given one, so that the kernels differ.
        bias_initializer: initializer of the biases.
        kernel_regularizer, bias_regularizer: optional regularizers.
        kernel_constraint, bias_constraint: optional constraints.
        implementation: how each part is computed: "dense", "chunked" (TensorFlow only) or "auto".
            The results are the same.
        seed: optional integer; fixes the dropout, and the initial kernels if their initializer has
            no seed of its own.
        **kwargs: `name`, `dtype`, `trainable`.

    Call arguments:
        inputs: floats (B, T, Dx).
        padding_mask: optional booleans or integers (B, T). When given, it replaces the implicit
            Keras mask of `inputs`; otherwise that one is used, if there is one.
        use_causal_mask: whether position t attends only to positions up to and with t.
        return_attention_scores: whether to return A as well, for explanation. Then attention is
            dense and takes the memory of T x T scores; in training it drops other entries.
            "chunked" cannot.
        training: whether to drop out.

    Returns:
        Y (B, T, Do) in the compute dtype; with `return_attention_scores=True` the pair Y, A, A
        (B, H, T, T) in float32 and before dropout. Y carries the implicit Keras mask of `inputs`.

    Raises:
        ValueError: an argument is out of bounds; `summary_size` is above `block_size` in the fixed
            pattern; `output_shape` is given without an output projection; `inputs` has another
            rank, unknown channels, or other channels than the layer was built for; `padding_mask`
            is neither boolean nor integer or not (B, T).

    Example:

    >>> import numpy as np
    >>> from tatl_keras import layers
    >>> layer = layers.SparseSelfAttention(2, 4, pattern="strided", block_size=3)
    >>> outputs, scores = layer(np.ones((1, 8, 5)), return_attention_scores=True)
    >>> tuple(outputs.shape), tuple(scores.shape)
    ((1, 8, 5), (1, 2, 8, 8))
    >>> print(scores[0, 0, 0].numpy().round(6))
    [0.2 0.2 0.2 0.2 0.  0.  0.2 0. ]

    Reference:
        Child et al., "Generating Long Sequences with Sparse Transformers", 2019, sections 4.3 and
        5.1, https://arxiv.org/abs/1904.10509 (the merged head, which sees both sets).
    """

    def __init__(
        self,
        num_heads,
        key_dim,
        value_dim=None,
        *,
        pattern="strided",
        block_size=None,
        summary_size=8,
        dropout=0.0,
        use_bias=False,
        output_shape=None,
        use_output_projection=True,
        position=None,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        implementation="auto",
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_heads = check_count("num_heads", num_heads)
        self.key_dim = check_dim("key_dim", key_dim)
        self.value_dim = self.key_dim if value_dim is None else check_dim("value_dim", value_dim)
        pattern = check_pattern(pattern, block_size, summary_size)
        self.pattern, self.block_size, self.summary_size = pattern
        self.dropout = check_rate("dropout", dropout)
        self.use_bias = use_bias
        self.use_output_projection = use_output_projection
        self.output_dim = check_output_shape(output_shape, use_output_projection)
        self.position = check_layer("position", position, "Such as RotaryPositions().")
        self.kernel_initializer = seeded_initializer(kernel_initializer, derive_seed(seed, 1))
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.bias_constraint = keras.constraints.get(bias_constraint)
        self.implementation = check_choice("implementation", implementation, IMPLEMENTATIONS)
        self.seed = seed
        if self.dropout:
            self.seed_generator = keras.random.SeedGenerator(derive_seed(seed, 0))
        self.supports_masking = True

    def build(self, inputs_shape):
        channels = self._check_shape(inputs_shape)[-1]
        add_projections(self, channels, channels, channels)
        if self.position is not None and not self.position.built:
            self.position.build((inputs_shape[0], self.num_heads, inputs_shape[1], self.key_dim))

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
        value_mask = None
        if padding_mask is not None:
            padding_mask = check_mask("padding_mask", padding_mask, shape[:-1])
            value_mask = ops.expand_dims(padding_mask, 1)
        heads = (
            split_heads(self, "query", inputs, start=0),
            split_heads(self, "key", inputs, padding_mask, start=0),
            split_heads(self, "value", inputs, padding_mask),
        )
        dropout = self.dropout if training else 0.0
        seeds = [self.seed_generator.next() if dropout else None for _ in range(2)]
        execution = {"value_mask": value_mask, "dropout": dropout}
        pattern = (self.pattern, self.block_size, self.summary_size, use_causal_mask)
        if return_attention_scores:
            execution["attention_mask"] = sparse_attention_mask(ops.shape(inputs)[-2], *pattern)
            execution.update(seed=seeds[0], implementation=self.implementation)
            attended = dot_product_attention(*heads, **execution, return_attention_scores=True)
            return join_heads(self, attended.outputs), attended.scores
        how = in_tiles_if_possible(self.implementation, return_attention_scores)
        execution.update(seeds=seeds, implementation=how)
        return join_heads(self, sparse_attention(*heads, *pattern, **execution))

    def compute_output_shape(self, inputs_shape):
        shape = self._check_shape(inputs_shape)
        if not self.use_output_projection:
            return (*shape[:-1], self.num_heads * self.value_dim)
        return (*shape[:-1], self.output_dim or shape[-1])

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
        *leading, length, _ = inputs.shape
        scores_shape = (*leading, self.num_heads, length, length)
        return attention_spec(
            self.compute_dtype, shape, scores_shape, return_attention_scores, self.implementation
        )

    def get_config(self):
        names = ("num_heads", "key_dim", "value_dim", "pattern", "block_size", "summary_size")
        names += ("dropout", "use_bias", "use_output_projection", "implementation", "seed")
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in names},
            "output_shape": self.output_dim,
            "position": keras.saving.serialize_keras_object(self.position),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "bias_regularizer": keras.regularizers.serialize(self.bias_regularizer),
            "bias_constraint": keras.constraints.serialize(self.bias_constraint),
            **kernel_config(self),
        }

    def _check_shape(self, shape):
        shape = check_sequence("inputs", shape, ranks=(3,))
        if self.built:
            check_channels("inputs", shape, self.query_kernel.shape[0])
        return shape
