"""Sparse patterns against the paper's sets, and sparse attention against dense under the mask."""

import functools
import itertools
import math

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies

from tatl_keras.layers import sparse_attention_mask
from tatl_keras.layers.execution import dot_product_attention
from tatl_keras.layers.sparse_pattern import sparse_attention

LENGTHS = (0, 1, 2, 3, 7, 12, 13)
STRIDED = [("strided", size, 1) for size in (None, 1, 2, 3, 5, 13, 40)]
FIXED = [
    ("fixed", *sizes) for sizes in ((None, 1), (None, 8), (1, 1), (3, 2), (5, 5), (6, 1), (40, 3))
]


def paper(length, pattern, size, summary, causal):
    """The union of A1 and A2 of section 4.3, entry by entry."""
    size = size or next(n for n in range(1, length + 2) if n * n >= length)
    mask = np.zeros((length, length), bool)
    for i in range(length):
        if pattern == "strided":
            first = set(range(max(0, i - size), i + 1))
            second = {j for j in range(i + 1) if (i - j) % size == 0}
            if not causal:
                first |= set(range(i, min(length - 1, i + size) + 1))
                second |= {j for j in range(i, length) if (j - i) % size == 0}
        else:
            end = i + 1 if causal else length
            first = {j for j in range(end) if math.floor(j / size) == math.floor(i / size)}
            second = {j for j in range(end) if size - summary <= j % size < size}
        mask[i, sorted(first | second)] = True
    return mask


def tensors(rng, length, dtype="float64"):
    sizes = (5, 5, 7)
    return [tf.constant(rng.normal(size=(2, 3, length, size)), dtype) for size in sizes]


def with_gradients(function, inputs, projection):
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = function(*inputs)
        total = tf.reduce_sum(outputs * tf.cast(projection, outputs.dtype))
    return [outputs, *tape.gradient(total, inputs)]


def dense(*inputs, mask, padding=None):
    return dot_product_attention(
        *inputs, value_mask=padding, attention_mask=mask, implementation="dense"
    ).outputs


@pytest.mark.parametrize("pattern", STRIDED + FIXED, ids=str)
@pytest.mark.parametrize("causal", [False, True])
def test_mask_is_that_of_the_paper(pattern, causal):
    for length in (*LENGTHS, 29):
        mask = sparse_attention_mask(length, *pattern, use_causal_mask=causal)
        np.testing.assert_array_equal(mask, paper(length, *pattern, causal))


@pytest.mark.parametrize("pattern", STRIDED + FIXED, ids=str)
@pytest.mark.parametrize("causal", [False, True])
def test_equals_dense_under_the_mask(rng, pattern, causal):
    for length, padded in itertools.product(LENGTHS, (False, True)):
        inputs, projection = tensors(rng, length), rng.normal(size=(2, 3, length, 7))
        padding = rng.random((2, 1, length)) < 0.6 if padded else None
        mask = paper(length, *pattern, causal)
        found = with_gradients(
            lambda *x, padding=padding: sparse_attention(*x, *pattern, causal, value_mask=padding),
            inputs,
            projection,
        )
        expected = with_gradients(
            functools.partial(dense, mask=mask, padding=padding), inputs, projection
        )
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)


@hypothesis.given(strategies.data())
def test_equals_dense_for_any_sizes(data):
    length, size = data.draw(strategies.integers(0, 37)), data.draw(strategies.integers(1, 12))
    name, summary = data.draw(strategies.sampled_from(("strided", "fixed"))), 1
    if name == "fixed":
        summary = data.draw(strategies.integers(1, size))
    pattern = (name, size, summary, data.draw(strategies.booleans()))
    rng = np.random.default_rng(data.draw(strategies.integers(0, 9)))
    inputs, padding = tensors(rng, length), rng.random((2, 1, length)) < rng.random()
    expected = dense(*inputs, mask=paper(length, *pattern), padding=padding)
    found = sparse_attention(*inputs, *pattern, value_mask=padding)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("pattern", [("strided", 5, 1), ("fixed", 6, 2)], ids=str)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("implementation", ["dense", "chunked", "auto"])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float64", 1e-12)])
def test_every_implementation_is_exact(rng, pattern, causal, implementation, dtype, tolerance):
    inputs, projection = tensors(rng, 29, dtype), rng.normal(size=(2, 3, 29, 7))
    mask, padding = paper(29, *pattern, causal), rng.random((2, 1, 29)) < 0.6
    arguments = {"value_mask": padding, "implementation": implementation}
    found = with_gradients(
        lambda *x: sparse_attention(*x, *pattern, causal, **arguments), inputs, projection
    )
    inputs = [tf.cast(x, "float64") for x in inputs]
    expected = with_gradients(
        functools.partial(dense, mask=mask, padding=padding), inputs, projection
    )
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(1, np.abs(b).max()))


