"""What the executions of attention promise on memory, derivatives, dropout and choice."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tatl_keras.layers import implementation, tiling
from tatl_keras.layers.execution import Attended, dot_product_attention, merge

SEED = tf.constant([3, 4])


@pytest.mark.parametrize("kinds", ["", "limits", "values"])
def test_no_tensor_of_all_scores(kinds):
    """No operation of the graph, gradient included, makes anything near T × S entries."""
    length, heads, dim = 4096, 2, 8
    masks = {
        "": {},
        "limits": {"limits": tf.range(length)},
        "values": {"value_mask": tf.range(length) % 3 > 0},
    }[kinds]

    @tf.function
    def step(query, key, value):
        loss = dot_product_attention(
            query, key, value, **masks, dropout=0.1, seed=SEED, implementation="chunked"
        ).outputs
        return tf.gradients(tf.reduce_sum(loss**2), (query, key, value))

    graph = step.get_concrete_function(*[tf.TensorSpec((heads, length, dim))] * 3).graph
    graphs = [graph, *(f.graph for f in graph._functions.values() if hasattr(f, "graph"))]
    largest, names = 0, set()
    for operations in (g.get_operations() for g in graphs):
        for operation in operations:
            names.add(operation.type)
            for output in operation.outputs:
                if output.shape.rank is not None:
                    sizes = [n for n in output.shape if n is not None]
                    largest = max(largest, int(np.prod(sizes)))
    assert "While" in names or "StatelessWhile" in names
    assert largest <= tiling.TILE_ENTRIES < length * length * heads / 8


@pytest.mark.skipif(not pathlib.Path("/proc/self/statm").exists(), reason="reads Linux's /proc")
def test_tapes_keep_no_tiles():
    """The scores would be 268 MB, and an eager tape keeps what it sees."""

    def resident():
        return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096

    query = tf.random.normal((1, 8192, 4))
    dot_product_attention(query, query, query, implementation="chunked")
    before = resident()
    with tf.GradientTape() as tape:
        tape.watch(query)
        attended = dot_product_attention(query, query, query, implementation="chunked")
        assert resident() - before < 50e6
    assert tape.gradient(attended.outputs, query).shape == query.shape


def test_second_derivatives_are_refused_not_wrong():
    query = tf.constant(np.random.default_rng(5).normal(size=(1, 5, 3)))

    def second(how):
        with tf.GradientTape() as outer:
            outer.watch(query)
            with tf.GradientTape() as inner:
                inner.watch(query)
                attended = dot_product_attention(query, query, query, implementation=how)
                loss = tf.reduce_sum(attended.outputs**2)
            first = inner.gradient(loss, query)
        return outer.gradient(first, query)

    assert np.isfinite(second("dense").numpy()).all()
    with pytest.raises(LookupError, match='second derivatives .* need implementation="dense"'):
        second("chunked")


def test_dropout_drops_the_given_part_and_keeps_the_mean():
    value = tf.ones((3, 500, 1))
    query = tf.zeros((3, 400, 2))
    attended = dot_product_attention(
        query, tf.zeros((3, 500, 2)), value, dropout=0.3, seed=SEED, return_attention_scores=True
    )
    np.testing.assert_allclose(attended.scores, 1 / 500, rtol=1e-6)  # scores are before dropout
    kept = attended.outputs.numpy() * 0.7  # a row's kept part
    assert abs(kept.mean() - 0.7) < 0.002
    assert abs(kept.std() - np.sqrt(0.3 * 0.7 / 500)) < 0.002


def test_merging_disjoint_keys_is_attending_to_their_union(rng):
    query, key, value = (tf.constant(rng.normal(size=(2, n, 3))) for n in (7, 13, 13))
    mask = np.ones((2, 13), bool)
    mask[0, :5] = mask[1] = False  # nothing in a part, and nothing at all
    masked = dot_product_attention(query, key, value, value_mask=mask, return_log_sum_exp=True)
    parts = [
        dot_product_attention(
            query, key[:, part], value[:, part], value_mask=mask[:, part], return_log_sum_exp=True
        )
        for part in (slice(0, 5), slice(5, 6), slice(6, 13))
    ]
    merged = merge(parts)
    assert isinstance(merged, Attended)
    np.testing.assert_allclose(merged.outputs, masked.outputs, atol=1e-14)
    np.testing.assert_allclose(merged.log_sum_exp[0], masked.log_sum_exp[0], atol=1e-14)
    assert not merged.outputs.numpy()[1].any()
    assert (merged.log_sum_exp.numpy()[1] == np.finfo("float64").min).all()


def test_auto_tiles_what_is_large_or_unknown(monkeypatch):
    monkeypatch.setattr(implementation, "LARGEST_DENSE", 6 * 7 * 5)

    def tiles(rows, how="auto", scores=False):
        query, key = (tf.TensorSpec(shape) for shape in ((6, rows, 3), (6, 5, 3)))
        return implementation.is_tiled(how, query, key, scores)

    assert not tiles(7) and tiles(8) and tiles(None)
    assert not tiles(8, scores=True) and not tiles(8, "dense") and tiles(7, "chunked")


def test_chunked_says_why_there_are_no_scores():
    query = tf.zeros((2, 3))
    with pytest.raises(ValueError, match='Received: implementation="chunked", return_attention'):
        dot_product_attention(
            query, query, query, implementation="chunked", return_attention_scores=True
        )
