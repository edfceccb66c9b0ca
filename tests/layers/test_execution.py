"""The executions of attention against the formula, finite differences and each other."""

import numpy as np
import pytest
import tensorflow as tf

from tatl_keras.layers import execution, tiling
from tatl_keras.layers.execution import dot_product_attention
from tatl_keras.layers.masking import causal_limits
from tests.conformance import twins

SEED = tf.constant([3, 4])
SIZES = [((2, 3), 37, 53), ((), 17, 19), ((5,), 41, 1), ((2,), 7, 0), ((3,), 0, 5), ((0,), 3, 4)]
MASKS = ["", "values", "pairs", "shared pairs", "limits", "values pairs limits"]


@pytest.fixture
def small_tiles(monkeypatch):
    """Tiles so small that every test has several heads, rows and columns of them."""
    monkeypatch.setattr(tiling, "TILE_ENTRIES", 500)
    monkeypatch.setattr(tiling, "FEWEST_ROWS", 4)
    monkeypatch.setattr(execution, "LARGEST_DENSE", 2000)
    monkeypatch.setattr(execution, "LARGEST_COLUMNS", 31)
    monkeypatch.setattr(execution, "FEWEST_PART_ROWS", 5)


def make_masks(kinds, leading, rows, columns):
    rng = np.random.default_rng(1)
    masks = {}
    if "values" in kinds:
        mask = rng.random((*leading, columns)) > 0.4
        mask.reshape(np.prod(leading, dtype=int), columns)[:1] = False  # a head with nothing
        masks["value_mask"] = mask
    if "shared pairs" in kinds:
        masks["attention_mask"] = (rng.random((rows, columns)) > 0.3).astype("int32")
    elif "pairs" in kinds:
        own = (*leading[:1], *(1 for _ in leading[1:]), rows, columns)
        masks["attention_mask"] = rng.random(own) > 0.3
    if "limits" in kinds:
        masks["limits"] = np.minimum(np.arange(rows) - 3, columns).astype("int32")
    return {name: tf.constant(mask) for name, mask in masks.items()}


def run(how, leading, rows, columns, kinds, dtype="float64", dropout=0.0, mode="eager"):
    """Y, L and the gradients of a random function of both."""
    rng = np.random.default_rng(2)
    shapes = [(rows, 5), (columns, 5), (columns, 3), (rows, 3), (rows,)]
    arrays = [tf.constant(rng.normal(size=(*leading, *shape)), dtype) for shape in shapes]
    query, key, value, by_outputs, by_sums = arrays
    masks = make_masks(kinds, leading, rows, columns)

    def compute(query, key, value, masks):
        with tf.GradientTape() as tape:
            tape.watch((query, key, value))
            outputs, _, sums = dot_product_attention(
                query, key, value, **masks, dropout=dropout, seed=SEED, implementation=how,
                return_log_sum_exp=True,
            )  # fmt: skip
            finite = tf.where(sums > -1e30, sums, 0)
            loss = tf.reduce_sum(outputs * by_outputs) + tf.reduce_sum(finite * by_sums)
        return [outputs, finite, *tape.gradient(loss, (query, key, value))]

    if mode == "graph":
        compute = tf.function(compute)
    elif mode == "xla":
        compute = tf.function(compute, jit_compile=True)
    elif "unknown" in mode:
        unknown = [tf.TensorSpec((*[None] * len(x.shape[:-1]), x.shape[-1]), dtype) for x in arrays]
        of_masks = {n: tf.TensorSpec([None] * len(x.shape), x.dtype) for n, x in masks.items()}
        compute = tf.function(
            compute, input_signature=[*unknown[:3], of_masks], jit_compile="xla" in mode
        )
    return [x.numpy() for x in compute(query, key, value, masks)]


