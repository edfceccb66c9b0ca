"""Bad input to the Transformer blocks is refused with the value in the message."""

import keras
import numpy as np
import pytest

from tatl_keras.layers import (
    RotaryPositions,
    SparseSelfAttention,
    TransformerDecoderBlock,
    TransformerEncoderBlock,
)

X, M = np.zeros((2, 5, 6), "float32"), np.zeros((2, 11, 13), "float32")
OWN, OTHER = np.zeros((2, 2, 9, 3, 2), "float32"), np.zeros((2, 2, 11, 3, 2), "float32")


@pytest.mark.parametrize("block", [TransformerEncoderBlock, TransformerDecoderBlock])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"intermediate_dim": 0}, r"`intermediate_dim` must be .*intermediate_dim=0\."),
        ({"num_heads": 0}, r"`num_heads` must be .*num_heads=0\."),
        ({"num_heads": None}, r"`num_heads` must be .*num_heads=None\."),
        ({"dropout": -0.1}, r"`dropout` must be .*dropout=-0\.1\."),
        ({"attention_dropout": 1}, r"`attention_dropout` must be .*attention_dropout=1\."),
        ({"position": 3}, r"`position` must be a layer .*position=3\."),
        ({"implementation": "fast"}, r"`implementation` must be .*implementation='fast'\."),
    ],
)
def test_arguments(block, arguments, message):
    with pytest.raises(ValueError, match=message):
        block(**{"intermediate_dim": 7, "num_heads": 3, **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_heads": 3}, r"`num_heads` must be None .*num_heads=3\."),
        ({"use_bias": True}, r"`use_bias` must be False .*use_bias=True\."),
        ({"attention_dropout": 0.1}, r"`attention_dropout` must be None .*=0\.1\."),
        ({"position": RotaryPositions(name="turn")}, r"`position` must be None .*name=turn"),
        ({"implementation": "dense"}, r"`implementation` must be 'auto' .*='dense'\."),
        ({"self_attention": "sparse"}, r"`self_attention` must be a layer .*='sparse'\."),
    ],
)
def test_arguments_beside_another_attention(arguments, message):
    with pytest.raises(ValueError, match=message):
        TransformerEncoderBlock(7, **{"self_attention": SparseSelfAttention(3, 2), **arguments})


def test_heads_that_do_not_divide():
    encoder = TransformerEncoderBlock(7, 4)
    message = r"`num_heads` must divide .*`inputs`.*num_heads=4, inputs\.shape=\(2, 5, 6\)"
    with pytest.raises(ValueError, match=message):
        encoder(X)
    decoder = TransformerDecoderBlock(7, 4)
    with pytest.raises(ValueError, match=r"num_heads=4, decoder_sequence\.shape=\(2, 5, 6\)"):
        decoder(X, M)
    assert not encoder.built and not encoder.weights and not decoder.weights


def test_an_attention_that_changes_the_shape():
    block = TransformerEncoderBlock(7, self_attention=SparseSelfAttention(3, 2, output_shape=5))
    with pytest.raises(
        ValueError, match=r"`self_attention` must keep .*outputs\.shape=\(2, 5, 5\)"
    ):
        block(X)


def test_an_attention_mask_beside_another_attention():
    block = TransformerEncoderBlock(7, self_attention=SparseSelfAttention(3, 2))
    with pytest.raises(ValueError, match=r"`attention_mask` must be None .*shape=\(5, 5\)"):
        block(X, attention_mask=np.ones((5, 5), bool))


def symbolic(call):
    return {
        name: keras.KerasTensor(x.shape, x.dtype.name) if isinstance(x, np.ndarray) else x
        for name, x in call.items()
    }


@pytest.mark.parametrize("convert", [dict, symbolic], ids=["eager", "symbolic"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"inputs": X[0]}, r"`inputs` must be .*inputs\.shape=\(5, 6\)"),
        ({"inputs": X[..., :3]}, r"`inputs` must have 6 channels.*inputs\.shape=\(2, 5, 3\)"),
        ({"padding_mask": np.ones((2, 4), bool)}, r"`padding_mask` must .*shape=\(2, 4\)"),
        ({"padding_mask": np.ones((2, 5), "float32")}, r"`padding_mask` .*dtype=float32"),
        ({"attention_mask": np.ones((2, 4, 5), bool)}, r"`attention_mask` .*=\(2, 4, 5\)"),
        ({"attention_mask": np.ones((5, 5), "float32")}, r"`attention_mask` .*dtype=float32"),
    ],
)
def test_calls_of_the_encoder(arguments, message, convert):
    block = TransformerEncoderBlock(7, 3)
    block(X)
    call = convert({"inputs": X, **arguments})
    with pytest.raises(ValueError, match=message):
        block(call.pop("inputs"), **call)


