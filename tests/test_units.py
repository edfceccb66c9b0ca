"""What stays together does so through others too."""

import numpy as np

from tatl_keras._units import units_of


def test_units_are_connected_parts():
    rng = np.random.default_rng(0)
    keys = [[f"k{k}" if k < 9 else "" for k in rng.integers(40, size=31)] for _ in range(3)]
    reach = np.eye(31, dtype=bool)
    for column in keys:
        column = np.array(column)
        reach |= (column[:, None] == column) & (column != "")
    for _ in range(5):  # paths of up to 32 steps
        reach = reach @ reach
    expected = reach.argmax(axis=1)  # the first row that can be reached
    assert units_of(31, *keys).tolist() == expected.tolist()
    assert 1 < len(set(expected.tolist())) < 31