@pytest.mark.parametrize("how", ["dense", "chunked"])
@pytest.mark.parametrize("kinds", MASKS)
def test_against_the_formula_row_by_row(how, kinds, small_tiles):
    leading, rows, columns = (2, 3), 37, 53
    outputs, sums, *_ = run(how, leading, rows, columns, kinds)
    rng = np.random.default_rng(2)
    query, key, value = (rng.normal(size=(6, n, d)) for n, d in ((37, 5), (53, 5), (53, 3)))
    masks = make_masks(kinds, leading, rows, columns)
    allowed = np.ones((2, 3, rows, columns), bool)
    if "value_mask" in masks:
        allowed &= masks["value_mask"].numpy()[:, :, None]
    if "attention_mask" in masks:
        allowed &= masks["attention_mask"].numpy().astype(bool)
    if "limits" in masks:
        allowed &= np.arange(columns) < masks["limits"].numpy()[:, None]
    for head, places in enumerate(allowed.reshape(6, rows, columns)):
        for t, row in enumerate(places):
            energies = key[head][row] @ query[head, t] / np.sqrt(5)
            powers = np.exp(energies)
            expected = powers @ value[head][row] / max(powers.sum(), 1e-300)
            np.testing.assert_allclose(outputs[head // 3, head % 3, t], expected, atol=1e-12)
            if row.any():
                total = np.log(powers.sum())
                np.testing.assert_allclose(sums[head // 3, head % 3, t], total, atol=1e-12)


@pytest.mark.parametrize("mode", ["eager", "graph", "unknown", "xla", "unknown xla"])
@pytest.mark.parametrize("kinds", ["", "values", "values pairs limits", "shared pairs"])
def test_tiles_change_nothing(mode, kinds, small_tiles):
    for dropout, dtype, tolerance in ((0.0, "float32", 1e-6), (0.3, "float64", 1e-12)):
        dense = run("dense", (2, 3), 37, 53, kinds, dtype, dropout)
        tiled = run("chunked", (2, 3), 37, 53, kinds, dtype, dropout, mode)
        for a, b in zip(dense, tiled, strict=True):
            np.testing.assert_allclose(b, a, rtol=tolerance, atol=tolerance * np.abs(a).max())


@pytest.mark.parametrize(("leading", "rows", "columns"), SIZES)
@pytest.mark.parametrize("kinds", MASKS)
def test_sizes_at_the_edges(leading, rows, columns, kinds, small_tiles):
    dense = run("dense", leading, rows, columns, kinds)
    for mode in ("eager", "unknown") if kinds in ("", "values pairs limits") else ("eager",):
        tiled = run("chunked", leading, rows, columns, kinds, mode=mode)
        for a, b in zip(dense, tiled, strict=True):
            assert a.shape == b.shape
            np.testing.assert_allclose(b, a, atol=1e-12)


def test_rows_with_known_limits_leave_out_what_they_cannot_see(small_tiles, monkeypatch):
    """Each part of a causal graph's rows meets the columns up to its last row only."""
    seen, in_tiles = [], execution._in_tiles

    def recording(query, key, *args, **kwargs):
        seen.append(key.shape[-2])
        return in_tiles(query, key, *args, **kwargs)

    monkeypatch.setattr(execution, "_in_tiles", recording)
    rng = np.random.default_rng(6)
    arrays = [tf.constant(rng.normal(size=(2, 40, 3))) for _ in range(3)]
    mask = tf.constant(rng.random((2, 40)) > 0.3)

    @tf.function
    def attend(how):
        return dot_product_attention(
            *arrays, value_mask=mask, limits=causal_limits(40), implementation=how, dropout=0.2,
            seed=SEED, return_log_sum_exp=True,
        )  # fmt: skip

    dense, tiled = attend("dense"), attend("chunked")
    np.testing.assert_allclose(tiled.outputs, dense.outputs, atol=1e-14)
    np.testing.assert_allclose(tiled.log_sum_exp, dense.log_sum_exp, atol=1e-14)
    assert seen == [10, 20, 30, 40]


@pytest.mark.parametrize("kinds", ["", "values limits"])
def test_gradients_are_the_slopes(kinds, small_tiles):
    """Central differences along a random direction, in float64."""
    rng = np.random.default_rng(3)
    query, key, value = (tf.constant(rng.normal(size=(2, n, 5))) for n in (11, 23, 23))
    weights = tf.constant(rng.normal(size=(2, 11, 5)))
    steps = [tf.constant(rng.normal(size=x.shape)) for x in (query, key, value)]
    masks = make_masks(kinds, (2,), 11, 23)

    def loss(*arrays):
        attended = dot_product_attention(
            *arrays, **masks, dropout=0.2, seed=SEED, implementation="chunked",
            return_log_sum_exp=True,
        )  # fmt: skip
        sums = tf.where(attended.log_sum_exp > -1e30, attended.log_sum_exp, 0)
        return tf.reduce_sum(attended.outputs * weights) + tf.reduce_sum(sums**2)

    with tf.GradientTape() as tape:
        tape.watch((query, key, value))
        total = loss(query, key, value)
    gradients = tape.gradient(total, (query, key, value))
    slope = sum(tf.reduce_sum(g * s) for g, s in zip(gradients, steps, strict=True))
    h = 1e-5
    ahead, behind = (
        loss(*(x + sign * h * s for x, s in zip((query, key, value), steps, strict=True)))
        for sign in (1, -1)
    )
    np.testing.assert_allclose(slope, (ahead - behind) / (2 * h), rtol=1e-8)


def test_half_precision_is_as_good_as_its_inputs(small_tiles):
    rng = np.random.default_rng(4)
    arrays = [rng.normal(size=(3, n, 16)).astype("float16") for n in (29, 31, 31)]
    expected, _ = twins.attend(*(x.astype("float64") for x in arrays))
    for dtype, tolerance in (("float16", 2e-3), ("bfloat16", 2e-2)):
        attended = dot_product_attention(
            *(tf.constant(x, dtype) for x in arrays), implementation="chunked",
            return_log_sum_exp=True,
        )  # fmt: skip
        assert attended.outputs.dtype == dtype and attended.log_sum_exp.dtype == tf.float32
        np.testing.assert_allclose(attended.outputs.numpy().astype(float), expected, atol=tolerance)