@pytest.mark.parametrize(
    "pattern",
    [("strided", None, 1), ("strided", 3, 1), ("fixed", None, 2), ("fixed", 4, 2), ("fixed", 3, 3)],
    ids=str,
)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_lengths_may_be_unknown(rng, pattern, causal, padded):
    signature = [tf.TensorSpec((None, 3, None, size), "float64") for size in (5, 5, 7)]
    signature.append(tf.TensorSpec((None, 1, None), "bool"))

    @tf.function(input_signature=signature)
    def graph(query, key, value, padding):
        masks = {"value_mask": padding if padded else None}
        return sparse_attention(query, key, value, *pattern, causal, **masks)

    for length in (*LENGTHS, 16, 17):
        inputs, padding = tensors(rng, length), rng.random((2, 1, length)) < 0.6
        mask = paper(length, *pattern, causal)
        mask = mask & padding[:, :, None] if padded else mask
        expected = dense(*inputs, mask=mask)
        np.testing.assert_allclose(graph(*inputs, padding), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("pattern", [("strided", 8, 1), ("fixed", 8, 1)], ids=str)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_no_tensor_has_a_score_for_every_pair(pattern, causal, padded):
    length = 101

    @tf.function
    def step(query, key, value, padding):
        with tf.GradientTape() as tape:
            tape.watch((query, key, value))
            masks = {"value_mask": padding if padded else None}
            outputs = sparse_attention(
                query, key, value, *pattern, causal, implementation="dense", **masks
            )
            total = tf.reduce_sum(outputs)
        return tape.gradient(total, (query, key, value))

    specs = [tf.TensorSpec((1, 1, length, 2)) for _ in range(3)]
    padding = tf.TensorSpec((1, 1, length), "bool")
    largest = largest_tensor(step.get_concrete_function(*specs, padding).graph)
    # a column of 13 for each of 104 positions, or 15 neighbours of 24 looked at
    assert length * 8 <= largest <= length * 30 < length**2


def test_the_measure_of_that_sees_dense_attention():
    function = tf.function(lambda x: dense(x, x, x, mask=None))
    graph = function.get_concrete_function(tf.TensorSpec((1, 1, 101, 2))).graph
    assert largest_tensor(graph) >= 101**2


def largest_tensor(graph):
    """The most entries of a tensor in a graph or a function in it; all shapes must be known."""
    graphs = [graph, *(f.graph for f in graph._functions.values())]
    shapes = [x.shape for g in graphs for op in g.get_operations() for x in op.outputs]
    assert all(shape.is_fully_defined() for shape in shapes if shape.rank != 1)
    return max(shape.num_elements() or 0 for shape in shapes)


@pytest.mark.parametrize("pattern", [("strided", 3, 1), ("fixed", 4, 2)], ids=str)
@pytest.mark.parametrize("causal", [False, True])
def test_runs_under_xla(rng, pattern, causal):
    inputs = tensors(rng, 13, "float32")
    compiled = tf.function(lambda *x: sparse_attention(*x, *pattern, causal), jit_compile=True)
    expected = sparse_attention(*inputs, *pattern, causal)
    np.testing.assert_allclose(compiled(*inputs), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("pattern", [("strided", 2, 1), ("fixed", 3, 1)], ids=str)
@pytest.mark.parametrize("causal", [False, True])
def test_dropout_drops_single_scores(pattern, causal):
    """With the unit vectors as values the outputs are the scores that were kept."""
    length, rate = 7, 0.25
    draws = 3000
    query = tf.zeros((draws, 1, length, 1))
    value = tf.tile(tf.eye(length)[None, None], (draws, 1, 1, 1))
    seeds = [tf.constant([1, 2]), tf.constant([3, 4])]
    found = sparse_attention(
        query, query, value, *pattern, causal, dropout=rate, seeds=seeds, implementation="dense"
    ).numpy()[:, 0]
    mask = paper(length, *pattern, causal)
    whole = mask / mask.sum(-1, keepdims=True)
    kept = found > 0
    np.testing.assert_allclose(found, np.where(kept, whole / (1 - rate), 0), rtol=1e-5)
    frequency = kept.mean(0)
    assert np.abs(frequency[mask] - (1 - rate)).max() < 5 * (rate * (1 - rate) / draws) ** 0.5
    assert not frequency[~mask].any()
    together = np.corrcoef(kept[:, mask].astype(float).T) - np.eye(mask.sum())
    assert np.abs(together).max() < 5 / draws**0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"length": -1}, r"`length` must be .*Received: length=-1\."),
        ({"length": 2.5}, r"`length` must be .*Received: length=2\.5\."),
        ({"pattern": "dilated"}, r"`pattern` must be .*Received: pattern='dilated'\."),
        ({"block_size": 0}, r"`block_size` must be .*Received: block_size=0\."),
        ({"block_size": True}, r"`block_size` must be .*Received: block_size=True\."),
        ({"summary_size": 0}, r"`summary_size` must be .*Received: summary_size=0\."),
        ({"summary_size": 2.0}, r"`summary_size` must be .*Received: summary_size=2\.0\."),
        (
            {"pattern": "fixed", "block_size": 3, "summary_size": 4},
            r"`summary_size` must be at most .*Received: summary_size=4, block_size=3\.",
        ),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        sparse_attention_mask(**{"length": 5, **arguments})
