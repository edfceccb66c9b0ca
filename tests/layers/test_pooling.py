"""What is particular to pooling; the common properties are in conformance/."""

import keras
import numpy as np
import pytest

from tatl_keras.layers import MaskedAveragePooling

TOKENS = np.array([[[1.0, 10.0], [3.0, 50.0], [8.0, 0.0]]])


def test_by_hand():
    layer = MaskedAveragePooling()
    np.testing.assert_allclose(layer(TOKENS), [[4.0, 20.0]], rtol=1e-6)
    np.testing.assert_allclose(layer(TOKENS, mask=np.array([[1, 1, 0]])), [[2.0, 30.0]], rtol=1e-6)
    np.testing.assert_array_equal(layer(TOKENS, mask=np.array([[0, 0, 0]])), [[0.0, 0.0]])


def test_an_empty_sequence_gives_zeros():
    for mask in (None, np.zeros((1, 0), bool)):
        np.testing.assert_array_equal(MaskedAveragePooling()(TOKENS[:, :0], mask=mask), [[0, 0]])


def test_the_implicit_mask_counts_and_ends_here():
    tokens = keras.layers.Embedding(5, 3, mask_zero=True)(np.array([[1, 2, 0, 0]]))
    pooled = MaskedAveragePooling()(tokens)
    np.testing.assert_allclose(pooled, tokens.numpy()[:, :2].mean(1), rtol=1e-6)
    assert getattr(pooled, "_keras_mask", None) is None


def test_sums_run_in_float32():
    keras.config.set_dtype_policy("float16")
    tokens = np.full((1, 40, 1), 6e4, "float16")
    assert MaskedAveragePooling()(tokens).numpy() == np.float16(6e4)


@pytest.mark.parametrize(
    ("inputs", "mask", "message"),
    [
        (TOKENS[0], None, r"`inputs` must be .*\(3, 2\)"),
        (TOKENS, np.ones((1, 2), bool), r"`mask` must have .*\(1, 2\)"),
        (TOKENS, np.ones((1, 3)), r"`mask` must be .*float32"),
    ],
)
def test_bad_input(inputs, mask, message):
    with pytest.raises(ValueError, match=message):
        MaskedAveragePooling()(inputs, mask=mask)