CACHED = {
    "self_attention_cache": OWN,
    "self_attention_cache_update_index": 0,
    "cross_attention_cache": OTHER,
    "cross_attention_cache_update_index": 0,
}


@pytest.mark.parametrize("convert", [dict, symbolic], ids=["eager", "symbolic"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"decoder_sequence": X[0]}, r"`decoder_sequence` must be .*shape=\(5, 6\)"),
        ({"decoder_sequence": X[..., :3]}, r"`decoder_sequence` must have 6 .*\(2, 5, 3\)"),
        ({"encoder_sequence": M[0]}, r"`encoder_sequence` must be .*shape=\(11, 13\)"),
        ({"encoder_sequence": M[..., :3]}, r"`encoder_sequence` must have 13 .*\(2, 11, 3\)"),
        ({"encoder_sequence": M[:1]}, r"`encoder_sequence` must have the batch .*\(1, 11, 13\)"),
        ({"encoder_sequence": None}, r"`encoder_sequence` must be given.*encoder_sequence=None"),
        ({"decoder_padding_mask": X[0] > 0}, r"`decoder_padding_mask` must .*shape=\(5, 6\)"),
        ({"encoder_padding_mask": X[0] > 0}, r"`encoder_padding_mask` must .*shape=\(5, 6\)"),
        ({"decoder_attention_mask": X > 0}, r"`decoder_attention_mask` must .*=\(2, 5, 6\)"),
        ({"encoder_attention_mask": X > 0}, r"`encoder_attention_mask` must .*=\(2, 5, 6\)"),
        ({"self_attention_cache": OWN}, r"must be given together.*'cross_attention_cache': None"),
        (
            {"self_attention_cache_update_index": 3},
            r"`self_attention_cache_update_index` must be None .*index=3, self_.*=None",
        ),
        (
            {"cross_attention_cache_update_index": 4},
            r"`cross_attention_cache_update_index` must be None .*index=4, cross_",
        ),
        (
            {**CACHED, "self_attention_cache": OWN[:, :1]},
            r"`self_attention_cache` must have shape .*\(2, 1, 9, 3, 2\)",
        ),
        (
            {**CACHED, "cross_attention_cache": OTHER[:1]},
            r"`cross_attention_cache` must have shape .*\(1, 2, 11, 3, 2\)",
        ),
        (
            {**CACHED, "self_attention_cache_update_index": 5},
            r"`self_attention_cache_update_index` must leave .*=5, 5 positions, 9 places",
        ),
        (
            {**CACHED, "self_attention_cache_update_index": None},
            r"`self_attention_cache_update_index` must be an integer with use_causal_mask=True",
        ),
        (
            {**CACHED, "decoder_padding_mask": X[..., 0] > 0},
            r"`decoder_padding_mask` must have shape \(2, 9\).*shape=\(2, 5\)",
        ),
    ],
)
def test_calls_of_the_decoder(arguments, message, convert):
    block = TransformerDecoderBlock(7, 3)
    block(X, M)
    call = convert({"decoder_sequence": X, "encoder_sequence": M, **arguments})
    with pytest.raises(ValueError, match=message):
        block(call.pop("decoder_sequence"), **call)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"encoder_sequence": M}, r"`encoder_sequence` must be None .*shape=\(2, 11, 13\)"),
        (
            {"self_attention_cache": OWN, "cross_attention_cache": OTHER},
            r"must be given together.*'cross_attention_cache': \(2, 2, 11, 3, 2\)",
        ),
        (
            {"encoder_padding_mask": M[..., 0] > 0},
            r"`encoder_padding_mask` must be None .*=\(2, 11\)",
        ),
        (
            {"encoder_attention_mask": M > 0},
            r"`encoder_attention_mask` must be None .*=\(2, 11, 13\)",
        ),
    ],
)
def test_calls_of_a_decoder_without_a_second_attention(arguments, message):
    block = TransformerDecoderBlock(7, 3)
    block(X)
    with pytest.raises(ValueError, match=message):
        block(X, **arguments)
