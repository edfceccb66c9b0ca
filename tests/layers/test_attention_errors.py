"""Bad input to the attention layers is refused with the value in the message."""

import keras
import numpy as np
import pytest

from tatl_keras.layers import Attention, SelfAttention

Q, V = np.zeros((2, 3, 7), "float32"), np.zeros((2, 5, 11), "float32")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Attention(0), r"`value_dim` must be .*Received: value_dim=0\."),
        (lambda: Attention(2.5), r"`value_dim` must be .*Received: value_dim=2\.5\."),
        (lambda: Attention(True), r"`value_dim` must be .*Received: value_dim=True\."),
        (lambda: SelfAttention(-1), r"`key_dim` must be .*Received: key_dim=-1\."),
        (lambda: SelfAttention("3"), r"`key_dim` must be .*Received: key_dim='3'\."),
        (lambda: SelfAttention(3, 0), r"`value_dim` must be .*Received: value_dim=0\."),
    ],
)
def test_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"query": Q[0, 0]}, r"`query` must be .*query\.shape=\(7,\)"),
        ({"value": V[None]}, r"`value` must be .*value\.shape=\(1, 2, 5, 11\)"),
        ({"query": Q[0]}, r"`value` must have the batch axis.*query\.shape=\(3, 7\)"),
        ({"value": V[:1]}, r"`value` must have the batch axis.*value\.shape=\(1, 5, 11\)"),
        ({"query": Q[..., :2]}, r"`query` must have 7 channels.*query\.shape=\(2, 3, 2\)"),
        ({"value": V[..., :2]}, r"`value` must have 11 channels.*value\.shape=\(2, 5, 2\)"),
        ({"value_mask": np.ones((2, 3))[:, :3] > 0}, r"`value_mask` must have .*shape=\(2, 3\)"),
        ({"value_mask": np.ones((2, 1, 5), bool)}, r"`value_mask` must have .*shape=\(2, 1, 5\)"),
        ({"value_mask": np.ones((2, 5))}, r"`value_mask` must be boolean .*dtype=float32"),
    ],
)
def test_calls_of_attention(arguments, message):
    layer = Attention()
    layer(Q, V)
    call = {"query": Q, "value": V, **arguments}
    with pytest.raises(ValueError, match=message):
        layer(call.pop("query"), call.pop("value"), **call)


@pytest.mark.parametrize(
    ("inputs", "mask", "message"),
    [
        (V[0, 0], None, r"`inputs` must be .*inputs\.shape=\(11,\)"),
        (V[None], None, r"`inputs` must be .*inputs\.shape=\(1, 2, 5, 11\)"),
        (V[..., :2], None, r"`inputs` must have 11 channels.*inputs\.shape=\(2, 5, 2\)"),
        (V, np.ones((5, 2), bool), r"`padding_mask` must have .*shape=\(5, 2\)"),
        (V, np.ones((2, 5), "float16"), r"`padding_mask` must be boolean .*dtype=float32"),
    ],
)
def test_calls_of_self_attention(inputs, mask, message):
    layer = SelfAttention(3)
    layer(V)
    with pytest.raises(ValueError, match=message):
        layer(inputs, padding_mask=mask)


def test_unknown_channels():
    with pytest.raises(ValueError, match=r"`inputs` must have a known .*\(None, None, None\)"):
        SelfAttention(3)(keras.Input((None, None)))
    with pytest.raises(ValueError, match=r"`value` must have a known .*\(None, None, None\)"):
        Attention()(keras.Input((None, 3)), keras.Input((None, None)))


def test_symbolic_calls_are_checked_too():
    query, value = keras.Input((None, 3)), keras.Input((5, 4))
    with pytest.raises(ValueError, match=r"`value_mask` must have .*shape=\(None, 6\)"):
        Attention()(query, value, value_mask=keras.Input((6,), dtype="bool"))
    with pytest.raises(ValueError, match=r"`padding_mask` must be .*dtype=float32"):
        SelfAttention(3)(value, padding_mask=keras.Input((5,)))


def test_a_failed_build_leaves_no_weights():
    layer = Attention()
    with pytest.raises(ValueError, match="`value` must have the batch axis"):
        layer.build((None, 3, 7), (None, 11))
    assert not layer.built and not layer.weights
