"""Another attention layer in the place of the encoder block's own."""

import keras
import numpy as np
import pytest

from tatl_keras.layers import SelfAttention, SparseSelfAttention, TransformerEncoderBlock

PADDING = np.array([[1, 1, 0, 1, 0], [1, 1, 1, 1, 1]])


@pytest.mark.parametrize("causal", [True, False])
def test_another_attention_in_the_encoder(rng, causal, tmp_path):
    x = rng.normal(size=(2, 5, 6))
    sparse = SparseSelfAttention(3, 2, block_size=2, seed=1)
    block = TransformerEncoderBlock(7, self_attention=sparse, normalize_first=True)
    outputs, scores = block(
        x, padding_mask=PADDING, use_causal_mask=causal, return_attention_scores=True
    )
    zeroed = np.where(PADDING[:, :, None] > 0, x, 0)
    attended = sparse(
        block.self_attention_layer_norm(zeroed), padding_mask=PADDING, use_causal_mask=causal
    )
    y = zeroed + attended
    y = y + block.feedforward_output_dense(
        block.feedforward_intermediate_dense(block.feedforward_layer_norm(y))
    )
    expected = np.where(PADDING[:, :, None] > 0, y, 0)
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-6)
    inputs = keras.Input((5, 6))
    symbolic = block(inputs, use_causal_mask=causal, return_attention_scores=True)
    assert symbolic[1].shape[1:] == scores.shape[1:]
    model = keras.Model(inputs, symbolic)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for a, b in zip(loaded(x), model(x), strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(model.weights) == len(sparse.weights) + 8


def test_the_attention_of_one_head_in_the_encoder(rng):
    x = rng.normal(size=(2, 5, 6))
    block = TransformerEncoderBlock(7, self_attention=SelfAttention(5, 6))
    outputs, scores = block(x, return_attention_scores=True)
    assert outputs.shape == (2, 5, 6) and scores.shape == (2, 5, 5)
