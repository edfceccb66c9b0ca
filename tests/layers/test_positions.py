"""What is particular to the position layers; the common properties are in conformance/."""

import keras
import keras_hub
import numpy as np
import pytest
import tensorflow as tf

from tatl_keras.layers import (
    PositionEmbedding,
    PositionEmbedding2D,
    RotaryPositions,
    SinePositionEncoding,
    SinePositionEncoding2D,
)

TOKENS = np.zeros((2, 5, 7), "float32")
MAP = np.zeros((2, 3, 5, 8), "float32")
BOTH = pytest.mark.parametrize("start", [4, tf.constant(4), tf.constant(4, "int64")], ids=str)


@BOTH
@pytest.mark.parametrize("channels", [7, 6, 1])
def test_sines_are_those_of_keras_hub(start, channels):
    tokens = np.zeros((2, 11, channels), "float32")
    expected = keras_hub.layers.SinePositionEncoding(30)(tokens, start_index=4)
    found = SinePositionEncoding(30)(tokens, start_index=start)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


@BOTH
def test_embeddings_are_those_of_keras_hub(start):
    ours, theirs = PositionEmbedding(13), keras_hub.layers.PositionEmbedding(13)
    for layer in (ours, theirs):
        layer.build(TOKENS.shape)
    theirs.set_weights(ours.get_weights())
    assert [w.shape for w in ours.weights] == [(13, 7)]
    expected = theirs(TOKENS, start_index=4)
    np.testing.assert_array_equal(ours(TOKENS, start_index=start), expected)
    np.testing.assert_array_equal(ours(TOKENS[0], start_index=start), expected[0])


@BOTH
def test_rotations_are_those_of_keras_hub(rng, start):
    x = rng.normal(size=(2, 11, 6)).astype("float32")
    expected = keras_hub.layers.RotaryEmbedding(30)(x, start_index=4)
    np.testing.assert_allclose(RotaryPositions(30)(x, start_index=start), expected, atol=1e-5)
    heads = keras_hub.layers.RotaryEmbedding(30, sequence_axis=2)(x[:, None])
    np.testing.assert_allclose(RotaryPositions(30)(x[:, None]), heads, atol=1e-5)


