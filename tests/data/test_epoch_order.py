"""The order of an epoch depends on its number and a seed, and on nothing else."""

import numpy as np
import pytest
import tensorflow as tf

from tatl_keras.data.epoch_order import EpochOrder

ROWS = 50


def read(dataset):
    return [int(row) for row in dataset]


def test_each_reading_is_the_next_epoch_until_one_is_named():
    order = EpochOrder(3)
    dataset = order.shuffle(tf.data.Dataset.range(ROWS), ROWS)
    epochs = [read(dataset) for _ in range(3)]
    assert all(sorted(epoch) == list(range(ROWS)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    for epoch in (2, 0, 1):
        order.epoch = epoch
        assert read(dataset) == read(dataset) == epochs[epoch] == order.rows(epoch).tolist()


def test_nothing_else_has_a_say():
    order = EpochOrder(3)
    order.epoch = 5
    want = read(order.shuffle(tf.data.Dataset.range(ROWS), ROWS))
    tf.random.set_seed(99)
    np.random.seed(99)
    other = EpochOrder(3)
    dataset = other.shuffle(tf.data.Dataset.range(ROWS), ROWS)
    read(dataset)
    other.epoch = 5
    assert read(dataset) == want
    other.seed = 4
    assert read(dataset) != want


def test_many_epochs_place_a_row_anywhere():
    order = EpochOrder(0)
    order.shuffle(tf.data.Dataset.range(8), 8)
    places = np.array([order.rows(epoch).tolist().index(0) for epoch in range(400)])
    counts = np.bincount(places, minlength=8)
    assert ((counts - 50) ** 2 / 50).sum() < 24.3  # chi-squared of 7 degrees, one in a thousand


def test_the_number_of_elements_is_known_and_checked():
    dataset = EpochOrder(0).shuffle(tf.data.Dataset.range(ROWS), ROWS)
    assert int(dataset.batch(8).cardinality()) == 7
    with pytest.raises(tf.errors.FailedPreconditionError, match="expected to contain 4 elements"):
        read(EpochOrder(0).shuffle(tf.data.Dataset.range(3), 4))
