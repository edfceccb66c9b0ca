"""Checks of what is given to a Transformer block."""

from tatl_keras.layers.checks import (
    check_attention_mask,
    check_channels,
    check_mask,
    check_sequence,
    shapes_agree,
)
from tatl_keras.layers.multi_head_checks import check_cache


def padding_of(name, tensor, mask, length=None):
    """The mask (B, T) of `tensor`: the given one, checked, or else the implicit one, or None.

    `length` replaces that of `tensor`: the mask is then one of a cache.
    """
    if mask is None:
        return getattr(tensor, "_keras_mask", None)
    return check_mask(name, mask, (tensor.shape[0], length or tensor.shape[1]))


def check_decoder_call(block, decoder, encoder, self_cache, cross_cache, causal):
    """Returns the two padding masks to use, or raises if the call cannot be done.

    Args:
        block: the `TransformerDecoderBlock`.
        decoder: the sequence, its padding mask and its attention mask.
        encoder: the same of the second sequence.
        self_cache: the cache and its index.
        cross_cache: the same of the second attention.
        causal: whether there is a causal mask.
    """
    sequence, padding_mask, attention_mask = decoder
    shape = block.check_hidden("decoder_sequence", sequence.shape)
    _check_presence(block, encoder, self_cache[0], cross_cache[0])
    length = None
    if any(given is not None for given in self_cache):
        length = check_cache(
            block.self_attention, *self_cache, shape[:2], causal, "self_attention_cache"
        )
    if length is None or padding_mask is not None:
        padding_mask = padding_of("decoder_padding_mask", sequence, padding_mask, length)
    if attention_mask is not None:
        whole = (shape[0], block.num_heads, shape[1], length or shape[1])
        check_attention_mask("decoder_attention_mask", attention_mask, whole)
    if encoder[0] is None:
        return padding_mask, None
    return padding_mask, _check_encoder(block, shape, *encoder, cross_cache)


def _check_encoder(block, decoder_shape, sequence, padding_mask, attention_mask, cache):
    shape = check_sequence("encoder_sequence", sequence.shape, ranks=(3,))
    check_channels("encoder_sequence", shape, block.cross_attention.value_kernel.shape[0])
    if not shapes_agree(shape[:1], decoder_shape[:1]):
        raise ValueError(
            "`encoder_sequence` must have the batch size of `decoder_sequence`. "
            f"Received: encoder_sequence.shape={shape}, decoder_sequence.shape={decoder_shape}. "
            "Each row of the one goes with a row of the other."
        )
    length = shape[1]
    if any(given is not None for given in cache):
        length = check_cache(
            block.cross_attention, *cache, shape[:2], False, "cross_attention_cache"
        )
    if attention_mask is not None:
        whole = (shape[0], block.num_heads, decoder_shape[1], length)
        check_attention_mask("encoder_attention_mask", attention_mask, whole)
    return padding_of("encoder_padding_mask", sequence, padding_mask, length)


def _check_presence(block, encoder, self_cache, cross_cache):
    names = ("encoder_sequence", "encoder_padding_mask", "encoder_attention_mask")
    if block.cross_attention is None:
        for name, given in zip(names, encoder, strict=True):
            if given is not None:
                raise ValueError(
                    f"`{name}` must be None in a block built without a second attention. "
                    f"Received: {name}.shape={tuple(given.shape)}. Call a new block with both "
                    "sequences."
                )
    elif encoder[0] is None:
        raise ValueError(
            "`encoder_sequence` must be given to a block built with a second attention. "
            "Received: encoder_sequence=None. Call a new block without it."
        )
    both = self_cache is not None and block.cross_attention is not None
    if both != (cross_cache is not None):
        caches = {"self_attention_cache": self_cache, "cross_attention_cache": cross_cache}
        shapes = {name: None if x is None else tuple(x.shape) for name, x in caches.items()}
        raise ValueError(
            "`self_attention_cache` and `cross_attention_cache` must be given together, and the "
            f"second only to a block with a second attention. Received: {shapes}."
        )
