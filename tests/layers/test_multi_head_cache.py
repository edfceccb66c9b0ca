"""Decoding with caches equals the full causal pass."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tatl_keras.layers import MultiHeadAttention, RotaryPositions

LENGTH = 7


def make(position=None, **arguments):
    return MultiHeadAttention(3, 4, use_bias=True, position=position, seed=1, **arguments)


def close(first, second, tolerance=1e-6):
    np.testing.assert_allclose(first, second, rtol=0, atol=tolerance)


def sequence(rng):
    return rng.normal(size=(2, LENGTH, 5)).astype("float32")


def step_by_step(layer, x, steps):
    """Outputs of consecutive parts of x, and the last cache."""
    cache, start, outputs = np.zeros((2, 2, LENGTH, 3, 4), "float32"), 0, []
    for size in steps:
        part = x[:, start : start + size]
        y, cache = layer(part, part, use_causal_mask=True, cache=cache, cache_update_index=start)
        outputs.append(y)
        start += size
    return np.concatenate(outputs, 1), cache


@pytest.mark.parametrize("position", [None, RotaryPositions()], ids=["plain", "rotary"])
@pytest.mark.parametrize("steps", [[1] * 7, [7], [3, 1, 1, 2], [4, 3]], ids=str)
@pytest.mark.parametrize("implementation", ["dense", "chunked"])
def test_steps_equal_the_whole(rng, position, steps, implementation):
    x = sequence(rng)
    layer = make(position, implementation=implementation)
    whole = layer(x, x, use_causal_mask=True)
    outputs, cache = step_by_step(layer, x, steps)
    close(outputs, whole)
    close(cache[:, 1], np.einsum("btd,dhk->bthk", x, layer.value_kernel.numpy()))


@pytest.mark.parametrize("position", [None, RotaryPositions()], ids=["plain", "rotary"])
def test_steps_in_a_graph_loop(rng, position):
    x = sequence(rng)
    layer = make(position)
    whole = layer(x, x, use_causal_mask=True)

    @tf.function(input_signature=[tf.TensorSpec((None, None, 5))])
    def decode(x):
        length = tf.shape(x)[1]
        cache = tf.zeros((tf.shape(x)[0], 2, length, 3, 4))
        outputs = tf.TensorArray(tf.float32, length)

        def step(index, cache, outputs):
            part = x[:, index : index + 1]
            y, cache = layer(
                part, part, use_causal_mask=True, cache=cache, cache_update_index=index
            )
            return index + 1, cache, outputs.write(index, y[:, 0])

        shapes = (tf.TensorShape([]), tf.TensorShape([None, 2, None, 3, 4]), tf.TensorShape(None))
        _, _, outputs = tf.while_loop(
            lambda index, *_: index < length, step, (0, cache, outputs), shape_invariants=shapes
        )
        return tf.transpose(outputs.stack(), (1, 0, 2))

    close(decode(x), whole)
    types = {op.type for op in decode.get_concrete_function().graph.get_operations()}
    assert not any(name.startswith("Xla") for name in types)


def test_steps_with_keras_while_loop_and_64_bit_index(rng):
    x = sequence(rng)
    layer = make()
    whole = layer(x, x, use_causal_mask=True)

    def step(index, cache, total):
        part = tf.slice(x, [0, index, 0], [2, 1, 5])
        y, cache = layer(part, part, use_causal_mask=True, cache=cache, cache_update_index=index)
        return index + 1, cache, total + y[:, 0]

    start = (tf.constant(0, tf.int64), tf.zeros((2, 2, LENGTH, 3, 4)), tf.zeros((2, 5)))
    _, _, total = keras.ops.while_loop(lambda index, *_: index < LENGTH, step, start)
    close(total, tf.reduce_sum(whole, 1), 1e-5)


def test_left_padding_is_masked_in_the_cache(rng):
    x = sequence(rng)
    mask = np.array([[0, 0, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1, 1]])
    layer = make()
    whole = layer(x, x, value_mask=mask, use_causal_mask=True)
    cache, outputs = np.zeros((2, 2, LENGTH, 3, 4), "float32"), []
    for start, size in ((0, 4), (4, 1), (5, 2)):
        part = x[:, start : start + size]
        y, scores, cache = layer(
            part,
            part,
            value_mask=mask,
            use_causal_mask=True,
            return_attention_scores=True,
            cache=cache,
            cache_update_index=start,
        )
        seen = np.arange(LENGTH) <= np.arange(start, start + size)[:, None]
        seen = np.broadcast_to((seen & (mask[:, None] > 0))[:, None], scores.shape)
        np.testing.assert_array_equal(scores.numpy() > 0, seen)
        outputs.append(y)
    close(np.concatenate(outputs, 1), whole)


def test_implicit_masks_of_the_update_are_left_aside(rng):
    embedding = keras.layers.Embedding(9, 5, mask_zero=True)
    ids = np.array([[1, 2, 3], [4, 5, 6]])
    layer = make()
    whole = layer(embedding(ids), embedding(ids), use_causal_mask=True)
    cache = np.zeros((2, 2, LENGTH, 3, 4), "float32")
    for index in range(3):
        part = embedding(ids[:, index : index + 1])
        y, cache = layer(part, part, use_causal_mask=True, cache=cache, cache_update_index=index)
        close(y[:, 0], whole[:, index])


def test_a_cache_is_read_without_an_index(rng):
    query, memory = sequence(rng), rng.normal(size=(2, 11, 13)).astype("float32")
    mask = rng.random((2, 11)) > 0.4
    layer = make()
    whole = layer(query, memory, value_mask=mask)
    cache = np.zeros((2, 2, 11, 3, 4), "float32")
    first, cache = layer(query[:, :1], memory, value_mask=mask, cache=cache, cache_update_index=0)
    close(first, whole[:, :1])
    second, same = layer(query[:, 1:], 0 * memory, value_mask=mask, cache=cache)
    close(second, whole[:, 1:])
    np.testing.assert_array_equal(same, cache)


def test_only_the_places_of_the_update_are_written(rng):
    x = sequence(rng)
    layer = make()
    cache = rng.normal(size=(2, 2, LENGTH, 3, 4)).astype("float32")
    _, after = layer(x[:, :2], x[:, :2], cache=cache, cache_update_index=3)
    kept = [0, 1, 2, 5, 6]
    np.testing.assert_array_equal(after.numpy()[:, :, kept], cache[:, :, kept])
    assert (after.numpy()[:, :, 3:5] != cache[:, :, 3:5]).all()
    # an index known only at run time: what does not fit is left out
    _, after = layer(x[:, :2], x[:, :2], cache=cache, cache_update_index=tf.constant(6))
    np.testing.assert_array_equal(after.numpy()[:, :, :6], cache[:, :, :6])


def test_half_precision_caches(rng):
    x = sequence(rng)
    layer = make(dtype="mixed_bfloat16")
    whole = layer(x, x, use_causal_mask=True)
    outputs, cache = step_by_step(layer, x, [3, 4])
    assert cache.dtype == "bfloat16"
    close(outputs.astype("float32"), tf.cast(whole, "float32"), 0.02)


def test_caches_in_a_functional_model(rng, tmp_path):
    x = sequence(rng)
    part, cache = keras.Input((None, 5)), keras.Input((2, LENGTH, 3, 4))
    layer = make()
    results = layer(part, part, cache=cache, cache_update_index=2, return_attention_scores=True)
    assert [tuple(r.shape) for r in results] == [
        (None, None, 5),
        (None, 3, None, LENGTH),
        (None, 2, LENGTH, 3, 4),
    ]
    model = keras.Model([part, cache], results)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    arrays = [x[:, :2], np.zeros((2, 2, LENGTH, 3, 4), "float32")]
    for first, second in zip(loaded(arrays), model(arrays), strict=True):
        np.testing.assert_array_equal(first, second)
