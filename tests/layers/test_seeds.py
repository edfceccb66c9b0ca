"""One seed, many independent streams."""

import keras
import numpy as np
import pytest

from tatl_keras.layers.seeds import derive_seed, split_initializer


def test_derived_seeds_are_fixed_and_distinct():
    seeds = [derive_seed(seed, index) for seed in range(-20, 20) for index in range(20)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert derive_seed(1, 2) == 798405205, "models trained with a seed must stay reproducible"
    assert derive_seed(None, 2) is None


@pytest.mark.parametrize("seed", [None, 0, 7])
def test_parts_of_an_initializer_differ_and_keep_their_settings(seed):
    parts = split_initializer(keras.initializers.RandomNormal(mean=100.0, seed=seed), 3)
    values = [np.array(part((5, 7))) for part in parts]
    assert all(abs(value.mean() - 100) < 1 for value in values)
    assert (values[0] != values[1]).any() and (values[1] != values[2]).any()
    again = split_initializer(keras.initializers.RandomNormal(mean=100.0, seed=seed), 3)
    assert (np.array(again[2]((5, 7))) == values[2]).all() == (seed is not None)


def test_what_has_no_integer_seed_is_shared():
    def ones(shape, dtype=None):
        return keras.ops.ones(shape, dtype)

    generator = keras.initializers.RandomNormal(seed=keras.random.SeedGenerator(1))
    for initializer in (keras.initializers.Constant(2.0), ones, generator):
        assert split_initializer(initializer, 2) == [initializer, initializer]
    assert len(split_initializer("zeros", 2)) == 2
    first, second = (np.array(part((5, 7))) for part in split_initializer(generator, 2))
    assert (first != second).any()
