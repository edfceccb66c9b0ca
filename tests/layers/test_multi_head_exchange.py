"""Weights and settings go to and from keras.layers.MultiHeadAttention, which is the reference."""

import keras
import numpy as np
import pytest

from tatl_keras.layers import MultiHeadAttention, RotaryPositions

SETTINGS = {
    "bias": {"use_bias": True},
    "no_bias": {"use_bias": False},
    "value_dim_and_output_shape": {"value_dim": 7, "output_shape": 11},
}
CALLS = {
    "plain": {},
    "causal": {"use_causal_mask": True},
    "masks": {"query_mask": True, "value_mask": True},
    "attention_mask": {"attention_mask": True},
    "everything": {"value_mask": True, "attention_mask": True, "use_causal_mask": True},
}


def randomised(layer, rng):
    for weight in layer.weights:
        weight.assign(rng.normal(size=weight.shape) * 0.3)
    return layer


def inputs(rng):
    query, value, key = rng.normal(size=(2, 5, 7)), rng.normal(size=(2, 13, 3)), None
    masks = {
        "query_mask": np.array([[1, 1, 0, 1, 0], [1, 1, 1, 1, 1]], bool),
        "value_mask": np.arange(13) < np.array([[4], [13]]),
        "attention_mask": rng.random((2, 5, 13)) > 0.4,
    }
    masks["attention_mask"][:, :, 0] = True  # Keras does not give zeros where nothing is seen
    return [query, value, key], masks


def compare(first, second, arrays, masks, call):
    """Outputs and scores of two layers for the query rows that are real."""
    call = {name: masks[name] if name in masks else value for name, value in call.items()}
    real = masks["query_mask"] if "query_mask" in call else np.ones((2, 5), bool)
    if "query_mask" in call:
        # Keras replaces an explicit query_mask by the implicit one
        call = {**call, "attention_mask": call.pop("query_mask")[:, :, None]}
    a, b = first(*arrays, **call).numpy(), second(*arrays, **call).numpy()
    np.testing.assert_allclose(a[real], b[real], rtol=0, atol=1e-6)
    a, b = (layer(*arrays, return_attention_scores=True, **call)[1] for layer in (first, second))
    a, b = a.numpy().swapaxes(1, 2), b.numpy().swapaxes(1, 2)
    np.testing.assert_allclose(a[real], b[real], rtol=0, atol=1e-6)


@pytest.mark.parametrize("call", list(CALLS))
@pytest.mark.parametrize("setting", list(SETTINGS))
def test_from_keras(rng, setting, call):
    reference = keras.layers.MultiHeadAttention(3, 2, **SETTINGS[setting])
    arrays, masks = inputs(rng)
    reference(*arrays)
    randomised(reference, rng)
    layer = MultiHeadAttention.from_keras(reference)
    compare(layer, reference, arrays, masks, CALLS[call])


@pytest.mark.parametrize("call", list(CALLS))
@pytest.mark.parametrize("setting", list(SETTINGS))
def test_to_keras(rng, setting, call):
    layer = MultiHeadAttention(3, 2, **SETTINGS[setting])
    arrays, masks = inputs(rng)
    layer(*arrays)
    reference = randomised(layer, rng).to_keras()
    assert type(reference) is keras.layers.MultiHeadAttention
    compare(layer, reference, arrays, masks, CALLS[call])


def test_a_key_of_its_own(rng):
    query, value, key = (rng.normal(size=(2, n, d)) for n, d in ((5, 7), (13, 3), (13, 11)))
    reference = keras.layers.MultiHeadAttention(3, 2)
    reference(query, value, key=key)
    layer = MultiHeadAttention.from_keras(randomised(reference, rng))
    expected = reference(query, value, key=key)
    np.testing.assert_allclose(layer(query, value, key=key), expected, rtol=0, atol=1e-6)
    again = layer.to_keras()
    np.testing.assert_allclose(again(query, value, key=key), expected, rtol=0, atol=1e-6)


def test_the_round_trip_keeps_everything(rng):
    reference = keras.layers.MultiHeadAttention(
        3,
        2,
        5,
        dropout=0.3,
        output_shape=11,
        kernel_initializer=keras.initializers.HeNormal(seed=4),
        bias_initializer="ones",
        kernel_regularizer="l2",
        bias_regularizer="l1",
        kernel_constraint="non_neg",
        bias_constraint="unit_norm",
        seed=8,
        name="attention",
        dtype="mixed_bfloat16",
    )
    reference(rng.normal(size=(2, 5, 7)), rng.normal(size=(2, 13, 3)))
    again = MultiHeadAttention.from_keras(reference).to_keras()
    assert again.get_config() == reference.get_config()
    for a, b in zip(again.get_weights(), reference.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_layers_that_are_not_built():
    reference = keras.layers.MultiHeadAttention(3, 2, seed=8)
    layer = MultiHeadAttention.from_keras(reference, implementation="dense", name="other")
    assert not layer.built and layer.use_bias
    assert layer.implementation == "dense" and layer.name == "other"
    again = layer.to_keras()
    assert not again.built and again.seed == 8


def build(layer):
    layer.build((None, None, 7), (None, None, 7))
    return layer


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: keras.layers.Dense(3, name="head"), r"`layer` must be .*name=head"),
        (lambda: {"attention_axes": (2,)}, r"`attention_axes` must be .*attention_axes=\(2,\)"),
        (lambda: {"sliding_window": 4}, r"`sliding_window` must be None .*sliding_window=4\."),
        (lambda: {"use_gate": True}, r"`use_gate` must be False .*use_gate=True\."),
        (lambda: {"activity_regularizer": "l2"}, r"`activity_regularizer` must be None .*L2"),
        (lambda: {"output_shape": (3, 5)}, r"`output_shape` must be \(3,\) .*=\(3, 5\)\."),
    ],
)
def test_settings_unknown_here(make, message):
    made = make()
    layer = keras.layers.MultiHeadAttention(3, 2, **made) if isinstance(made, dict) else made
    with pytest.raises(ValueError, match=message):
        MultiHeadAttention.from_keras(layer)


def test_attention_over_two_axes():
    layer = keras.layers.MultiHeadAttention(3, 2)
    layer.build((None, 5, 5, 7), (None, 5, 5, 7))
    with pytest.raises(ValueError, match=r"`attention_axes` must be .*attention_axes=\(1, 2\)\."):
        MultiHeadAttention.from_keras(layer)


def test_quantized_weights():
    layer = build(keras.layers.MultiHeadAttention(3, 2))
    for part in (layer.query_dense, layer.key_dense):
        part.quantize("int8")
    with pytest.raises(ValueError, match=r"`quantization_mode` must be None .*='int8'\."):
        MultiHeadAttention.from_keras(layer)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"use_output_projection": False}, r"`use_output_projection` must be True .*=False\."),
        ({"position": RotaryPositions(name="turn")}, r"`position` must be None .*name=turn"),
        ({"activity_regularizer": "l2"}, r"`activity_regularizer` must be None .*L2"),
    ],
)
def test_settings_unknown_to_keras(arguments, message):
    with pytest.raises(ValueError, match=message):
        build(MultiHeadAttention(3, 2, **arguments)).to_keras()
