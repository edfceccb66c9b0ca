"""LocalSelfAttention2D beside loops over pixels and beside dense masked attention."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import layers
from tests.conformance.case import weights_by_name
from tests.conformance.twins_local import local_attention

# Height, width, k, heads, strides, scale: maps of one tile and of many, cut off and not, as large
# as the window and much larger, in both directions.
SETTINGS = [
    (3, 3, 3, 1, 1, None),
    (7, 7, 7, 3, 1, None),
    (5, 23, 5, 1, 2, 0.3),
    (11, 10, 3, 3, 3, "sqrt_dim"),
    (16, 15, 7, 1, 2, None),
    (19, 5, 1, 3, 1, None),
    (9, 19, 9, 1, 4, 2),
]


def random_layer(k, heads, values=0, **kwargs):
    layer = layers.LocalSelfAttention2D(
        4 * heads, k, num_heads=heads, **{"dtype": "float64"} | kwargs
    )
    layer.build((1, 31, 31, 5))
    rng = np.random.default_rng(values)
    for weight in layer.weights:
        weight.assign(rng.normal(size=weight.shape))
    return layer


def picture(height, width, seed=1):
    rng = np.random.default_rng(seed)
    mask = (rng.random(size=(2, height, width)) < 0.6).astype("int32")
    return rng.normal(size=(2, height, width, 5)), mask


@pytest.mark.parametrize("implementation", ["dense", "chunked"])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("height", "width", "k", "heads", "strides", "scale"), SETTINGS)
def test_numbers(height, width, k, heads, strides, scale, masked, implementation):
    layer = random_layer(k, heads, strides=strides, scale=scale, implementation=implementation)
    x, mask = picture(height, width)
    mask = mask if masked else None
    factor = {None: 1.0, "sqrt_dim": 0.5}.get(scale, scale)
    weights = weights_by_name(layer)
    expected, scores = local_attention(weights, x, k, heads, factor, strides, mask)
    np.testing.assert_allclose(layer(x, mask=mask), expected, rtol=0, atol=1e-12)
    if implementation == "dense":
        found = layer(x, mask=mask, return_attention_scores=True)
        np.testing.assert_allclose(found[0], expected, rtol=0, atol=1e-12)
        np.testing.assert_allclose(found[1], scores, rtol=0, atol=1e-13)


@pytest.mark.parametrize(("height", "width"), [(2, 2), (1, 6), (6, 3), (8, 9), (17, 25)])
def test_sizes_that_are_only_known_at_run_time(height, width):
    """The same numbers, and no error where the map turns out smaller than the window."""
    layer = random_layer(5, 3, strides=2)
    spec = [tf.TensorSpec((None, None, None, 5), tf.float64), tf.TensorSpec((None,) * 3, tf.int32)]
    graph = tf.function(
        lambda x, mask: layer(x, mask=mask, return_attention_scores=True), input_signature=spec
    )
    x, mask = picture(height, width)
    expected = local_attention(weights_by_name(layer), x, 5, 3, strides=2, mask=mask)
    for found, value in zip(graph(x, mask), expected, strict=True):
        np.testing.assert_allclose(found, value, rtol=0, atol=1e-12)


def dense_reference(layer, x, mask, k, heads):
    """The same attention as one (H·W) × (H·W) matrix with an explicit bias and a mask."""
    _, height, width, _ = x.shape
    length, dim = height * width, layer.filters // heads
    query, key, value = (
        tf.reshape(x @ kernel.value, (-1, length, heads, dim))
        for kernel in (layer.query_kernel, layer.key_kernel, layer.value_kernel)
    )
    rows, columns = np.divmod(np.arange(length), width)
    rows = np.subtract.outer(rows, rows).T + k // 2
    columns = np.subtract.outer(columns, columns).T + k // 2
    near = (rows >= 0) & (rows < k) & (columns >= 0) & (columns < k)
    embeddings = tf.concat(
        [
            tf.gather(layer.row_embeddings.value, np.clip(rows, 0, k - 1)),
            tf.gather(layer.column_embeddings.value, np.clip(columns, 0, k - 1)),
        ],
        -1,
    )
    logits = tf.einsum("bihd,bjhd->bhij", query, key) + tf.einsum(
        "bihd,ijd->bhij", query, embeddings
    )
    allowed = near & (tf.reshape(mask, (-1, 1, 1, length)) > 0)
    weights = tf.nn.softmax(tf.where(allowed, logits, -1e300))
    weights = tf.where(allowed, weights, 0)
    outputs = tf.reshape(tf.einsum("bhij,bjhd->bihd", weights, value), (*x.shape[:3], -1))
    return tf.where(mask[..., tf.newaxis] > 0, outputs, 0)


@pytest.mark.parametrize("implementation", ["dense", "chunked"])
@pytest.mark.parametrize(("height", "width", "k"), [(7, 7, 7), (11, 16, 3), (19, 13, 5)])
def test_gradients(height, width, k, implementation):
    layer = random_layer(k, 3, implementation=implementation)
    x, mask = (tf.constant(array) for array in picture(height, width))
    direction = np.random.default_rng(2).normal(size=(2, height, width, 12))
    variables = [weight.value for weight in layer.weights]
    found = []
    for attend in (lambda: layer(x, mask=mask), lambda: dense_reference(layer, x, mask, k, 3)):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(attend() * direction)
        found.append([tf.convert_to_tensor(g) for g in tape.gradient(loss, [x, *variables])])
    for first, second in zip(*found, strict=True):
        assert np.abs(second).max() > 1e-3
        np.testing.assert_allclose(first, second, rtol=0, atol=1e-8)


def test_without_content_it_averages_the_window():
    """Zero queries: corners of 3 × 3 windows see 4 positions, edges 6, the others 9."""
    layer = layers.LocalSelfAttention2D(2, 3, num_heads=1, dtype="float64")
    layer.build((None, 4, 5, 2))
    layer.query_kernel.assign(np.zeros((2, 2)))
    layer.value_kernel.assign(np.eye(2))
    one = np.zeros((1, 4, 5, 2))
    one[0, 1, 1] = [36, -36]
    outputs = layer(one)[0].numpy()
    assert outputs[..., 0].tolist() == [
        [9, 6, 6, 0, 0], [6, 4, 4, 0, 0], [6, 4, 4, 0, 0], [0, 0, 0, 0, 0],
    ]  # fmt: skip
    np.testing.assert_array_equal(outputs[..., 1], -outputs[..., 0])


def test_a_row_embedding_points_up_and_a_column_embedding_right():
    """Large logits for the row above (a - i = -1) and the column to the right (b - j = 1)."""
    layer = layers.LocalSelfAttention2D(2, 3, num_heads=1)
    layer.build((None, 4, 4, 1))
    up, right = ([[99], [0], [0]], [[0], [0], [99]])
    weights = ([[1, 1]], [[0, 0]], [[1, 1]], up, right)
    layer.set_weights([np.array(weight, "float32") for weight in weights])
    x = np.arange(1, 17).reshape(1, 4, 4, 1)
    _, scores = layer(x, return_attention_scores=True)
    assert scores[0, 2, 1, 0].numpy().round(6).tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 0]]
    assert layer(x)[0, 2, 1].numpy().round(5).tolist() == [7, 7]  # of row 1, column 2


def test_a_window_of_one_is_a_projection():
    layer = random_layer(1, 3)
    x, _ = picture(4, 9)
    np.testing.assert_allclose(layer(x), x @ layer.value_kernel.numpy(), rtol=0, atol=1e-12)


def test_scores_sum_to_one_where_something_is_seen():
    layer = random_layer(5, 3)
    x, mask = picture(12, 13)
    mask[0, :6] = 0
    _, scores = layer(x, mask=mask, return_attention_scores=True)
    assert scores.shape == (2, 12, 13, 3, 5, 5)
    sums = scores.numpy().sum((-2, -1))
    np.testing.assert_allclose(sums, np.repeat(mask[..., None], 3, -1), rtol=0, atol=1e-12)


def test_implicit_mask_in_and_out():
    layer = random_layer(3, 1, strides=2)
    x, mask = picture(5, 6)
    mask[:, 2:4] = 0
    masked = tf.constant(x)
    masked._keras_mask = tf.constant(mask > 0)
    outputs = layer(masked)
    np.testing.assert_array_equal(outputs, layer(x, mask=mask))
    blocks = np.pad(mask, [(0, 0), (0, 1), (0, 0)]).reshape(2, 3, 2, 3, 2).max((2, 4))
    np.testing.assert_array_equal(outputs._keras_mask, blocks > 0)
    assert not outputs[:, 1].numpy().any()


def test_dropout_is_seeded_and_only_in_training():
    x, _ = picture(9, 17)
    runs = []
    for seed, implementation in ((1, "dense"), (1, "chunked"), (2, "dense")):
        layer = random_layer(3, 3, dropout=0.5, seed=seed, implementation=implementation)
        runs.append(layer(x, training=True).numpy())
        np.testing.assert_array_equal(layer(x), layer(x))
    np.testing.assert_allclose(runs[0], runs[1], rtol=0, atol=1e-12)
    assert np.abs(runs[0] - runs[2]).max() > 0.1


def test_a_seed_fixes_the_weights_and_keeps_them_apart():
    first, again, other = (
        layers.LocalSelfAttention2D(8, 3, num_heads=2, seed=seed) for seed in (1, 1, 2)
    )
    for layer in (first, again, other):
        layer.build((None, 4, 4, 8))
    for a, b, c in zip(first.weights, again.weights, other.weights, strict=True):
        np.testing.assert_array_equal(a, b)
        assert (a.numpy() != c.numpy()).any()
    assert (first.row_embeddings.numpy() != first.column_embeddings.numpy()).any()


def test_no_tensor_is_larger_than_the_windows_together():
    """At most four times H·W·k²·heads, where dense attention has (H·W)²·heads: 64 times that."""
    layer = layers.LocalSelfAttention2D(64, 7, num_heads=8, implementation="dense")
    layer.build((1, 56, 56, 64))

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(layer(x) ** 2)
        return tape.gradient(loss, x)

    graph = step.get_concrete_function(tf.TensorSpec((1, 56, 56, 64))).graph
    sizes = [x.shape.num_elements() for op in graph.get_operations() for x in op.outputs]
    assert max(size for size in sizes if size) == 4 * 56 * 56 * 49 * 8


def test_symbolic_shapes():
    layer = layers.LocalSelfAttention2D(6, 3, num_heads=1, strides=2)
    outputs, scores = layer(keras.Input((7, None, 5)), return_attention_scores=True)
    assert outputs.shape == (None, 4, None, 6)
    assert scores.shape == (None, 7, None, 1, 3, 3)
