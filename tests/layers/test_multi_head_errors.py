"""Bad input to MultiHeadAttention is refused with the value in the message."""

import keras
import numpy as np
import pytest

from tatl_keras.layers import MultiHeadAttention, RotaryPositions

Q, V, K = (np.zeros(shape, "float32") for shape in ((2, 3, 7), (2, 5, 11), (2, 5, 13)))
CACHE = np.zeros((2, 2, 9, 3, 4), "float32")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_heads": 0}, r"`num_heads` must be .*Received: num_heads=0\."),
        ({"num_heads": 2.0}, r"`num_heads` must be .*Received: num_heads=2\.0\."),
        ({"key_dim": 0}, r"`key_dim` must be .*Received: key_dim=0\."),
        ({"value_dim": -1}, r"`value_dim` must be .*Received: value_dim=-1\."),
        ({"dropout": 1.0}, r"`dropout` must be .*Received: dropout=1\.0\."),
        ({"output_shape": 0}, r"`output_shape` must be .*Received: output_shape=0\."),
        ({"output_shape": (2, 3)}, r"`output_shape` must be .*output_shape=\(2, 3\)\."),
        (
            {"output_shape": 5, "use_output_projection": False},
            r"`output_shape` must be None .*Received: output_shape=5\.",
        ),
        ({"implementation": "flash"}, r"`implementation` must be .*implementation='flash'\."),
        ({"position": "rotary"}, r"`position` must be a layer .*position='rotary'\."),
    ],
)
def test_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        MultiHeadAttention(**{"num_heads": 3, "key_dim": 4, **arguments})


CALLS = [
    ({"query": Q[0]}, r"`query` must be .*query\.shape=\(3, 7\)"),
    ({"value": V[None]}, r"`value` must be .*value\.shape=\(1, 2, 5, 11\)"),
    ({"key": K[0]}, r"`key` must be .*key\.shape=\(5, 13\)"),
    ({"value": V[:1], "key": K[:1]}, r"`value` must have the batch .*value\.shape=\(1, 5, 11\)"),
    ({"key": K[:, :4]}, r"`key` must have .*key\.shape=\(2, 4, 13\)"),
    ({"query": Q[..., :2]}, r"`query` must have 7 channels.*query\.shape=\(2, 3, 2\)"),
    ({"value": V[..., :2]}, r"`value` must have 11 channels.*value\.shape=\(2, 5, 2\)"),
    ({"key": None}, r"`key` must have 13 channels.*key\.shape=\(2, 5, 11\)"),
    ({"query_mask": np.ones((2, 5), bool)}, r"`query_mask` must have .*shape=\(2, 5\)"),
    ({"value_mask": np.ones((2, 3), bool)}, r"`value_mask` must have .*shape=\(2, 3\)"),
    ({"value_mask": np.ones((2, 5))}, r"`value_mask` must be boolean .*dtype=float32"),
    ({"key_mask": np.ones((2, 1, 5), bool)}, r"`key_mask` must have .*shape=\(2, 1, 5\)"),
    (
        {"attention_mask": np.ones((2, 5, 3), bool)},
        r"`attention_mask` must have .*\(3, 5\), \(2, 3, 5\), \(2, 3, 3, 5\).*=\(2, 5, 3\)",
    ),
    ({"attention_mask": np.ones((5,), bool)}, r"`attention_mask` must have .*shape=\(5,\)"),
    ({"attention_mask": np.ones((), bool)}, r"`attention_mask` must have .*shape=\(\)"),
    ({"attention_mask": np.ones((2, 2, 3, 5), bool)}, r"`attention_mask` .*shape=\(2, 2, 3, 5\)"),
    ({"attention_mask": np.ones((3, 5))}, r"`attention_mask` must be boolean .*dtype=float32"),
]


@pytest.mark.parametrize("symbolic", [False, True], ids=["eager", "symbolic"])
@pytest.mark.parametrize(("arguments", "message"), CALLS)
def test_calls(arguments, message, symbolic):
    layer = MultiHeadAttention(3, 4)
    layer(Q, V, key=K)
    call = {"query": Q, "value": V, "key": K, **arguments}
    if symbolic:
        call = {
            name: None if x is None else keras.KerasTensor(x.shape, str(np.asarray(x).dtype))
            for name, x in call.items()
        }
    with pytest.raises(ValueError, match=message):
        layer(call.pop("query"), call.pop("value"), **call)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"cache": None, "cache_update_index": 2},
            r"`cache_update_index` must be None .*cache_update_index=2, cache=None",
        ),
        ({"cache": CACHE[:, 0]}, r"`cache` must have shape .*cache\.shape=\(2, 9, 3, 4\)"),
        ({"cache": CACHE[:1]}, r"`cache` must have shape .*cache\.shape=\(1, 2, 9, 3, 4\)"),
        ({"cache": CACHE[..., :2]}, r"\(2, 2, None, 3, 4\).*cache\.shape=\(2, 2, 9, 3, 2\)"),
        ({"cache_update_index": -1}, r"`cache_update_index` must leave .*index=-1, 3 pos"),
        ({"cache_update_index": 7}, r"`cache_update_index` must leave .*=7, 3 .*, 9 places"),
        ({"cache_update_index": 1.5}, r"`cache_update_index` must be one integer.*index=1\.5"),
        ({"cache_update_index": True}, r"`cache_update_index` must be one integer.*index=True"),
        ({"cache_update_index": np.array([1, 2])}, r"must be one integer.*index=.*\[1, 2\]"),
        ({"use_causal_mask": True}, r"must be an integer with use_causal_mask=True.*index=None"),
        (
            {"cache_update_index": 2, "value_mask": np.ones((2, 3), bool)},
            r"`value_mask` must have shape \(2, 9\).*shape=\(2, 3\)",
        ),
        (
            {"cache_update_index": 2, "attention_mask": np.ones((3, 3), bool)},
            r"`attention_mask` must have .*\(3, 9\).*shape=\(3, 3\)",
        ),
    ],
)
def test_caches(arguments, message):
    layer = MultiHeadAttention(3, 4)
    layer(Q, Q)
    with pytest.raises(ValueError, match=message):
        layer(Q, Q, **{"cache": CACHE, **arguments})


def test_a_cache_of_keys_and_values_of_different_sizes():
    with pytest.raises(ValueError, match=r"`cache` must be None .*key_dim=4, value_dim=5\."):
        MultiHeadAttention(3, 4, 5)(Q, Q, cache=CACHE, cache_update_index=0)


def test_positions_need_to_know_where_the_queries_stand():
    layer = MultiHeadAttention(3, 4, position=RotaryPositions(name="turn"))
    with pytest.raises(ValueError, match=r"must be an integer with position=.*turn.*index=None"):
        layer(Q, Q, cache=CACHE)


def test_rotations_of_an_odd_number_of_channels():
    with pytest.raises(ValueError, match=r"\(2, 3, 3, 5\)"):
        MultiHeadAttention(3, 5, position=RotaryPositions())(Q, Q)


def test_scores_of_the_chunked_execution():
    layer = MultiHeadAttention(3, 4, implementation="chunked")
    with pytest.raises(ValueError, match=r'Received: implementation="chunked"'):
        layer(Q, Q, return_attention_scores=True)


def test_unknown_channels():
    layer = MultiHeadAttention(3, 4)
    with pytest.raises(ValueError, match=r"`value` must have a known .*\(None, None, None\)"):
        layer(keras.Input((None, 3)), keras.Input((None, None)))
    assert not layer.built and not layer.weights
