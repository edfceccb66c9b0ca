"""The decoder block of a Transformer."""

import keras
from keras import ops

from tatl_keras.layers.checks import check_count, check_sequence
from tatl_keras.layers.execution import attention_spec
from tatl_keras.layers.multi_head_cache import make_cache
from tatl_keras.layers.transformer import CROSS, SELF, _TransformerBlock, zeroed
from tatl_keras.layers.transformer_checks import check_decoder_call


@keras.saving.register_keras_serializable(package="tatl_keras")
class TransformerDecoderBlock(_TransformerBlock):
    """Self-attention, attention to a second sequence, and a feed-forward network.

        X'  = norm(X + dropout(attention(X, X)))         (B, T, D)
        X'' = norm(X' + dropout(attention(X', M)))
        Y   = norm(X'' + dropout(f(X'' W_1 + b_1) W_2 + b_2))

    with X the decoder's and M (B, S, Dm) the encoder's sequence. Called with X alone at first, the
    block has no second attention. With `normalize_first=True` each branch reads norm of its input
    and the sums are left as they are, as in `TransformerEncoderBlock`.

    Shape letters: B batch, T and S lengths, D and Dm channels, H heads.

    Masks: True (nonzero) marks real positions. Padded positions of both sequences count as zeros:
    what stands there has no effect and gets no gradient, and they are zeros in Y. Where nothing of
    M is real, its attention adds nothing but its output bias, if there is one.

    Caches: for decoding, `self_attention_cache` (B, 2, S', H, D / H), zeros at first, holds the
    keys and values of all S' places of the decoder's sequence, and X the T positions from
    `self_attention_cache_update_index` on; `decoder_padding_mask` (B, S') and
    `decoder_attention_mask` then speak of all places, an implicit mask is left aside and Y is not
    zeroed. `cross_attention_cache` (B, 2, S, H, D / H) holds those of M: give 0 as its index in the
    first step and None in the others, in which M is only read for its mask. See
    `MultiHeadAttention`. With a cache for self-attention there must be one for a second attention.
    `start_caches` makes both, the second one filled, so that no step gives it an index.

    Weights lie in the layers `self_attention`, `self_attention_layer_norm`, `cross_attention`,
    `cross_attention_layer_norm`, `feedforward_intermediate_dense`, `feedforward_output_dense` and
    `feedforward_layer_norm`.

    Args:
        intermediate_dim: channels inside the feed-forward network, integer of at least 1.
        num_heads: H, integer of at least 1 that divides D.
        dropout: fraction of the outputs of each branch dropped in training, in [0, 1).
        attention_dropout: fraction of the attention scores dropped in training; None takes
            `dropout`.
        activation: f, a Keras activation.
        layer_norm_epsilon: added to the variance in each norm.
        normalize_first: whether the norms stand before the branches (else after the sums).
        use_bias: whether the attentions' projections have biases.
        position: optional layer for the queries and keys of the self-attention; see
            `MultiHeadAttention`.
        kernel_initializer, bias_initializer: initializers. A seeded one gives each kernel a seed of
            its own, derived from the given one.
        implementation: of both attentions, "auto", "dense" or "chunked".
        seed: optional integer; fixes the dropout, and the initial kernels if their initializer has
            no seed of its own.
        **kwargs: `name`, `dtype`, `trainable`.

    Call arguments:
        decoder_sequence: X, floats (B, T, D).
        encoder_sequence: M, optional floats (B, S, Dm); always or never.
        decoder_padding_mask, encoder_padding_mask: optional booleans or integers (B, T) and (B, S).
            When given, each replaces the implicit Keras mask of its sequence; otherwise that one is
            used, if there is one.
        decoder_attention_mask, encoder_attention_mask: optional booleans or integers (B, T, T) and
            (B, T, S), which keys (last axis) each query may attend to; further forms as in
            `MultiHeadAttention`.
        self_attention_cache, self_attention_cache_update_index, cross_attention_cache,
            cross_attention_cache_update_index: see above.
        use_causal_mask: whether position t of X attends only to positions up to and with t of X.
        training: whether to drop out.
        return_attention_scores: whether to return the scores as well.

    Returns:
        Y (B, T, D) in the compute dtype; or a tuple of Y, then, if `return_attention_scores=True`,
        a dictionary of the scores "self" (B, H, T, T) and "cross" (B, H, T, S) in float32, then the
        caches that are given. Y carries the implicit Keras mask of `decoder_sequence`.

    Raises:
        ValueError: an argument is out of bounds; `num_heads` does not divide D; a sequence has the
            wrong rank or other channels than the block was built for; `encoder_sequence` is given
            to a block built without it, or is missing in one built with it; one of two caches is
            missing; a mask, a cache or its index is not as `MultiHeadAttention` needs it.

    Example:

    >>> import numpy as np
    >>> from tatl_keras import layers
    >>> block = layers.TransformerDecoderBlock(intermediate_dim=16, num_heads=2)
    >>> outputs, scores = block(
    ...     np.ones((1, 3, 4)), np.ones((1, 5, 6)), return_attention_scores=True
    ... )
    >>> tuple(outputs.shape), tuple(scores["cross"].shape)
    ((1, 3, 4), (1, 2, 3, 5))
    >>> scores["self"][0, 1, 1].numpy().tolist()
    [0.5, 0.5, 0.0]

    Reference:
        Vaswani et al., "Attention Is All You Need", 2017, section 3.1,
        https://arxiv.org/abs/1706.03762; Xiong et al., "On Layer Normalization in the Transformer
        Architecture", 2020, https://arxiv.org/abs/2002.04745 (`normalize_first`).
    """

    def __init__(self, intermediate_dim, num_heads, **kwargs):
        super().__init__(intermediate_dim, check_count("num_heads", num_heads), **kwargs)
        self.cross_attention = None

    def build(self, decoder_sequence_shape, encoder_sequence_shape=None):
        shape = self.check_hidden("decoder_sequence", decoder_sequence_shape)
        self.self_attention = self._make_attention(SELF, shape, shape, self.position)
        self._build_residual(SELF, shape)
        if encoder_sequence_shape is not None:
            other = check_sequence("encoder_sequence", encoder_sequence_shape, ranks=(3,))
            self.cross_attention = self._make_attention(CROSS, shape, other)
            self._build_residual(CROSS, shape)
        self._build_feedforward(shape)

    def call(
        self,
        decoder_sequence,
        encoder_sequence=None,
        decoder_padding_mask=None,
        decoder_attention_mask=None,
        encoder_padding_mask=None,
        encoder_attention_mask=None,
        self_attention_cache=None,
        self_attention_cache_update_index=None,
        cross_attention_cache=None,
        cross_attention_cache_update_index=None,
        use_causal_mask=True,
        training=None,
        return_attention_scores=False,
    ):
        decoder_padding_mask, encoder_padding_mask = check_decoder_call(
            self,
            (decoder_sequence, decoder_padding_mask, decoder_attention_mask),
            (encoder_sequence, encoder_padding_mask, encoder_attention_mask),
            (self_attention_cache, self_attention_cache_update_index),
            (cross_attention_cache, cross_attention_cache_update_index),
            use_causal_mask,
        )
        rows, other = None if self_attention_cache is not None else decoder_padding_mask, []
        x = zeroed(decoder_sequence, rows)
        shared = {"query_mask": rows, "training": training}
        shared["return_attention_scores"] = return_attention_scores
        x, own = self._attend(
            SELF,
            x,
            value_mask=decoder_padding_mask,
            attention_mask=decoder_attention_mask,
            use_causal_mask=use_causal_mask,
            cache=self_attention_cache,
            cache_update_index=self_attention_cache_update_index,
            **shared,
        )
        if self.cross_attention is not None:
            x, other = self._attend(
                CROSS,
                x,
                zeroed(encoder_sequence, encoder_padding_mask),
                value_mask=encoder_padding_mask,
                attention_mask=encoder_attention_mask,
                cache=cross_attention_cache,
                cache_update_index=cross_attention_cache_update_index,
                **shared,
            )
        return _results(self._feedforward(x, training, rows), own, other, return_attention_scores)

    def start_caches(self, length, encoder_sequence, encoder_padding_mask=None):
        """The caches before the first step of decoding.

        Args:
            length: int, the most places that the decoder's sequence will have.
            encoder_sequence: M, floats (B, S, Dm).
            encoder_padding_mask: optional booleans or integers (B, S), nonzero = real.

        Returns:
            `(self_attention_cache, cross_attention_cache)`: zeros (B, 2, length, H, D / H), and the
            keys and values of M (B, 2, S, H, D / H).
        """
        cross = self.cross_attention
        sequence = ops.cast(encoder_sequence, self.compute_dtype)
        filled = make_cache(cross, sequence, encoder_padding_mask)
        shape = (ops.shape(sequence)[0], 2, length, self.num_heads, cross.key_dim)
        return ops.zeros(shape, self.compute_dtype), filled

    def compute_output_shape(self, decoder_sequence_shape, encoder_sequence_shape=None):
        return self.check_hidden("decoder_sequence", decoder_sequence_shape)

    def compute_output_spec(
        self,
        decoder_sequence,
        encoder_sequence=None,
        decoder_padding_mask=None,
        decoder_attention_mask=None,
        encoder_padding_mask=None,
        encoder_attention_mask=None,
        self_attention_cache=None,
        self_attention_cache_update_index=None,
        cross_attention_cache=None,
        cross_attention_cache_update_index=None,
        use_causal_mask=True,
        training=None,
        return_attention_scores=False,
    ):
        check_decoder_call(
            self,
            (decoder_sequence, decoder_padding_mask, decoder_attention_mask),
            (encoder_sequence, encoder_padding_mask, encoder_attention_mask),
            (self_attention_cache, self_attention_cache_update_index),
            (cross_attention_cache, cross_attention_cache_update_index),
            use_causal_mask,
        )
        batch, length, _ = decoder_sequence.shape
        outputs = keras.KerasTensor(decoder_sequence.shape, dtype=self.compute_dtype)
        sides = []
        for sequence, cache in (
            (decoder_sequence, self_attention_cache),
            (encoder_sequence, cross_attention_cache),
        ):
            side = []
            if sequence is not None and return_attention_scores:
                columns = sequence.shape[1] if cache is None else cache.shape[2]
                shape = (batch, self.num_heads, length, columns)
                side.append(attention_spec(self.compute_dtype, shape, shape, True)[1])
            if cache is not None:
                side.append(keras.KerasTensor(cache.shape, dtype=self.compute_dtype))
            sides.append(side)
        return _results(outputs, *sides, return_attention_scores)


def _results(outputs, own, other, return_attention_scores):
    """Y, the scores and the caches, from what each attention returned after its outputs."""
    own, other, scores = list(own), list(other), {}
    if return_attention_scores:
        scores["self"] = own.pop(0)
        if other:
            scores["cross"] = other.pop(0)
    results = (outputs, *([scores] if scores else []), *own, *other)
    return results if len(results) > 1 else outputs
