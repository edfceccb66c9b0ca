"""What is particular to AttentionPooling; the common properties are in conformance/."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tatl_keras.layers import AttentionPooling, MaskedAveragePooling

TOKENS = np.zeros((2, 5, 6), "float32")


def test_by_hand():
    layer = AttentionPooling(key_dim=1, value_dim=2)
    layer.build((None, None, 2))
    # the key is the first channel, the query log 2, the values are the channels themselves
    key_kernel = np.array([1.0, 0.0]).reshape(2, 1, 1)
    layer.set_weights([np.array([[np.log(2)]]), key_kernel, np.eye(2)[:, None]])
    tokens = np.array([[[0.0, 7.0], [1.0, 0.0], [2.0, 14.0]]])
    pooled, scores = layer(tokens, return_attention_scores=True)
    np.testing.assert_allclose(scores, [[[1 / 7, 2 / 7, 4 / 7]]], rtol=1e-6)
    np.testing.assert_allclose(pooled, [[10 / 7, 9.0]], rtol=1e-6)
    mask = np.array([[True, True, False]])
    pooled, scores = layer(tokens, mask=mask, return_attention_scores=True)
    np.testing.assert_allclose(scores, [[[1 / 3, 2 / 3, 0]]], rtol=1e-6)
    np.testing.assert_allclose(pooled, [[2 / 3, 7 / 3]], rtol=1e-6)


def test_a_query_of_zeros_averages(rng):
    tokens, mask = rng.normal(size=(3, 7, 6)), np.arange(7) < np.array([[7], [4], [0]])
    layer = AttentionPooling(num_heads=3)
    layer.build(tokens.shape)
    identity = np.eye(6).reshape(6, 3, 2)
    layer.set_weights([np.zeros((3, 2)), rng.normal(size=(6, 3, 2)), identity])
    average = MaskedAveragePooling()(tokens, mask=mask)
    np.testing.assert_allclose(layer(tokens, mask=mask), average, rtol=0, atol=1e-6)


def test_heads_stand_side_by_side(rng):
    tokens = rng.normal(size=(2, 7, 6))
    both = AttentionPooling(num_heads=2, key_dim=3, value_dim=5)
    pooled, scores = both(tokens, return_attention_scores=True)
    assert pooled.shape == (2, 10) and scores.shape == (2, 2, 7)
    for head in range(2):
        one = AttentionPooling(key_dim=3, value_dim=5)
        one.build(tokens.shape)
        query, *kernels = both.get_weights()
        one.set_weights([query[[head]], *(kernel[:, [head]] for kernel in kernels)])
        part, part_scores = one(tokens, return_attention_scores=True)
        np.testing.assert_allclose(pooled[:, 5 * head :][:, :5], part, rtol=0, atol=1e-6)
        np.testing.assert_allclose(scores[:, head], part_scores[:, 0], rtol=0, atol=1e-6)


def test_channels_are_shared_by_the_heads():
    layer = AttentionPooling(num_heads=3)
    assert layer(TOKENS).shape == layer.compute_output_shape(TOKENS.shape) == (2, 6)
    assert [w.shape for w in layer.weights] == [(3, 2), (6, 3, 2), (6, 3, 2)]
    assert [w.name for w in layer.weights] == ["query", "key_kernel", "value_kernel"]
    assert AttentionPooling(3, value_dim=7).compute_output_shape((None, 5, 6)) == (None, 21)


@pytest.mark.parametrize("implementation", ["dense", "chunked", "auto"])
def test_the_implementations_agree(rng, implementation):
    tokens, mask = rng.normal(size=(2, 31, 6)).astype("float32"), np.arange(31) % 3 > 0
    layer = AttentionPooling(num_heads=2, implementation=implementation, seed=1)
    expected = AttentionPooling(num_heads=2, seed=1)(tokens, mask=np.stack([mask, mask]))
    found = layer(tokens, mask=np.stack([mask, mask]))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_an_empty_sequence_gives_zeros():
    layer = AttentionPooling()
    for mask in (None, np.zeros((2, 0), bool)):
        pooled, scores = layer(TOKENS[:, :0], mask=mask, return_attention_scores=True)
        np.testing.assert_array_equal(pooled, np.zeros((2, 6)))
        assert scores.shape == (2, 1, 0)


def test_the_implicit_mask_counts_and_ends_here():
    tokens = keras.layers.Embedding(5, 4, mask_zero=True)(np.array([[1, 2, 0, 0]]))
    layer = AttentionPooling()
    pooled = layer(tokens)
    np.testing.assert_allclose(pooled, layer(tokens.numpy()[:, :2]), rtol=1e-5)
    assert getattr(pooled, "_keras_mask", None) is None
    pooled, scores = layer(tokens, return_attention_scores=True)
    assert getattr(pooled, "_keras_mask", None) is None
    np.testing.assert_array_equal(scores[0, 0].numpy() > 0, [True, True, False, False])


def test_dropout_acts_in_training_and_follows_the_seed(rng):
    tokens = rng.normal(size=(2, 17, 6))
    first, again, other = (AttentionPooling(dropout=0.5, seed=seed) for seed in (1, 1, 2))
    calm = first(tokens).numpy()
    np.testing.assert_array_equal(calm, again(tokens))
    np.testing.assert_array_equal(calm, first(tokens))
    other.build(tokens.shape)
    other.set_weights(first.get_weights())
    trained = first(tokens, training=True).numpy()
    np.testing.assert_array_equal(trained, again(tokens, training=True))
    assert (trained != calm).any() and (trained != other(tokens, training=True).numpy()).any()


def test_kept_scores_are_scaled_up():
    layer = AttentionPooling(key_dim=1, value_dim=8, dropout=0.5, seed=1)
    layer.build((None, 8, 8))
    layer.set_weights([np.zeros((1, 1)), np.zeros((8, 1, 1)), np.eye(8)[:, None]])
    pooled = layer(np.repeat(np.eye(8)[None], 500, axis=0), training=True).numpy()
    assert set(np.unique(pooled.round(6))) == {0.0, 0.25}
    assert abs((pooled > 0).mean() - 0.5) < 5 * 0.5 / 4000**0.5


def test_symbolic_shapes_and_a_saved_model(rng, tmp_path):
    tokens, mask = keras.Input((None, 6)), keras.Input((None,), dtype="int32")
    layer = AttentionPooling(num_heads=2, seed=1)
    outputs = layer(tokens, mask=mask, return_attention_scores=True)
    assert [x.shape for x in outputs] == [(None, 6), (None, 2, None)]
    model = keras.Model([tokens, mask], outputs)
    model.export(tmp_path / "model", verbose=False)
    arrays = [tf.constant(rng.normal(size=(3, 7, 6)), "float32"), tf.ones((3, 7), "int32")]
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    for a, b in zip(loaded.serve(arrays), model(arrays), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)


def test_configuration_of_all_arguments():
    layer = AttentionPooling(
        2,
        5,
        3,
        dropout=0.25,
        kernel_initializer="he_normal",
        kernel_regularizer=keras.regularizers.L2(0.5),
        kernel_constraint="non_neg",
        implementation="dense",
        seed=3,
    )
    copy = AttentionPooling.from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    assert (copy.num_heads, copy.key_dim, copy.value_dim, copy.dropout) == (2, 5, 3, 0.25)
    assert copy.implementation == "dense" and copy.seed == 3
    copy.build((None, None, 7))
    assert all(w.regularizer.l2 == 0.5 and w.constraint is not None for w in copy.weights)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_heads": 0}, r"`num_heads` must be .*Received: num_heads=0\."),
        ({"key_dim": 0}, r"`key_dim` must be .*Received: key_dim=0\."),
        ({"value_dim": 2.5}, r"`value_dim` must be .*Received: value_dim=2\.5\."),
        ({"dropout": -0.5}, r"`dropout` must be .*Received: dropout=-0\.5\."),
        ({"implementation": "fast"}, r"`implementation` must be .*implementation='fast'\."),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        AttentionPooling(**arguments)


@pytest.mark.parametrize(
    ("inputs", "mask", "message"),
    [
        (TOKENS[0], None, r"`inputs` must be .*\(5, 6\)"),
        (TOKENS[..., :4], None, r"`inputs` must have 6 channels.*shape=\(2, 5, 4\)"),
        (TOKENS, np.ones((2, 4), bool), r"`mask` must have .*shape=\(2, 4\)"),
        (TOKENS, np.ones((2, 5)), r"`mask` must be boolean .*dtype=float32"),
        (keras.Input((5, None)), None, r"`inputs` must have a known .*\(None, 5, None\)"),
    ],
)
def test_bad_calls(inputs, mask, message):
    layer = AttentionPooling()
    layer(TOKENS)
    with pytest.raises(ValueError, match=message):
        layer(inputs, mask=mask)


def test_chunked_attention_has_no_scores():
    with pytest.raises(ValueError, match='`implementation` must be .*implementation="chunked"'):
        AttentionPooling(implementation="chunked")(TOKENS, return_attention_scores=True)


@pytest.mark.parametrize("heads", [4, 7])
def test_heads_that_do_not_divide(heads):
    with pytest.raises(ValueError, match=rf"`num_heads` must .*num_heads={heads}, .*\(2, 5, 6\)"):
        AttentionPooling(heads)(TOKENS)
