"""Dropout by place: parts of the whole, the rate, independence, and every backend alike."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tatl_keras.layers.keep import keep_mask

SEED = tf.constant([5, 7])


def plain(n, t, s, rate, seed):
    """The hash of one place in Python integers."""

    def mix(x):
        x = (x ^ x >> 16) * 0x7FEB352D % 2**32
        x = (x ^ x >> 15) * 0x846CA68B % 2**32
        return x ^ x >> 16

    head = mix(n ^ mix(seed[0]) ^ seed[1])
    return mix(mix(head ^ t) ^ mix(s ^ 0x9E3779B9)) >= int(rate * 2**32)


def test_each_place_by_the_formula():
    found = keep_mask((2, 3, 5, 7), 0.3, SEED).numpy()
    for n, t, s in np.ndindex(6, 5, 7):
        assert found[n // 3, n % 3, t, s] == plain(n, t, s, 0.3, (5, 7))


def test_a_part_is_a_part_of_the_whole():
    whole = keep_mask((11, 64, 50), 0.3, SEED).numpy()
    part = keep_mask((2, 10, 20), 0.3, SEED, starts=(4, 30, 10)).numpy()
    np.testing.assert_array_equal(part, whole[4:6, 30:40, 10:30])


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_places_seeds_and_neighbours_are_independent(rate):
    kept = keep_mask((4, 500, 500), rate, SEED).numpy()
    other = keep_mask((4, 500, 500), rate, tf.constant([5, 8])).numpy()
    spread = np.sqrt(rate * (1 - rate))
    assert abs(kept.mean() - (1 - rate)) < 4 * spread / 1000
    centred, others = (kept - (1 - rate)) / spread, (other - (1 - rate)) / spread
    pairs = [
        (centred[:, :, 1:], centred[:, :, :-1]),
        (centred[:, 1:], centred[:, :-1]),
        (centred[1:], centred[:-1]),
        (centred, others),
    ]
    for first, second in pairs:
        assert abs((first * second).mean()) < 4 / np.sqrt(first.size)
    # sums over rows and columns vary as those of independent places do
    for axis in (1, 2):
        assert abs(centred.sum(axis).std() / np.sqrt(500) - 1) < 0.08


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_drop_the_same(backend):
    pytest.importorskip(backend, reason=f"{backend} is not installed")
    root = str(pathlib.Path(__file__).parents[2])
    code = (
        "import json, keras; from tatl_keras.layers.keep import keep_mask;"
        "kept = keep_mask((2, 3, 5), 0.3, keras.ops.convert_to_tensor([5, 7], dtype='int32'));"
        "print(json.dumps(keras.ops.convert_to_numpy(kept).tolist()))"
    )
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": root}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout.splitlines()[-1])
    np.testing.assert_array_equal(found, keep_mask((2, 3, 5), 0.3, SEED))
