"""The encoder block of a Transformer."""

import functools

import keras

from tatl_keras.layers.checks import check_attention_mask, check_count
from tatl_keras.layers.execution import attention_spec
from tatl_keras.layers.multi_head_checks import check_layer
from tatl_keras.layers.transformer import SELF, _TransformerBlock, zeroed
from tatl_keras.layers.transformer_checks import padding_of

# What an attention layer that is given brings with it.
UNUSED = {
    "num_heads": None,
    "attention_dropout": None,
    "use_bias": False,
    "position": None,
    "implementation": "auto",
}


@keras.saving.register_keras_serializable(package="tatl_keras")
class TransformerEncoderBlock(_TransformerBlock):
    """Self-attention of several heads and a feed-forward network, each with a residual connection.

        X' = norm(X + dropout(attention(X)))             (B, T, D)
        Y  = norm(X' + dropout(f(X' W_1 + b_1) W_2 + b_2))

    and with `normalize_first=True`

        X' = X + dropout(attention(norm(X)))
        Y  = X' + dropout(f(norm(X') W_1 + b_1) W_2 + b_2)

    `attention` is `MultiHeadAttention` with D / H channels a head, each norm has a gain and an
    offset of its own. The projections of the attention have no biases unless `use_bias=True`, as
    in the layers on their own; the feed-forward network always has them.

    Shape letters: B batch, T length, D channels, H heads.

    Masks: True (nonzero) marks real positions. Padded positions count as zeros: what stands there
    has no effect and gets no gradient, and they are zeros in Y.

    Weights lie in the layers `self_attention`, `self_attention_layer_norm`,
    `feedforward_intermediate_dense`, `feedforward_output_dense` and `feedforward_layer_norm`.

    Args:
        intermediate_dim: channels inside the feed-forward network, integer of at least 1.
        num_heads: H, integer of at least 1 that divides D; None with `self_attention`.
        self_attention: optional layer in the place of the `MultiHeadAttention`, such as
            `SparseSelfAttention`, called as `layer(x, padding_mask=…, use_causal_mask=…,
            return_attention_scores=…)`, that keeps the shape (B, T, D). Heads, biases, dropout of
            the scores, position and implementation are then that layer's own.
        dropout: fraction of the outputs of both branches dropped in training, in [0, 1).
        attention_dropout: fraction of the attention scores dropped in training; None takes
            `dropout`.
        activation: f, a Keras activation.
        layer_norm_epsilon: added to the variance in each norm.
        normalize_first: whether the norms stand before the branches (else after the sums).
        use_bias: whether the attention's projections have biases.
        position: optional layer for the queries and keys of each head; see `MultiHeadAttention`.
        kernel_initializer, bias_initializer: initializers. A seeded one gives each kernel a seed of
            its own, derived from the given one.
        implementation: of the attention, "auto", "dense" or "chunked".
        seed: optional integer; fixes the dropout, and the initial kernels if their initializer has
            no seed of its own.
        **kwargs: `name`, `dtype`, `trainable`.

    Call arguments:
        inputs: floats (B, T, D).
        padding_mask: optional booleans or integers (B, T). When given, it replaces the implicit
            Keras mask of `inputs`; otherwise that one is used, if there is one.
        attention_mask: optional booleans or integers (B, T, T), (T, T) or (B, H, T, T), which keys
            (last axis) each query may attend to; any size may be 1.
        training: whether to drop out.
        return_attention_scores: whether to return the scores as well.
        use_causal_mask: whether position t attends only to positions up to and with t.

    Returns:
        Y (B, T, D) in the compute dtype; with `return_attention_scores=True` the pair of Y and the
        scores (B, H, T, T) in float32. Y carries the implicit Keras mask of `inputs`.

    Raises:
        ValueError: an argument is out of bounds or is given beside `self_attention`, which does not
            use it; `num_heads` does not divide D; `self_attention` does not keep the shape;
            `inputs` is not (B, T, D) or has other channels than the block was built for; a mask
            is neither boolean nor integer or has the wrong shape.

    Example:

    >>> import numpy as np
    >>> from tatl_keras import layers
    >>> block = layers.TransformerEncoderBlock(intermediate_dim=16, num_heads=2)
    >>> outputs, scores = block(
    ...     np.ones((1, 3, 4)), padding_mask=np.array([[1, 1, 0]]), return_attention_scores=True
    ... )
    >>> tuple(outputs.shape), tuple(scores.shape)
    ((1, 3, 4), (1, 2, 3, 3))
    >>> outputs[0, 2].numpy().tolist(), scores[0, 1, 0].numpy().tolist()
    ([0.0, 0.0, 0.0, 0.0], [0.5, 0.5, 0.0])

    Reference:
        Vaswani et al., "Attention Is All You Need", 2017, section 3.1,
        https://arxiv.org/abs/1706.03762; Xiong et al., "On Layer Normalization in the Transformer
        Architecture", 2020, https://arxiv.org/abs/2002.04745 (`normalize_first`).
    """

    def __init__(self, intermediate_dim, num_heads=None, *, self_attention=None, **kwargs):
        if self_attention is None:
            num_heads = check_count("num_heads", num_heads)
        super().__init__(intermediate_dim, num_heads, **kwargs)
        hint = "Such as SparseSelfAttention(...)."
        self.self_attention = check_layer("self_attention", self_attention, hint)
        self._makes_attention = self_attention is None
        for name, unused in UNUSED.items() if not self._makes_attention else ():
            if getattr(self, name) != unused:
                raise ValueError(
                    f"`{name}` must be {unused!r} with `self_attention`. "
                    f"Received: {name}={getattr(self, name)!r}. It belongs to that layer."
                )

    def build(self, inputs_shape):
        shape = self.check_hidden("inputs", inputs_shape)
        if self._makes_attention:
            self.self_attention = self._make_attention(SELF, shape, shape, self.position)
        elif not self.self_attention.built:
            self.self_attention.build(shape)
        self._build_residual(SELF, shape)
        self._build_feedforward(shape)

    def call(
        self,
        inputs,
        padding_mask=None,
        attention_mask=None,
        training=None,
        return_attention_scores=False,
        use_causal_mask=False,
    ):
        padding_mask = self._check_call(inputs, padding_mask, attention_mask)
        x = zeroed(inputs, padding_mask)
        query = self._enter(SELF, x)
        if self._makes_attention:
            masks = {"query_mask": padding_mask, "value_mask": padding_mask}
            attend = functools.partial(
                self.self_attention, query, query, attention_mask=attention_mask, **masks
            )
        else:
            attend = functools.partial(self.self_attention, query, padding_mask=padding_mask)
        attended = attend(
            use_causal_mask=use_causal_mask, return_attention_scores=return_attention_scores
        )
        attended, scores = attended if return_attention_scores else (attended, None)
        x = self._leave(SELF, x, attended, training)
        x = self._feedforward(x, training, padding_mask)
        return (x, scores) if return_attention_scores else x

    def compute_output_shape(self, inputs_shape):
        return self.check_hidden("inputs", inputs_shape)

    def compute_output_spec(
        self,
        inputs,
        padding_mask=None,
        attention_mask=None,
        training=None,
        return_attention_scores=False,
        use_causal_mask=False,
    ):
        self._check_call(inputs, padding_mask, attention_mask)
        batch, length, _ = inputs.shape
        scores_shape = (batch, self.num_heads, length, length)
        if return_attention_scores and not self._makes_attention:
            given = self.self_attention.compute_output_spec(inputs, return_attention_scores=True)
            scores_shape = given[1].shape
        return attention_spec(
            self.compute_dtype, inputs.shape, scores_shape, return_attention_scores
        )

    def get_config(self):
        given = None if self._makes_attention else self.self_attention
        config = {"self_attention": keras.saving.serialize_keras_object(given)}
        return {**super().get_config(), **config}

    def check_hidden(self, name, shape):
        shape = super().check_hidden(name, shape)
        if not self._makes_attention:
            found = tuple(self.self_attention.compute_output_shape(shape))
            if found != shape:
                raise ValueError(
                    "`self_attention` must keep the shape of its input. "
                    f"Received: inputs.shape={shape}, outputs.shape={found}. "
                    "What it returns is added to what it was given."
                )
        return shape

    def _check_call(self, inputs, padding_mask, attention_mask):
        """Returns the padding mask to use, or raises if the call cannot be done."""
        batch, length, _ = self.check_hidden("inputs", inputs.shape)
        if attention_mask is not None:
            if not self._makes_attention:
                raise ValueError(
                    "`attention_mask` must be None with `self_attention`. "
                    f"Received: attention_mask.shape={tuple(attention_mask.shape)}. "
                    "That layer decides itself which positions see each other."
                )
            whole = (batch, self.num_heads, length, length)
            check_attention_mask("attention_mask", attention_mask, whole)
        return padding_of("padding_mask", inputs, padding_mask)
