"""What is particular to SparseSelfAttention; the common properties are in conformance/."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tatl_keras.layers import (
    MultiHeadAttention,
    RotaryPositions,
    SparseSelfAttention,
    sparse_attention_mask,
)

TOKENS = np.zeros((2, 5, 7), "float32")
SETTINGS = [
    {"pattern": "strided", "block_size": 4},
    {"pattern": "strided", "position": RotaryPositions(50)},
    {"pattern": "fixed", "block_size": 5, "summary_size": 2},
    {"pattern": "fixed", "summary_size": 2, "use_bias": True},
]


def dense_twin(layer):
    """The dense layer with the same weights."""
    dense = MultiHeadAttention(
        layer.num_heads,
        layer.key_dim,
        layer.value_dim,
        use_bias=layer.use_bias,
        position=layer.position,
        implementation="dense",
        dtype=layer.dtype_policy,
    )
    channels = layer.query_kernel.shape[0]
    dense.build((None, None, channels), (None, None, channels))
    dense.set_weights(layer.get_weights())
    return dense


def outputs_and_gradients(call, layer, tokens):
    tokens = tf.constant(tokens, layer.compute_dtype)
    with tf.GradientTape() as tape:
        tape.watch(tokens)
        outputs = call(tokens)
        loss = tf.reduce_sum(tf.sin(outputs))
    weights = [weight.value for weight in layer.trainable_variables]
    gradients = tape.gradient(loss, [tokens, *weights])
    return {"outputs": outputs, "tokens": gradients[0]} | {
        weight.name: x for weight, x in zip(layer.trainable_variables, gradients[1:], strict=True)
    }


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: "-".join(settings))
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-8), ("float32", 1e-6)])
def test_equals_dense_attention_with_the_same_weights(rng, settings, causal, dtype, tolerance):
    tokens, padding = rng.normal(size=(2, 23, 7)), np.arange(23) < np.array([[23], [13]])
    layer = SparseSelfAttention(3, 6, 2, **settings, dtype=dtype)
    layer.build(tokens.shape)
    layer.set_weights([rng.normal(size=w.shape) * 0.4 for w in layer.weights])
    pattern = (layer.pattern, layer.block_size, layer.summary_size, causal)
    mask = sparse_attention_mask(23, *pattern).numpy()
    dense = dense_twin(layer)
    found = outputs_and_gradients(
        lambda x: layer(x, padding_mask=padding, use_causal_mask=causal), layer, tokens
    )
    expected = outputs_and_gradients(
        lambda x: dense(x, x, value_mask=padding, attention_mask=mask), dense, tokens
    )
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        scale = max(1, np.abs(value).max())
        np.testing.assert_allclose(found[name], value, rtol=0, atol=tolerance * scale, err_msg=name)


@pytest.mark.parametrize("pattern", ["strided", "fixed"])
@pytest.mark.parametrize("causal", [False, True])
def test_scores_are_those_of_the_pattern(rng, pattern, causal):
    layer = SparseSelfAttention(2, 3, pattern=pattern, block_size=4, summary_size=1)
    tokens, padding = rng.normal(size=(2, 13, 7)), np.arange(13) != 5
    padding = np.stack([padding, padding])
    call = {"padding_mask": padding, "use_causal_mask": causal}
    outputs, scores = layer(tokens, return_attention_scores=True, **call)
    np.testing.assert_allclose(outputs, layer(tokens, **call), rtol=0, atol=1e-6)
    mask = sparse_attention_mask(13, pattern, 4, 1, causal).numpy() & padding[0]
    np.testing.assert_array_equal(scores.numpy() > 0, np.broadcast_to(mask, (2, 2, 13, 13)))
    np.testing.assert_allclose(scores.numpy().sum(-1), 1, rtol=1e-6)


def test_block_size_follows_the_length():
    # zeros as queries: each position averages over what it sees, so the scores count it
    layer = SparseSelfAttention(1, 1, pattern="strided", kernel_initializer="zeros")
    for length, size in ((1, 1), (4, 2), (5, 3), (9, 3), (10, 4), (16, 4), (17, 5)):
        tokens = np.ones((1, length, 2))
        _, scores = layer(tokens, use_causal_mask=True, return_attention_scores=True)
        seen = {length - 1 - i for i in range(length) if i <= size or i % size == 0}
        assert set(np.flatnonzero(scores[0, 0, -1])) == seen


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: "-".join(settings))
@pytest.mark.parametrize("causal", [False, True])
def test_sequences_of_none_and_of_one(rng, settings, causal):
    layer = SparseSelfAttention(2, 4, **settings)
    assert layer(np.zeros((3, 0, 5)), use_causal_mask=causal).shape == (3, 0, 5)
    token = rng.normal(size=(3, 1, 5)).astype("float32")
    value = np.einsum("btx,xhv->bthv", token, layer.value_kernel)
    expected = np.einsum("bthv,hvo->bto", value, layer.output_kernel)
    np.testing.assert_allclose(layer(token, use_causal_mask=causal), expected, rtol=0, atol=1e-6)


def test_the_implicit_mask_counts_and_is_passed_on():
    tokens = keras.layers.Embedding(5, 4, mask_zero=True)(np.array([[1, 2, 3, 0, 0, 0, 0]]))
    layer = SparseSelfAttention(2, 3, pattern="strided", block_size=2)
    outputs = layer(tokens)
    np.testing.assert_allclose(outputs[:, :3], layer(tokens[:, :3]), rtol=0, atol=1e-6)
    np.testing.assert_array_equal(outputs._keras_mask, [[1, 1, 1, 0, 0, 0, 0]])
    everything = layer(tokens, padding_mask=np.ones((1, 7), bool))
    assert np.abs(everything - outputs)[:, :3].max() > 1e-4


def test_without_an_output_projection_the_heads_stand_side_by_side(rng):
    tokens = rng.normal(size=(2, 11, 7)).astype("float32")
    layer = SparseSelfAttention(3, 5, 2, block_size=3, use_output_projection=False)
    joined = SparseSelfAttention(3, 5, 2, block_size=3, output_shape=13)
    joined.build(tokens.shape)
    outputs = layer(tokens)
    assert outputs.shape == layer.compute_output_shape(tokens.shape) == (2, 11, 6)
    joined.set_weights([*layer.get_weights(), joined.output_kernel])
    expected = outputs.numpy() @ joined.output_kernel.numpy().reshape(6, 13)
    np.testing.assert_allclose(joined(tokens), expected, rtol=0, atol=1e-6)
    assert joined.compute_output_shape((None, None, 7)) == (None, None, 13)


@pytest.mark.parametrize("pattern", ["strided", "fixed"])
def test_dropout_acts_in_training_and_follows_the_seed(rng, pattern):
    tokens = rng.normal(size=(2, 17, 7))
    layers = [
        SparseSelfAttention(2, 3, pattern=pattern, summary_size=1, dropout=0.5, seed=seed)
        for seed in (1, 1, 2)
    ]
    calm = [layer(tokens).numpy() for layer in layers]
    np.testing.assert_array_equal(calm[0], calm[1])
    np.testing.assert_array_equal(calm[0], layers[0](tokens))
    for layer in layers[1:]:
        layer.set_weights(layers[0].get_weights())
    first, again, other = (layer(tokens, training=True).numpy() for layer in layers)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any() and (first != calm[0]).any()
    assert (layers[0](tokens, training=True).numpy() != first).any()


def test_symbolic_shapes():
    tokens, mask = keras.Input((None, 7)), keras.Input((None,), dtype="int32")
    layer = SparseSelfAttention(2, 3, output_shape=5, dtype="mixed_float16")
    outputs, scores = layer(tokens, padding_mask=mask, return_attention_scores=True)
    assert outputs.shape == (None, None, 5) and outputs.dtype == "float16"
    assert scores.shape == (None, 2, None, None) and scores.dtype == "float32"


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: "-".join(settings))
def test_an_exported_model_takes_any_length(rng, settings, tmp_path):
    tokens, mask = keras.Input((None, 7)), keras.Input((None,), dtype="int32")
    outputs = SparseSelfAttention(2, 6, **settings)(tokens, padding_mask=mask)
    model = keras.Model([tokens, mask], outputs)
    model.export(tmp_path / "model", verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    for length in (1, 5, 16, 17):
        arrays = [rng.normal(size=(2, length, 7)), rng.random((2, length)) < 0.7]
        arrays = [tf.cast(arrays[0], "float32"), tf.cast(arrays[1], "int32")]
        np.testing.assert_allclose(loaded.serve(arrays), model(arrays), rtol=0, atol=1e-6)


def test_configuration_of_all_arguments():
    layer = SparseSelfAttention(
        2,
        4,
        3,
        pattern="fixed",
        block_size=5,
        summary_size=2,
        dropout=0.25,
        use_bias=True,
        output_shape=7,
        position=RotaryPositions(50),
        kernel_initializer="he_normal",
        bias_initializer="ones",
        kernel_regularizer=keras.regularizers.L2(0.5),
        bias_regularizer="l1",
        kernel_constraint="non_neg",
        bias_constraint="unit_norm",
        implementation="dense",
        seed=3,
    )
    copy = SparseSelfAttention.from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    for x in (layer, copy):
        x.build((None, None, 7))
    assert all((a == b).all() for a, b in zip(copy.get_weights(), layer.get_weights(), strict=True))
    assert copy.position.max_wavelength == 50 and copy.block_size == 5 and copy.summary_size == 2
    assert copy.implementation == "dense" and copy.pattern == "fixed" and copy.dropout == 0.25


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_heads": 0}, r"`num_heads` must be .*Received: num_heads=0\."),
        ({"key_dim": 1.5}, r"`key_dim` must be .*Received: key_dim=1\.5\."),
        ({"value_dim": 0}, r"`value_dim` must be .*Received: value_dim=0\."),
        ({"pattern": "dilated"}, r"`pattern` must be .*Received: pattern='dilated'\."),
        ({"block_size": 0}, r"`block_size` must be .*Received: block_size=0\."),
        ({"summary_size": -1}, r"`summary_size` must be .*Received: summary_size=-1\."),
        (
            {"pattern": "fixed", "block_size": 7},
            r"`summary_size` must be at most .*Received: summary_size=8, block_size=7\.",
        ),
        ({"dropout": 1.0}, r"`dropout` must be .*Received: dropout=1\.0\."),
        ({"output_shape": 0}, r"`output_shape` must be .*Received: output_shape=0\."),
        (
            {"output_shape": 3, "use_output_projection": False},
            r"`output_shape` must be None .*Received: output_shape=3\.",
        ),
        ({"position": "sine"}, r"`position` must be .*Received: position='sine'\."),
        ({"implementation": "flash"}, r"`implementation` must be .*implementation='flash'\."),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        SparseSelfAttention(**{"num_heads": 2, "key_dim": 3, **arguments})


@pytest.mark.parametrize(
    ("inputs", "mask", "message"),
    [
        (TOKENS[0], None, r"`inputs` must be .*inputs\.shape=\(5, 7\)"),
        (TOKENS[None], None, r"`inputs` must be .*inputs\.shape=\(1, 2, 5, 7\)"),
        (TOKENS[..., :3], None, r"`inputs` must have 7 channels.*inputs\.shape=\(2, 5, 3\)"),
        (TOKENS, np.ones((5, 2), bool), r"`padding_mask` must have .*shape=\(5, 2\)"),
        (TOKENS, np.ones((2, 5)), r"`padding_mask` must be boolean .*dtype=float32"),
    ],
)
def test_bad_calls(inputs, mask, message):
    layer = SparseSelfAttention(2, 3)
    layer(TOKENS)
    with pytest.raises(ValueError, match=message):
        layer(inputs, padding_mask=mask)


def test_bad_symbolic_calls():
    with pytest.raises(ValueError, match=r"`inputs` must have a known .*\(None, None, None\)"):
        SparseSelfAttention(2, 3)(keras.Input((None, None)))
    with pytest.raises(ValueError, match=r"`padding_mask` must have .*shape=\(None, 6\)"):
        SparseSelfAttention(2, 3)(keras.Input((5, 4)), padding_mask=keras.Input((6,), dtype="bool"))