def test_rotations_are_those_of_the_paper(rng):
    """Equation 15: blocks of 2 x 2 down the diagonal; and then the order of the channels."""
    x, channels = rng.normal(size=(11, 6)), 6
    order = [0, 2, 4, 1, 3, 5]
    found = RotaryPositions(dtype="float64")(x[:, order])
    for position, row in enumerate(x):
        matrix = np.zeros((channels, channels))
        for i in range(channels // 2):
            angle = position * 10000 ** (-2 * i / channels)
            cosine, sine = np.cos(angle), np.sin(angle)
            matrix[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = [[cosine, -sine], [sine, cosine]]
        np.testing.assert_allclose(found[position], (matrix @ row)[order], rtol=0, atol=1e-12)


def test_rotated_products_depend_on_the_distance_only(rng):
    query, key = rng.normal(size=(2, 1, 8))
    layer = RotaryPositions(dtype="float64")
    queries, keys = (layer(np.repeat(x, 17, axis=0)).numpy() for x in (query, key))
    products = queries @ keys.T
    for distance in range(-16, 17):
        diagonal = np.diagonal(products, distance)
        np.testing.assert_allclose(diagonal, diagonal[0], rtol=0, atol=1e-12)
    assert np.ptp(products[0]) > 0.1
    np.testing.assert_allclose(np.linalg.norm(queries, axis=1), np.linalg.norm(query), rtol=1e-12)


@pytest.mark.parametrize("make", [SinePositionEncoding, RotaryPositions])
def test_angles_are_exact_under_half_precision(make):
    # 2047 and 2049 are not told apart in float16, nor 255 and 257 in bfloat16
    ones = np.ones((1, 4))
    for dtype, tolerance in (("float16", 2e-3), ("mixed_bfloat16", 1e-2)):
        exact = make(dtype="float64")(ones, start_index=2049)
        found = make(dtype=dtype)(ones, start_index=2049)
        assert found.dtype in ("float16", "bfloat16")
        np.testing.assert_allclose(tf.cast(found, "float64"), exact, rtol=0, atol=tolerance)


@pytest.mark.parametrize("make", [SinePositionEncoding, lambda: PositionEmbedding(9)])
def test_decoding_step_by_step_gives_the_same(rng, make):
    layer, tokens = make(), rng.normal(size=(2, 9, 6)).astype("float32")
    whole = layer(tokens)

    @tf.function(input_signature=[tf.TensorSpec((2, 1, 6)), tf.TensorSpec((), "int32")])
    def step(token, index):
        return layer(token, start_index=index)

    for index in range(9):
        one = step(tokens[:, index : index + 1], index)
        np.testing.assert_allclose(one[:, 0], whole[:, index], rtol=0, atol=1e-6)


def test_an_index_may_be_symbolic():
    index, tokens = keras.Input((), batch_size=1, dtype="int32"), keras.Input((None, 6))
    start = keras.ops.squeeze(index, 0)
    layers = [SinePositionEncoding(), PositionEmbedding(9), RotaryPositions()]
    outputs = [layer(tokens, start_index=start) for layer in layers]
    assert all(x.shape == (None, None, 6) for x in outputs)
    arrays = np.ones((1, 3, 6), "float32")
    found = keras.Model([index, tokens], outputs)([np.array([4]), arrays])
    for layer, output in zip(layers, found, strict=True):
        np.testing.assert_allclose(output, layer(arrays, start_index=4), rtol=0, atol=1e-6)


def test_maps_by_hand():
    sines = SinePositionEncoding2D()(np.zeros((1, 2, 3, 8)))[0].numpy()
    row = [np.sin(1), np.cos(1), np.sin(0.01), np.cos(0.01)]
    column = [np.sin(2), np.cos(2), np.sin(0.02), np.cos(0.02)]
    np.testing.assert_allclose(sines[1, 2], [*row, *column], rtol=1e-6)
    np.testing.assert_allclose(sines[0, 0], [0, 1, 0, 1, 0, 1, 0, 1], rtol=1e-6)
    layer = PositionEmbedding2D(3, 5)
    layer.build((None, None, None, 4))
    layer.set_weights([np.arange(6).reshape(3, 2), 10 + np.arange(10).reshape(5, 2)])
    learned = layer(np.zeros((2, 2, 5, 4)))
    assert learned.shape == (2, 2, 5, 4)
    np.testing.assert_array_equal(learned[1, 1, 4], [2, 3, 18, 19])
    np.testing.assert_array_equal(learned[0, 0, 2], [0, 1, 14, 15])


def test_rows_and_columns_start_from_different_numbers():
    initializer = keras.initializers.RandomNormal(seed=1)
    layer = PositionEmbedding2D(3, 3, initializer)
    layer.build((None, 3, 3, 4))
    rows, columns = layer.get_weights()
    assert (rows != columns).any()


def test_map_sizes_may_be_unknown(rng):
    learned = PositionEmbedding2D(7, 5)
    for layer in (learned, SinePositionEncoding2D()):
        graph = tf.function(layer, input_signature=[tf.TensorSpec((None, None, None, 8))])
        for shape in ((2, 3, 5, 8), (1, 7, 2, 8), (0, 1, 1, 8), (1, 0, 3, 8)):
            inputs = np.zeros(shape, "float32")
            np.testing.assert_allclose(graph(inputs), layer(inputs), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "layer", [SinePositionEncoding(), PositionEmbedding(5), RotaryPositions()], ids=repr
)
def test_an_empty_sequence_stays_empty(layer):
    assert layer(np.zeros((2, 0, 6))).shape == (2, 0, 6)


def test_masks_are_passed_on():
    tokens = keras.layers.Embedding(5, 4, mask_zero=True)(np.array([[1, 2, 0]]))
    for layer in (SinePositionEncoding(), PositionEmbedding(3), RotaryPositions()):
        np.testing.assert_array_equal(layer(tokens)._keras_mask, [[True, True, False]])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SinePositionEncoding(0), r"`max_wavelength` must be .*max_wavelength=0\."),
        (lambda: SinePositionEncoding2D("1"), r"`max_wavelength` must be .*wavelength='1'\."),
        (lambda: RotaryPositions(float("inf")), r"`max_wavelength` must be .*wavelength=inf\."),
        (lambda: RotaryPositions(True), r"`max_wavelength` must be .*max_wavelength=True\."),
        (lambda: PositionEmbedding(0), r"`sequence_length` must be .*sequence_length=0\."),
        (lambda: PositionEmbedding(None), r"`sequence_length` must be .*sequence_length=None\."),
        (lambda: PositionEmbedding2D(0, 5), r"`height` must be .*Received: height=0\."),
        (lambda: PositionEmbedding2D(5, 2.5), r"`width` must be .*Received: width=2\.5\."),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("layer", "inputs", "message"),
    [
        (SinePositionEncoding(), MAP, r"`inputs` must be .*shape=\(2, 3, 5, 8\)"),
        (SinePositionEncoding2D(), TOKENS, r"`inputs` must be a map .*shape=\(2, 5, 7\)"),
        (SinePositionEncoding2D(), MAP[..., :6], r"divisible by 4\. .*shape=\(2, 3, 5, 6\)"),
        (PositionEmbedding(4), TOKENS, r"`inputs` must end at position 4 .*\(2, 5, 7\), .*=0\."),
        (PositionEmbedding2D(3, 5), MAP[..., :7], r"divisible by 2\. .*shape=\(2, 3, 5, 7\)"),
        (PositionEmbedding2D(3, 4), MAP, r"`inputs` .*at most 3 x 4 places.*\(2, 3, 5, 8\)"),
        (PositionEmbedding2D(2, 5), MAP, r"`inputs` .*at most 2 x 5 places.*\(2, 3, 5, 8\)"),
        (RotaryPositions(), TOKENS, r"divisible by 2\. .*shape=\(2, 5, 7\)"),
        (RotaryPositions(), keras.Input((5, None)), r"divisible by 2\. .*\(None, 5, None\)"),
        (RotaryPositions(), TOKENS[0, 0, :6], r"`inputs` must have the shape .*shape=\(6,\)"),
    ],
)
def test_bad_inputs(layer, inputs, message):
    with pytest.raises(ValueError, match=message):
        layer(inputs)
    with pytest.raises(ValueError, match=message):
        layer.compute_output_shape(inputs.shape)


def test_other_channels_than_built_for():
    layer = PositionEmbedding(5)
    layer(TOKENS)
    with pytest.raises(ValueError, match=r"`inputs` must have 7 channels.*shape=\(2, 5, 3\)"):
        layer(TOKENS[..., :3])
    layer = PositionEmbedding2D(3, 5)
    layer(MAP)
    with pytest.raises(ValueError, match=r"`inputs` must have 8 channels.*shape=\(2, 3, 5, 4\)"):
        layer(MAP[..., :4])


@pytest.mark.parametrize("make", [SinePositionEncoding, lambda: PositionEmbedding(9)])
@pytest.mark.parametrize("start", [-1, 1.5, True, np.array([1]), np.array(1.0), None])
def test_bad_start_index(make, start):
    with pytest.raises(ValueError, match="`start_index` must be .*Received: start_index="):
        make()(TOKENS, start_index=start)


def test_the_end_is_checked_where_it_is_known():
    layer = PositionEmbedding(9)
    assert layer(TOKENS, start_index=4).shape == TOKENS.shape
    with pytest.raises(ValueError, match=r"`inputs` must end at position 9 .*start_index=5\."):
        layer(TOKENS, start_index=5)
