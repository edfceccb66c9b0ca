"""AttentionStem beside loops over pixels, and on blocks worked out by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import layers
from tests.conformance.case import weights_by_name
from tests.conformance.twins_local import attention_stem


def random_layer(filters=6, k=4, **kwargs):
    layer = layers.AttentionStem(filters, k, dtype="float64", **{"num_heads": 2} | kwargs)
    layer.build((None, None, None, 3))
    rng = np.random.default_rng(0)
    for weight in layer.weights:
        weight.assign(rng.normal(size=weight.shape))
    return layer


def picture(height, width):
    rng = np.random.default_rng(1)
    mask = (rng.random(size=(2, height, width)) < 0.6).astype("int32")
    return rng.normal(size=(2, height, width, 3)), mask


@pytest.mark.parametrize("implementation", ["dense", "chunked"])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("height", "width", "k"), [(8, 12, 4), (5, 7, 3), (2, 3, 4), (3, 5, 1)])
def test_numbers(height, width, k, masked, implementation):
    layer = random_layer(k=k, num_mixtures=3, implementation=implementation)
    x, mask = picture(height, width)
    mask = mask if masked else None
    expected, scores = attention_stem(weights_by_name(layer), x, k, 2, mask)
    np.testing.assert_allclose(layer(x, mask=mask), expected, rtol=0, atol=1e-12)
    if implementation == "dense":
        _, found = layer(x, mask=mask, return_attention_scores=True)
        np.testing.assert_allclose(found, scores, rtol=0, atol=1e-13)


def test_gradients_in_blocks_are_those_of_one_dense_softmax():
    layer, (x, _) = random_layer(k=2), picture(4, 6)
    x, variables = tf.constant(x), [weight.value for weight in layer.weights]

    def reference():
        row, column, mixture = (weight.value for weight in layer.weights[-3:])
        shares = tf.nn.softmax((row[:, None] + column) @ tf.transpose(mixture))
        shares = tf.tile(shares, (2, 3, 1))
        values = [x @ kernel.value for kernel in layer.value_kernels]
        values = sum(v * shares[..., m, None] for m, v in enumerate(values))
        query, key, value = (
            tf.reshape(y, (2, 24, 2, 3))
            for y in (x @ layer.query_kernel.value, x @ layer.key_kernel.value, values)
        )
        block = np.divmod(np.arange(24), 6)[0] // 2 * 3 + np.arange(24) % 6 // 2
        logits = tf.einsum("bihd,bjhd->bhij", query, key)
        weights = tf.nn.softmax(tf.where(block[:, None] == block, logits, -1e300))
        return tf.reshape(tf.einsum("bhij,bjhd->bihd", weights, value), (2, 4, 6, 6))

    direction = np.random.default_rng(2).normal(size=(2, 4, 6, 6))
    found = []
    for attend in (lambda: layer(x), reference):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(attend() * direction)
        found.append([tf.convert_to_tensor(g) for g in tape.gradient(loss, [x, *variables])])
    for first, second in zip(*found, strict=True):
        assert np.abs(second).max() > 1e-3
        np.testing.assert_allclose(first, second, rtol=0, atol=1e-8)


def test_values_by_place():
    """Without content the output is the mean of the block's values, mixed by their place."""
    layer = layers.AttentionStem(1, 2, num_heads=1, num_mixtures=2, dtype="float64")
    layer.build((None, 2, 2, 1))
    zero, large = np.zeros((1, 1)), 99.0
    row, column = np.array([[-1.0], [1.0]]) * large, np.zeros((2, 1))
    mixture = np.array([[-1.0], [1.0]])  # the first in the upper row, the second in the lower
    layer.set_weights([zero, zero, [[1.0]] * np.ones((1, 1)), 10 * np.ones((1, 1)), row, column,
                       mixture])  # fmt: skip
    outputs = layer(np.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 2, 2, 1))
    np.testing.assert_allclose(outputs, np.full((1, 2, 2, 1), (1 + 2 + 30 + 40) / 4), rtol=1e-12)


def test_blocks_do_not_see_each_other():
    layer, (x, _) = random_layer(), picture(8, 8)
    changed = x.copy()
    changed[:, 4:, :4] += 1
    moved = np.abs(layer(changed) - layer(x)).max((0, 3)) > 0
    expected = np.zeros((8, 8), bool)
    expected[4:, :4] = True
    np.testing.assert_array_equal(moved, expected)


def test_a_seed_fixes_the_weights_and_keeps_them_apart():
    first, again, other = (layers.AttentionStem(8, seed=seed) for seed in (1, 1, 2))
    for layer in (first, again, other):
        layer.build((None, 4, 4, 3))
    for a, b, c in zip(first.weights, again.weights, other.weights, strict=True):
        np.testing.assert_array_equal(a, b)
        assert (a.numpy() != c.numpy()).any()
    names = [weight.name for weight in first.weights]
    assert names[2:6] == [f"value_kernel_{m}" for m in range(4)]
    assert len({weight.numpy().tobytes() for weight in first.weights}) == len(names)


def test_symbolic_shapes():
    outputs, scores = layers.AttentionStem(8)(
        keras.Input((7, None, 3)), return_attention_scores=True
    )
    assert outputs.shape == (None, 7, None, 8)
    assert scores.shape == (None, 7, None, 4, 4, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filters": 0}, r"`filters` must be an integer of at least 1. Received: filters=0"),
        ({"filters": 9}, r"multiple of `num_heads`.*filters=9, num_heads=2"),
        ({"kernel_size": 0}, r"`kernel_size` must be an integer.*kernel_size=0"),
        ({"num_mixtures": 1.5}, r"`num_mixtures` must be an integer.*num_mixtures=1.5"),
        ({"embedding_dim": 0}, r"`embedding_dim` must be an integer.*embedding_dim=0"),
        ({"implementation": "fast"}, r"`implementation` must be one of.*implementation='fast'"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        layers.AttentionStem(**{"filters": 8, "num_heads": 2} | arguments)


def test_bad_inputs():
    layer = random_layer()
    with pytest.raises(ValueError, match=r"map of shape \(B, H, W, C\).*inputs.shape=\(2, 9, 3\)"):
        layer(np.ones((2, 9, 3)))
    with pytest.raises(ValueError, match=r"3 channels.*inputs.shape=\(1, 4, 4, 5\)"):
        layer(np.ones((1, 4, 4, 5)))
    with pytest.raises(ValueError, match=r"`mask` must have shape \(1, 4, 4\).*\(1, 4, 5\)"):
        layer(np.ones((1, 4, 4, 3)), mask=np.ones((1, 4, 5), bool))
