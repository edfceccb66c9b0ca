"""What is particular to MultiHeadAttention; the common properties are in conformance/."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tatl_keras.layers import MultiHeadAttention, RotaryPositions


def close(first, second, tolerance=1e-6):
    np.testing.assert_allclose(first, second, rtol=0, atol=tolerance)


def test_two_heads_by_hand():
    # Head 0 asks for channel 0, head 1 for channel 1, both with E = ln 3 or 0: weights 3/4 and 1/4
    # in opposite order. Values are 8 and 0 in both heads, the output kernel adds 1 and 10 times.
    query = np.array([[[1.0, 1.0]]])
    value = np.eye(2)[None]
    layer = MultiHeadAttention(num_heads=2, key_dim=1, output_shape=1)
    layer.build(query.shape, value.shape)
    layer.query_kernel.assign([[[1.0], [0]], [[0], [1.0]]])
    layer.key_kernel.assign(np.log(3.0) * np.eye(2)[:, :, None])
    layer.value_kernel.assign([[[8.0], [8.0]], [[0], [0]]])
    layer.output_kernel.assign([[[1.0]], [[10.0]]])
    outputs, scores = layer(query, value, return_attention_scores=True)
    close(scores, [[[[0.75, 0.25]], [[0.25, 0.75]]]])
    close(outputs, [[[0.75 * 8 + 0.25 * 80]]])


def test_weights_and_their_order():
    layer = MultiHeadAttention(3, 5, 7, use_bias=True, output_shape=11)
    layer.build((None, None, 2), (None, None, 13), (None, None, 17))
    shapes = {weight.name: weight.shape for weight in layer.weights}
    assert shapes == {
        "query_kernel": (2, 3, 5),
        "key_kernel": (17, 3, 5),
        "value_kernel": (13, 3, 7),
        "output_kernel": (3, 7, 11),
        "query_bias": (3, 5),
        "key_bias": (3, 5),
        "value_bias": (3, 7),
        "output_bias": (11,),
    }
    bare = MultiHeadAttention(3, 5, use_output_projection=False)
    bare.build((None, None, 2), (None, None, 2))
    assert [w.name for w in bare.weights] == ["query_kernel", "key_kernel", "value_kernel"]
    assert bare.compute_output_shape((None, 4, 2), (None, 9, 2)) == (None, 4, 15)


@pytest.mark.parametrize("implementation", ["dense", "chunked"])
def test_any_form_of_attention_mask(rng, implementation):
    query, value = rng.normal(size=(2, 5, 7)), rng.normal(size=(2, 11, 7))
    layer = MultiHeadAttention(3, 2, implementation=implementation)
    whole = rng.random((2, 3, 5, 11)) > 0.5
    for mask, same in (
        (whole[0, 0], np.broadcast_to(whole[0, 0], whole.shape)),
        (whole[:, 1], np.broadcast_to(whole[:, 1:2], whole.shape)),
        (whole[:, :1, :1], np.broadcast_to(whole[:, :1, :1], whole.shape)),
        (whole[:1, :, :1].astype("int32"), np.broadcast_to(whole[:1, :, :1], whole.shape)),
        (whole, whole),
    ):
        outputs = layer(query, value, attention_mask=mask)
        q, k, v = (
            np.einsum("btd,dhk->bhtk", x, w.numpy())
            for x, w in zip((query, value, value), layer.weights, strict=False)
        )
        powers = np.where(same, np.exp(q @ k.swapaxes(2, 3) / np.sqrt(2)), 0)
        total = powers.sum(-1, keepdims=True)
        attended = np.where(total > 0, powers / np.where(total > 0, total, 1), 0) @ v
        close(outputs, np.einsum("bhtv,hvo->bto", attended, layer.output_kernel.numpy()), 1e-5)


@pytest.mark.parametrize(
    "names", [["value_mask"], ["key_mask"], ["value_mask", "key_mask"]], ids=str
)
def test_masks_are_combined(rng, names):
    query, value, key = (rng.normal(size=(2, n, 7)) for n in (5, 11, 11))
    masks = {name: rng.random((2, 11)) > 0.3 for name in names}
    sees = rng.random((2, 5, 11)) > 0.3
    scores = MultiHeadAttention(3, 2)(
        query,
        value,
        key=key,
        attention_mask=sees,
        use_causal_mask=True,
        return_attention_scores=True,
        **masks,
    )[1].numpy()
    allowed = sees & np.all(list(masks.values()), axis=0)[:, None]
    allowed &= np.arange(11) <= np.arange(5)[:, None]
    np.testing.assert_array_equal(scores > 0, np.broadcast_to(allowed[:, None], scores.shape))


def test_implicit_masks(rng):
    ids = np.array([[1, 2, 0], [3, 0, 0]])
    tokens = keras.layers.Embedding(5, 4, mask_zero=True)(ids)
    layer = MultiHeadAttention(3, 2)
    outputs, scores = layer(tokens, tokens, return_attention_scores=True)
    mask = ids > 0
    places = mask[:, None, :, None] & mask[:, None, None, :]
    np.testing.assert_array_equal(scores.numpy() > 0, np.broadcast_to(places, scores.shape))
    np.testing.assert_array_equal(outputs._keras_mask, mask)
    assert not outputs.numpy()[~mask].any()
    query = rng.normal(size=(2, 5, 6))
    other = np.array([[0, 1, 1], [1, 0, 1]])
    scores = MultiHeadAttention(3, 2)(
        query, tokens, value_mask=other, return_attention_scores=True
    )[1].numpy()
    np.testing.assert_array_equal(scores > 0, np.broadcast_to(other[:, None, None], scores.shape))


def test_a_query_mask_changes_no_other_row(rng):
    query, value = rng.normal(size=(2, 5, 7)), rng.normal(size=(2, 11, 13))
    layer = MultiHeadAttention(3, 2, use_bias=True)
    before = layer(query, value)
    layer.output_bias.assign(np.arange(7.0))
    mask = np.array([[1, 0, 1, 1, 0], [0, 1, 1, 1, 1]])
    after = layer(query, value, query_mask=mask).numpy()
    close(after[mask > 0], before.numpy()[mask > 0] + np.arange(7.0))
    np.testing.assert_array_equal(after[mask == 0], np.tile(np.arange(7.0), (3, 1)))


def test_executions_agree(rng):
    query, value = rng.normal(size=(2, 37, 7)), rng.normal(size=(2, 41, 7))
    mask = rng.random((2, 41)) > 0.3
    results = {}
    for implementation in ("dense", "chunked", "auto"):
        layer = MultiHeadAttention(3, 5, implementation=implementation, seed=1)
        x = tf.constant(query, tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(x, value, value_mask=mask, use_causal_mask=True)
            loss = tf.reduce_sum(tf.sin(outputs))
        results[implementation] = [outputs, *tape.gradient(loss, [x, *layer.trainable_variables])]
    for other in ("chunked", "auto"):
        for a, b in zip(results["dense"], results[other], strict=True):
            close(a, b, 2e-6)


def test_dropout_only_in_training_and_by_seed(rng):
    query, value = rng.normal(size=(2, 5, 7)), rng.normal(size=(2, 11, 7))
    layers = [MultiHeadAttention(3, 2, dropout=0.4, seed=seed) for seed in (1, 1, 2)]
    expected = MultiHeadAttention(3, 2, seed=1)(query, value).numpy()
    close(layers[0](query, value), expected, 0)
    first, again, other = (layer(query, value, training=True).numpy() for layer in layers)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any() and (first != expected).any()
    assert (layers[0](query, value, training=True).numpy() != first).any()
    draws = [layers[0](query, value, training=True).numpy() for _ in range(400)]
    close(np.mean(draws, 0), expected, 0.1)


def test_kernels_start_as_in_keras():
    layer = MultiHeadAttention(3, 64, 32, seed=1)
    layer.build((None, None, 64), (None, None, 16))
    kernels = [kernel.numpy() for kernel in layer.weights]
    reference = keras.layers.MultiHeadAttention(3, 64, 32, use_bias=False)
    reference.build((None, None, 64), (None, None, 16))
    for ours, theirs in zip(kernels, reference.get_weights(), strict=True):
        assert ours.shape == theirs.shape
        # uniform between the same bounds: 1,536 draws and more come within 1 % of them
        np.testing.assert_allclose(np.abs(ours).max(), np.abs(theirs).max(), rtol=0.01)
        np.testing.assert_allclose(ours.std(), theirs.std(), rtol=0.03)


@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize("arguments", [{}, {"seed": 5}], ids=str)
def test_kernels_differ_from_each_other(seed, arguments):
    initializer = keras.initializers.GlorotUniform(seed=seed)
    layer = MultiHeadAttention(3, 2, 2, kernel_initializer=initializer, **arguments)
    layer.build((None, None, 6), (None, None, 6))
    kernels = [kernel.numpy() for kernel in layer.weights]
    assert all((a != b).any() for i, a in enumerate(kernels[:3]) for b in kernels[:i])


def test_regularizers_and_constraints():
    layer = MultiHeadAttention(
        3,
        2,
        use_bias=True,
        bias_initializer="ones",
        kernel_regularizer=keras.regularizers.L2(0.5),
        bias_regularizer=keras.regularizers.L1(0.25),
        kernel_constraint="non_neg",
        bias_constraint="unit_norm",
    )
    layer.build((None, None, 7), (None, None, 7))
    kernels, biases = layer.get_weights()[:4], layer.get_weights()[4:]
    expected = 0.5 * sum(np.square(w).sum() for w in kernels) + 0.25 * sum(b.size for b in biases)
    np.testing.assert_allclose(sum(layer.losses), expected, rtol=1e-5)
    assert all(w.constraint is layer.kernel_constraint for w in layer.weights[:4])
    assert all(w.constraint is layer.bias_constraint for w in layer.weights[4:])
    copy = MultiHeadAttention.from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    assert isinstance(copy.bias_regularizer, keras.regularizers.L1)


def test_position_is_applied_to_each_head_and_saved(rng, tmp_path):
    x = rng.normal(size=(2, 5, 7))
    layer = MultiHeadAttention(3, 4, position=RotaryPositions(max_wavelength=100))
    plain = MultiHeadAttention(3, 4)
    layer(x, x), plain(x, x)
    plain.set_weights(layer.get_weights())
    scores = layer(x, x, return_attention_scores=True)[1]
    assert (np.abs(scores - plain(x, x, return_attention_scores=True)[1]) > 1e-3).any()
    rotate = RotaryPositions(max_wavelength=100)
    q, k = (
        rotate(np.einsum("btd,dhk->bhtk", x, w.numpy()).astype("float32"))
        for w in layer.weights[:2]
    )
    close(scores, tf.nn.softmax(q @ tf.linalg.matrix_transpose(k) / 2), 1e-5)
    inputs = keras.Input((None, 7))
    model = keras.Model(inputs, layer(inputs, inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), model(x))
    assert loaded.layers[-1].position.max_wavelength == 100
