"""What the encoder and the decoder block of a Transformer share."""

import keras

from tatl_keras.layers.checks import (
    check_channels,
    check_choice,
    check_dim,
    check_rate,
    check_sequence,
)
from tatl_keras.layers.execution import IMPLEMENTATIONS
from tatl_keras.layers.masking import zero_masked
from tatl_keras.layers.multi_head import MultiHeadAttention
from tatl_keras.layers.multi_head_checks import check_layer
from tatl_keras.layers.seeded import seeded_initializer
from tatl_keras.layers.seeds import derive_seed, split_initializer

# The branches of a block, and the places of their seeds.
SELF, CROSS, FEEDFORWARD = "self_attention", "cross_attention", "feedforward"
STREAMS = {SELF: 1, CROSS: 2, FEEDFORWARD: 3}


class _TransformerBlock(keras.layers.Layer):
    """Branches with a residual connection and a layer normalization each.

    x + dropout(f(norm(x))) with `normalize_first`, norm(x + dropout(f(x))) without.
    """

    def __init__(
        self,
        intermediate_dim,
        num_heads,
        *,
        dropout=0.0,
        attention_dropout=None,
        activation="relu",
        layer_norm_epsilon=1e-5,
        normalize_first=False,
        use_bias=False,
        position=None,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        implementation="auto",
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.intermediate_dim = check_dim("intermediate_dim", intermediate_dim)
        self.num_heads = num_heads
        self.dropout = check_rate("dropout", dropout)
        if attention_dropout is not None:
            attention_dropout = check_rate("attention_dropout", attention_dropout)
        self.attention_dropout = attention_dropout
        self.activation = keras.activations.get(activation)
        self.layer_norm_epsilon = layer_norm_epsilon
        self.normalize_first = normalize_first
        self.use_bias = use_bias
        self.position = check_layer("position", position, "Such as RotaryPositions().")
        self.kernel_initializer = seeded_initializer(kernel_initializer, derive_seed(seed, 0))
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.implementation = check_choice("implementation", implementation, IMPLEMENTATIONS)
        self.seed = seed
        self.supports_masking = True

    def get_config(self):
        return {
            **super().get_config(),
            "intermediate_dim": self.intermediate_dim,
            "num_heads": self.num_heads,
            "dropout": self.dropout,
            "attention_dropout": self.attention_dropout,
            "activation": keras.activations.serialize(self.activation),
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "normalize_first": self.normalize_first,
            "use_bias": self.use_bias,
            "position": keras.saving.serialize_keras_object(self.position),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "implementation": self.implementation,
            "seed": self.seed,
        }

    def check_hidden(self, name, shape):
        """Returns the shape of the main input, or raises if it does not fit."""
        shape = check_sequence(name, shape, ranks=(3,))
        if self.num_heads is not None and shape[-1] % self.num_heads:
            raise ValueError(
                f"`num_heads` must divide the channels of `{name}`. "
                f"Received: num_heads={self.num_heads}, {name}.shape={shape}. "
                "Each head gets an equal part of them."
            )
        if self.built:
            check_channels(name, shape, self.feedforward_output_dense.units)
        return shape

    def _make_attention(self, branch, query_shape, value_shape, position=None):
        index = STREAMS[branch]
        rate = self.dropout if self.attention_dropout is None else self.attention_dropout
        attention = MultiHeadAttention(
            self.num_heads,
            query_shape[-1] // self.num_heads,
            dropout=rate,
            use_bias=self.use_bias,
            position=position,
            kernel_initializer=split_initializer(self.kernel_initializer, 4)[index - 1],
            bias_initializer=self.bias_initializer,
            implementation=self.implementation,
            seed=derive_seed(self.seed, index),
            dtype=self.dtype_policy,
            name=branch,
        )
        attention.build(query_shape, value_shape)
        return attention

    def _build_residual(self, branch, shape):
        norm = keras.layers.LayerNormalization(
            epsilon=self.layer_norm_epsilon, dtype=self.dtype_policy, name=f"{branch}_layer_norm"
        )
        norm.build(shape)
        dropout = keras.layers.Dropout(
            self.dropout,
            seed=derive_seed(self.seed, len(STREAMS) + STREAMS[branch]),
            dtype=self.dtype_policy,
            name=f"{branch}_dropout",
        )
        setattr(self, f"{branch}_layer_norm", norm)
        setattr(self, f"{branch}_dropout", dropout)

    def _build_feedforward(self, shape):
        initializers = split_initializer(self.kernel_initializer, 4)[2:]
        sizes = (("intermediate", self.intermediate_dim), ("output", shape[-1]))
        for (name, units), initializer in zip(sizes, initializers, strict=True):
            dense = keras.layers.Dense(
                units,
                activation=self.activation if name == "intermediate" else None,
                kernel_initializer=initializer,
                bias_initializer=self.bias_initializer,
                dtype=self.dtype_policy,
                name=f"feedforward_{name}_dense",
            )
            dense.build(shape)
            shape = (*shape[:-1], units)
            setattr(self, f"feedforward_{name}_dense", dense)
        self._build_residual(FEEDFORWARD, shape)

    def _enter(self, branch, x):
        return getattr(self, f"{branch}_layer_norm")(x) if self.normalize_first else x

    def _leave(self, branch, x, outputs, training):
        x = x + getattr(self, f"{branch}_dropout")(outputs, training=training)
        return x if self.normalize_first else getattr(self, f"{branch}_layer_norm")(x)

    def _attend(self, branch, x, other=None, **call):
        """x after an attention branch, to itself or to `other`, and what it returns further."""
        query = self._enter(branch, x)
        other = query if other is None else other
        found = getattr(self, branch)(query, other, **call)
        outputs, *further = found if isinstance(found, tuple) else (found,)
        return self._leave(branch, x, outputs, call["training"]), further

    def _feedforward(self, x, training, mask):
        """x after the last branch, with zeros where the mask (B, T) says."""
        hidden = self.feedforward_intermediate_dense(self._enter(FEEDFORWARD, x))
        x = self._leave(FEEDFORWARD, x, self.feedforward_output_dense(hidden), training)
        return zeroed(x, mask)


def zeroed(sequence, mask):
    """The sequence (B, T, D) with zeros where the mask (B, T) says; None says nowhere."""
    return sequence if mask is None else zero_masked(sequence, mask)
