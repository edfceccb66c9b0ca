"""What is particular to Attention and SelfAttention; the common properties are in conformance/."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tatl_keras.layers import Attention, SelfAttention


def with_kernels(layer, *inputs, **kernels):
    """The layer, built for the inputs, with the given weights."""
    layer(*inputs)
    for name, value in kernels.items():
        getattr(layer, name).assign(value)
    return layer


def test_attention_by_hand():
    # K = X, V = 10 X, E = [[ln 3, 0]]: weights 3/4 and 1/4.
    query = np.array([[[np.log(3.0)]]])
    value = np.array([[[1.0], [0.0]]])
    layer = with_kernels(Attention(), query, value, key_kernel=[[1.0]], value_kernel=[[10.0]])
    outputs, scores = layer(query, value, return_attention_scores=True)
    np.testing.assert_allclose(scores, [[[0.75, 0.25]]], rtol=1e-6)
    np.testing.assert_allclose(outputs, [[[7.5]]], rtol=1e-6)


def test_scores_are_divided_by_the_root_of_the_query_dimension():
    # Dq = 4, so E = 2 ln 3 / sqrt(4) = ln 3 for the first position and 0 for the second.
    query = np.array([[[2 * np.log(3.0), 0, 0, 0]]])
    value = np.array([[[1.0, 0], [0, 1.0]]])
    key_kernel = [[1.0, 0, 0, 0], [0, 1.0, 0, 0]]
    layer = with_kernels(Attention(2), query, value, key_kernel=key_kernel)
    scores = layer(query, value, return_attention_scores=True)[1]
    np.testing.assert_allclose(scores, [[[0.75, 0.25]]], rtol=1e-6)


def test_self_attention_by_hand():
    # Q = X W_Q = (0, ln 3), K = X = (0, 1): the second row weighs 1 against 3.
    inputs = np.array([[[0.0], [1.0]]])
    layer = with_kernels(
        SelfAttention(1),
        inputs,
        query_kernel=[[np.log(3.0)]],
        key_kernel=[[1.0]],
        value_kernel=[[8.0]],
    )
    outputs, scores = layer(inputs, return_attention_scores=True)
    np.testing.assert_allclose(scores, [[[0.5, 0.5], [0.25, 0.75]]], rtol=1e-6)
    np.testing.assert_allclose(outputs, [[[4.0], [6.0]]], rtol=1e-6)


def test_weights_and_their_order():
    attention = Attention(5)
    attention.build((None, None, 3), (None, None, 2))
    assert [w.name for w in attention.weights] == ["key_kernel", "value_kernel"]
    assert [w.shape for w in attention.get_weights()] == [(2, 3), (2, 5)]
    self_attention = SelfAttention(3, 5)
    self_attention.build((None, None, 2))
    names = [w.name for w in self_attention.weights]
    assert names == ["query_kernel", "key_kernel", "value_kernel"]
    assert [w.shape for w in self_attention.get_weights()] == [(2, 3), (2, 3), (2, 5)]


def test_value_dim_defaults_to_the_query_dimension(rng):
    assert Attention()(rng.normal(size=(2, 3, 7)), rng.normal(size=(2, 5, 11))).shape == (2, 3, 7)
    assert SelfAttention(7)(rng.normal(size=(2, 3, 11))).shape == (2, 3, 7)


def test_unbatched_inputs_equal_a_batch_of_one(rng):
    query, value = rng.normal(size=(3, 7)), rng.normal(size=(5, 11))
    mask = np.array([1, 0, 1, 1, 0])
    layer = Attention(2)
    outputs, scores = layer(query, value, value_mask=mask, return_attention_scores=True)
    assert outputs.shape == (3, 2) and scores.shape == (3, 5)
    batched = layer(query[None], value[None], value_mask=mask[None])
    np.testing.assert_allclose(outputs, batched[0], rtol=1e-5)
    layer = SelfAttention(2, 3)
    outputs = layer(value, padding_mask=mask, use_causal_mask=True)
    assert outputs.shape == (5, 3)
    batched = layer(value[None], padding_mask=mask[None], use_causal_mask=True)
    np.testing.assert_allclose(outputs, batched[0], rtol=1e-5)
    assert layer.compute_output_shape((None, 11)) == (None, 3)


def test_rows_of_scores_sum_to_one_or_zero(rng):
    mask = np.array([[1, 1, 0, 1, 0], [0, 0, 0, 0, 0]])
    query, value = rng.normal(size=(2, 3, 7)), rng.normal(size=(2, 5, 11))
    scores = Attention()(query, value, value_mask=mask, return_attention_scores=True)[1].numpy()
    np.testing.assert_allclose(scores.sum(-1), [[1, 1, 1], [0, 0, 0]], atol=1e-6)
    assert not scores[:, :, [2, 4]].any()


def test_causal_positions_see_no_future(rng):
    inputs = rng.normal(size=(2, 5, 7))
    layer = SelfAttention(3)
    before, scores = layer(inputs, use_causal_mask=True, return_attention_scores=True)
    assert not np.triu(scores.numpy(), 1).any()
    inputs[:, 3:] = 100.0
    after = layer(inputs, use_causal_mask=True)
    np.testing.assert_array_equal(before[:, :3], after[:, :3])


def test_left_padding_under_a_causal_mask_gives_zeros(rng):
    mask = np.array([[0, 0, 1, 1, 1]])
    layer = SelfAttention(3)
    outputs, scores = layer(
        rng.normal(size=(1, 5, 7)),
        padding_mask=mask,
        use_causal_mask=True,
        return_attention_scores=True,
    )
    assert not outputs[:, :2].numpy().any() and not scores[:, :2].numpy().any()
    np.testing.assert_allclose(scores[0].numpy().sum(-1), [0, 0, 1, 1, 1], atol=1e-6)


def test_empty_sequences(rng):
    layer = Attention(2)
    query, value = rng.normal(size=(2, 3, 7)), rng.normal(size=(2, 5, 11))
    layer(query, value)
    for mask in (None, np.zeros((2, 0), bool)):
        outputs = layer(query, value[:, :0], value_mask=mask)
        assert outputs.shape == (2, 3, 2) and not outputs.numpy().any()
    assert layer(query[:, :0], value).shape == (2, 0, 2)
    assert SelfAttention(2)(value[:, :0], use_causal_mask=True).shape == (2, 0, 2)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_masked_values_may_even_be_infinite(rng, bad):
    query, value = rng.normal(size=(2, 3, 7)), rng.normal(size=(2, 5, 11))
    mask = np.array([[1, 1, 0, 1, 0], [0, 0, 0, 0, 0]])
    layer = Attention()
    expected = layer(query, value, value_mask=mask)
    value = tf.constant(np.where(mask[:, :, None] > 0, value, bad))
    with tf.GradientTape() as tape:
        tape.watch(value)
        outputs = layer(query, value, value_mask=mask)
    np.testing.assert_array_equal(outputs, expected)
    gradients = tape.gradient(outputs, [value, *[w.value for w in layer.weights]])
    assert all(np.isfinite(g).all() for g in gradients)


def embedded(ids=((1, 2, 0), (0, 0, 0))):
    """Tokens that carry an implicit mask, and that mask."""
    tokens = keras.layers.Embedding(5, 4, mask_zero=True)(np.array(ids))
    return tokens, np.array(ids) != 0


def test_implicit_masks_are_used(rng):
    tokens, mask = embedded()
    query = rng.normal(size=(2, 5, 3))
    layer = Attention()
    scores = layer(query, tokens, return_attention_scores=True)[1].numpy()
    np.testing.assert_array_equal(scores > 0, np.broadcast_to(mask[:, None], scores.shape))
    scores = SelfAttention(3)(tokens, return_attention_scores=True)[1].numpy()
    np.testing.assert_array_equal(scores > 0, np.broadcast_to(mask[:, None], scores.shape))


def test_an_explicit_mask_replaces_the_implicit_one(rng):
    tokens, _ = embedded()
    mask = np.array([[0, 1, 1], [1, 0, 1]])
    scores = Attention()(
        rng.normal(size=(2, 5, 3)), tokens, value_mask=mask, return_attention_scores=True
    )[1].numpy()
    np.testing.assert_array_equal(scores > 0, np.broadcast_to(mask[:, None] > 0, scores.shape))
    scores = SelfAttention(3)(tokens, padding_mask=mask, return_attention_scores=True)[1].numpy()
    np.testing.assert_array_equal(scores > 0, np.broadcast_to(mask[:, None] > 0, scores.shape))


def test_the_query_mask_changes_nothing_and_is_passed_on(rng):
    tokens, mask = embedded()
    value = rng.normal(size=(2, 5, 3))
    layer = Attention()
    outputs = layer(tokens, value)
    np.testing.assert_array_equal(outputs, layer(tokens.numpy(), value))
    np.testing.assert_array_equal(outputs._keras_mask, mask)
    np.testing.assert_array_equal(SelfAttention(3)(tokens)._keras_mask, mask)


def test_implicit_masks_in_a_functional_model():
    ids = keras.Input((None,), dtype="int32")
    tokens = keras.layers.Embedding(5, 4, mask_zero=True)(ids)
    attended = SelfAttention(3)(tokens)
    pooled = keras.layers.GlobalAveragePooling1D()(attended)
    model = keras.Model(ids, pooled)
    np.testing.assert_allclose(
        model(np.array([[1, 2, 0, 0]])), model(np.array([[1, 2]])), rtol=1e-5, atol=1e-6
    )


def test_masks_as_inputs_of_a_functional_model(rng, tmp_path):
    query, value = keras.Input((None, 3)), keras.Input((None, 5))
    mask = keras.Input((None,), dtype="int32")
    outputs, scores = Attention(2)(query, value, value_mask=mask, return_attention_scores=True)
    assert outputs.shape == (None, None, 2) and scores.shape == (None, None, None)
    model = keras.Model([query, value, mask], [outputs, scores])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    arrays = [rng.normal(size=(2, 7, 3)), rng.normal(size=(2, 4, 5)), np.ones((2, 4), "int32")]
    for first, second in zip(loaded(arrays), model(arrays), strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("seed", [3, None])
def test_one_initializer_object_gives_different_kernels(seed):
    initializer = keras.initializers.RandomNormal(seed=seed)
    attention = Attention(3, kernel_initializer=initializer)
    attention.build((None, None, 3), (None, None, 3))
    self_attention = SelfAttention(3, kernel_initializer=initializer)
    self_attention.build((None, None, 3))
    for layer in (attention, self_attention):
        kernels = layer.get_weights()
        for i, kernel in enumerate(kernels):
            assert all((kernel != other).any() for other in kernels[:i])


def test_regularizers_and_constraints_reach_every_kernel(rng):
    layer = SelfAttention(
        3, kernel_regularizer=keras.regularizers.L2(0.5), kernel_constraint="non_neg"
    )
    layer(rng.normal(size=(2, 5, 7)))
    expected = sum(0.5 * np.square(w).sum() for w in layer.get_weights())
    np.testing.assert_allclose(sum(layer.losses), expected, rtol=1e-5)
    assert all(w.constraint is layer.kernel_constraint for w in layer.weights)
    copy = SelfAttention.from_config(layer.get_config())
    assert isinstance(copy.kernel_regularizer, keras.regularizers.L2)
    assert isinstance(copy.kernel_constraint, keras.constraints.NonNeg)


@pytest.mark.parametrize(
    ("dtype", "softmax"),
    [("mixed_bfloat16", "float32"), ("float16", "float32"), ("float64", "float64")],
)
def test_the_softmax_runs_in_float32_at_least(rng, dtype, softmax):
    keras.config.set_dtype_policy(dtype)
    layer = SelfAttention(3)
    inputs, mask = tf.constant(rng.normal(size=(2, 211, 7))), tf.ones((2, 211), tf.int32)

    @tf.function
    def graph(inputs, mask):
        return layer(inputs, padding_mask=mask, return_attention_scores=True)

    outputs, scores = graph(inputs, mask)
    operations = graph.get_concrete_function(inputs, mask).graph.get_operations()
    types = {op.get_attr("T").name for op in operations if op.type == "Softmax"}
    assert types == {softmax}
    assert outputs.dtype == layer.compute_dtype and scores.dtype.name == softmax
    # 211 weights rounded to 8 bits would not sum to 1 so well
    np.testing.assert_allclose(scores.numpy().sum(-1), 1, atol=1e-6)


@pytest.mark.parametrize("layer_class", [Attention, SelfAttention])
def test_executions_drop_the_same(rng, layer_class):
    x = rng.normal(size=(2, 11, 5)).astype("float32")
    call = [x, x] if layer_class is Attention else [x]
    first, found = {"value_dim": 3} if layer_class is Attention else {"key_dim": 3}, []
    for implementation in ("dense", "chunked"):
        layer = layer_class(**first, dropout=0.4, seed=7, implementation=implementation)
        layer.build(*(y.shape for y in call))
        kernels = np.random.default_rng(1)
        for weight in layer.trainable_weights:
            weight.assign(kernels.normal(size=weight.shape))
        found.append([layer(*call), layer(*call, training=True), layer(*call, training=True)])
    for dense, tiled in zip(*found, strict=True):
        np.testing.assert_allclose(tiled, dense, atol=1e-6)
    plain, dropped, again = found[0]
    assert np.abs(plain - dropped).max() > 0.01 and np.abs(dropped - again).max() > 0.01


@pytest.mark.parametrize("layer_class", [Attention, SelfAttention])
def test_chunked_says_why_there_are_no_scores(rng, layer_class):
    x = rng.normal(size=(2, 11, 5)).astype("float32")
    inputs = [x, x] if layer_class is Attention else [x]
    layer = layer_class(3, implementation="chunked")
    for call in (inputs, [keras.Input((11, 5)) for _ in inputs]):
        with pytest.raises(ValueError, match='implementation="chunked", return_attention_scores=T'):
            layer(*call, return_attention_scores=True)
    with pytest.raises(ValueError, match="Received: implementation='fast'"):
        layer_class(3, implementation="fast")
    with pytest.raises(ValueError, match=r"Received: dropout=1\.0"):
        layer_class(3, dropout=1.0)
