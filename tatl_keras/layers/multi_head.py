"""Attention of several heads, each with matrices of its own."""

import keras
from keras import ops

from tatl_keras.layers import multi_head_exchange
from tatl_keras.layers.checks import check_choice, check_count, check_dim, check_rate
from tatl_keras.layers.execution import IMPLEMENTATIONS, attention_spec, dot_product_attention
from tatl_keras.layers.kernels import kernel_config
from tatl_keras.layers.masking import causal_limits, zero_masked
from tatl_keras.layers.multi_head_cache import read_cache, write_cache
from tatl_keras.layers.multi_head_checks import (
    both,
    check_call,
    check_layer,
    check_output_shape,
    check_shapes,
)
from tatl_keras.layers.multi_head_projections import add_projections, join_heads, split_heads
from tatl_keras.layers.seeded import seeded_initializer
from tatl_keras.layers.seeds import derive_seed


@keras.saving.register_keras_serializable(package="tatl_keras")
class MultiHeadAttention(keras.layers.Layer):
    """Attends from a query to a second sequence in several heads.

        Q_h = query @ W_Q[:, h]              (B, T, K)    for each head h of H
        K_h = key @ W_K[:, h]                (B, S, K)
        V_h = value @ W_V[:, h]              (B, S, V)
        A_h = softmax(Q_h @ K_h^T / sqrt(K)) (B, T, S)    rows sum to 1
        Y   = sum over h of A_h @ V_h @ W_O[h]            (B, T, Do)

    Each head has its own W_Q, W_K and W_V, without biases unless `use_bias=True`. Without an
    output projection Y is the heads side by side, (B, T, H V).

    Shape letters: B batch, T query length, S attended length, H heads, K and V channels of a head's
    keys and values, Dq, Dk, Dx, Do channels of query, key, value and output.

    Masks: True (nonzero) marks what may be attended. A key counts if `value_mask`, `key_mask`,
    `attention_mask` and the causal mask all allow it. What stands in masked places of `value` and
    `key` has no effect and gets no gradient. As in Keras, `query_mask` is one more of these masks:
    a masked query sees nothing, and other rows do not notice. A row with nothing to attend gives
    zeros, in A and in Y (in Y the output bias, if there is one). The softmax runs in float32 under
    any dtype policy (in float64 under "float64").

    Caches: for decoding, `cache` holds the keys and values (after the projection, the bias and the
    position) of all S places, as zeros at first, and `cache_update_index` says where the T
    positions of this call begin. Their keys and values are written to the cache, the queries attend
    to the whole of it, and the new cache is returned. `use_causal_mask=True` keeps places that are
    not yet written from being seen. Without an index the cache is read and `value` and `key` are
    ignored, as is right when they stay the same from step to step. `value_mask`, `key_mask` and
    `attention_mask` then speak of the S places of the cache; implicit masks of `value` and `key`
    are left aside.

    Weights, in the order of `get_weights()`: `query_kernel` (Dq, H, K), `key_kernel` (Dk, H, K),
    `value_kernel` (Dx, H, V), `output_kernel` (H, V, Do), and with biases `query_bias` (H, K),
    `key_bias` (H, K), `value_bias` (H, V), `output_bias` (Do,).

    Args:
        num_heads: H, integer of at least 1.
        key_dim: K, integer of at least 1.
        value_dim: V, integer of at least 1; None takes `key_dim`.
        dropout: fraction of the entries of A dropped in training, in [0, 1).
        use_bias: whether the projections have biases; False by default, unlike in Keras.
        output_shape: Do, integer of at least 1; None takes Dq.
        use_output_projection: whether there is W_O.
        position: optional layer that brings positions into the queries and keys of each head. It is
            called as `position(x, start_index=index)` with x (B, H, length, K), the first of which
            stands at `index`, and returns such a tensor.
        kernel_initializer, bias_initializer: initializers. A seeded one gives each kernel a seed of
            its own, derived from the given one, so that the kernels differ.
        kernel_regularizer, bias_regularizer: optional regularizers.
        kernel_constraint, bias_constraint: optional constraints.
        implementation: "dense" computes A at once, "chunked" never holds it (TensorFlow only),
            "auto" chooses. The results are the same.
        seed: optional integer; fixes the dropout, and the initial kernels if their initializer has
            no seed of its own.
        **kwargs: `name`, `dtype`, `trainable`.

    Call arguments:
        query: floats (B, T, Dq).
        value: floats (B, S, Dx); with a cache, as many as are to be written.
        key: optional floats (B, S, Dk); None takes `value`.
        query_mask, value_mask, key_mask: optional booleans or integers (B, T), (B, S) and (B, S).
            When given, each replaces the implicit Keras mask of its tensor; otherwise that one is
            used, if there is one.
        attention_mask: optional booleans or integers (B, T, S), (T, S) or (B, H, T, S), where any
            size may be 1.
        return_attention_scores: whether to return A as well, which "chunked" cannot.
        training: whether to drop out.
        use_causal_mask: whether position t attends only to positions up to and with t.
        cache: optional floats (B, 2, S, H, K), keys and values, in the compute dtype; `value_dim`
            must be `key_dim`.
        cache_update_index: optional integer, the place in the cache of the first position.

    Returns:
        Y (B, T, Do) in the compute dtype; or a tuple of Y, then A (B, H, T, S) in float32, before
        dropout, if `return_attention_scores=True`, then the cache if one is given. Y carries the
        implicit Keras mask of `query`.

    Raises:
        ValueError: an argument is out of bounds; "chunked" is to return A; a tensor has another
            rank, another batch size or other channels than the layer was built for; `key` and
            `value` differ in length; a mask is neither boolean nor integer or has the wrong shape;
            `cache` has the wrong shape, or is missing where there is an index; the update does not
            fit into the cache; the index is missing where the causal mask or `position` needs it.

    Example:

    >>> import numpy as np
    >>> from tatl_keras import layers
    >>> layer = layers.MultiHeadAttention(num_heads=3, key_dim=2)
    >>> image, text = np.ones((1, 7, 4)), np.ones((1, 5, 6))
    >>> outputs, scores = layer(
    ...     image, text, value_mask=np.array([[1, 1, 0, 0, 0]]), return_attention_scores=True
    ... )
    >>> tuple(outputs.shape), tuple(scores.shape)
    ((1, 7, 4), (1, 3, 7, 5))
    >>> scores[0, 2, 6].numpy().tolist()
    [0.5, 0.5, 0.0, 0.0, 0.0]

    Reference:
        Vaswani et al., "Attention Is All You Need", 2017, section 3.2.2,
        https://arxiv.org/abs/1706.03762.
    """

    def __init__(
        self,
        num_heads,
        key_dim,
        value_dim=None,
        dropout=0.0,
        use_bias=False,
        output_shape=None,
        *,
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

    def build(self, query_shape, value_shape, key_shape=None):
        shapes = check_shapes(self, query_shape, value_shape, key_shape)
        add_projections(self, *(shape[-1] for shape in shapes))
        if self.position is not None and not self.position.built:
            self.position.build((query_shape[0], self.num_heads, query_shape[1], self.key_dim))

    def call(
        self,
        query,
        value,
        key=None,
        query_mask=None,
        value_mask=None,
        key_mask=None,
        attention_mask=None,
        return_attention_scores=False,
        training=None,
        use_causal_mask=False,
        cache=None,
        cache_update_index=None,
    ):
        index = cache_update_index
        key = value if key is None else key
        masks = (query_mask, value_mask, key_mask, attention_mask)
        masks = check_call(self, query, value, key, *masks, use_causal_mask, cache, index)
        query_mask, key_mask, attention_mask = masks[0], both(*masks[1:3]), masks[3]
        start = 0 if index is None else ops.cast(index, "int32")
        queries = split_heads(self, "query", query, query_mask, start)
        if cache is None or index is not None:
            hidden = key_mask if cache is None else None
            keys = split_heads(self, "key", key, hidden, start)
            values = split_heads(self, "value", value, hidden)
        if cache is not None:
            cache = cache if index is None else write_cache(cache, keys, values, start)
            keys, values = read_cache(cache)
        rate = self.dropout if training else 0.0
        attended = dot_product_attention(
            queries,
            keys,
            values,
            value_mask=None if key_mask is None else ops.expand_dims(key_mask, 1),
            attention_mask=attention_mask,
            limits=causal_limits(ops.shape(query)[1], start) if use_causal_mask else None,
            dropout=rate,
            seed=self.seed_generator.next() if rate else None,
            implementation=self.implementation,
            return_attention_scores=return_attention_scores,
        )
        outputs, scores = attended.outputs, attended.scores
        if query_mask is not None:
            query_mask = ops.expand_dims(query_mask, 1)
            outputs = zero_masked(outputs, query_mask)
            scores = scores if scores is None else zero_masked(scores, query_mask)
        results = (join_heads(self, outputs), scores, cache)
        results = tuple(result for result in results if result is not None)
        return results[0] if len(results) == 1 else results

    def compute_output_shape(self, query_shape, value_shape, key_shape=None):
        query_shape, *_ = check_shapes(self, query_shape, value_shape, key_shape)
        if not self.use_output_projection:
            return (*query_shape[:-1], self.num_heads * self.value_dim)
        return (*query_shape[:-1], self.output_dim or query_shape[-1])

    def compute_output_spec(
        self,
        query,
        value,
        key=None,
        query_mask=None,
        value_mask=None,
        key_mask=None,
        attention_mask=None,
        return_attention_scores=False,
        training=None,
        use_causal_mask=False,
        cache=None,
        cache_update_index=None,
    ):
        key = value if key is None else key
        masks = (query_mask, value_mask, key_mask, attention_mask)
        check_call(self, query, value, key, *masks, use_causal_mask, cache, cache_update_index)
        shape = self.compute_output_shape(query.shape, value.shape, key.shape)
        length = value.shape[1] if cache is None else cache.shape[2]
        scores_shape = (shape[0], self.num_heads, shape[1], length)
        outputs = attention_spec(
            self.compute_dtype, shape, scores_shape, return_attention_scores, self.implementation
        )
        if cache is None:
            return outputs
        outputs = outputs if return_attention_scores else (outputs,)
        return (*outputs, keras.KerasTensor(cache.shape, dtype=self.compute_dtype))

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "value_dim": self.value_dim,
            "dropout": self.dropout,
            "use_bias": self.use_bias,
            "output_shape": self.output_dim,
            "use_output_projection": self.use_output_projection,
            "position": keras.saving.serialize_keras_object(self.position),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "bias_regularizer": keras.regularizers.serialize(self.bias_regularizer),
            "bias_constraint": keras.constraints.serialize(self.bias_constraint),
            **kernel_config(self),
            "implementation": self.implementation,
            "seed": self.seed,
        }

    @classmethod
    def from_keras(cls, layer, **arguments):
        """The layer with the configuration and the weights of a `keras.layers.MultiHeadAttention`.

        `arguments`, such as `implementation`, take the place of what the Keras layer says. Raises
        ValueError for settings not known here: `attention_axes`, `sliding_window`, `use_gate`,
        `activity_regularizer`, an `output_shape` of several axes, quantized weights.
        """
        return multi_head_exchange.from_keras(cls, layer, arguments)

    def to_keras(self):
        """The `keras.layers.MultiHeadAttention` with this configuration and these weights.

        Raises ValueError without an output projection and with `position` or
        `activity_regularizer`, which Keras does not know.
        """
        return multi_head_exchange.to_keras(self)
