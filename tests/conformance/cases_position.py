"""Cases of the position layers. Those that only return positions are called beside the inputs."""

import keras
import numpy as np

from tatl_keras import layers
from tests.conformance.case import Case

PUBLIC = {}
EXEMPT = {}


def _beside(layer, arrays):
    """The inputs and the positions, so that the result depends on the inputs as others do."""
    inputs = arrays["inputs"]
    return keras.layers.Concatenate(dtype=layer.dtype_policy)([inputs, layer(inputs)])


def _beside_twin(inputs, positions):
    return np.concatenate([inputs, np.broadcast_to(positions, inputs.shape)], axis=-1)


def _case(name, covers, make, twin, shape):
    return Case(
        name=name,
        covers=covers,
        make=make,
        arrays=lambda rng: {"inputs": rng.normal(size=shape)},
        call=_beside,
        twin=lambda weights, arrays: _beside_twin(
            arrays["inputs"], twin(weights, arrays["inputs"].shape[1])
        ),
        sequences=("inputs",),
    )


def _seeded(seed):
    return keras.initializers.GlorotUniform(seed=seed)


def _sines(length, channels, wavelength):
    """Position by position, channel by channel, as the paper writes it."""
    table = np.zeros((length, channels))
    for t, i in np.ndindex(table.shape):
        angle = t / wavelength ** (2 * (i // 2) / channels)
        table[t, i] = np.sin(angle) if i % 2 == 0 else np.cos(angle)
    return table


def _map(rows, columns):
    """Half of the channels for the row, half for the column."""
    table = np.zeros((len(rows), len(columns), 2 * columns.shape[1]))
    for y, x in np.ndindex(table.shape[:2]):
        table[y, x] = [*rows[y], *columns[x]]
    return table


def _rotated(weights, arrays):
    """By complex numbers: the pair (i, i + D/2) as one number, turned by its angle."""
    x = arrays["inputs"]
    first, second = np.split(x, 2, axis=-1)
    angles = np.arange(x.shape[1])[:, None] / 50 ** (np.arange(3)[None] / 3)
    turned = (first + 1j * second) * np.exp(1j * angles)
    return np.concatenate([turned.real, turned.imag], axis=-1)


CASES = [
    _case(
        "sine_position_encoding",
        "layers.SinePositionEncoding",
        lambda seed=None, dtype=None: layers.SinePositionEncoding(50, dtype=dtype),
        lambda weights, length: _sines(length, 7, 50),
        (3, 11, 7),
    ),
    _case(
        "sine_position_encoding_2d",
        "layers.SinePositionEncoding2D",
        lambda seed=None, dtype=None: layers.SinePositionEncoding2D(50, dtype=dtype),
        lambda weights, length: _map(_sines(length, 6, 50), _sines(7, 6, 50)),
        (3, 5, 7, 12),
    ),
    _case(
        "position_embedding",
        "layers.PositionEmbedding",
        lambda seed=None, dtype=None: layers.PositionEmbedding(29, _seeded(seed), dtype=dtype),
        lambda weights, length: weights["embeddings"][:length],
        (3, 11, 7),
    ),
    _case(
        "position_embedding_2d",
        "layers.PositionEmbedding2D",
        lambda seed=None, dtype=None: layers.PositionEmbedding2D(11, 7, _seeded(seed), dtype=dtype),
        lambda weights, length: _map(
            weights["row_embeddings"][:length], weights["column_embeddings"]
        ),
        (3, 5, 7, 6),
    ),
    Case(
        name="rotary_positions",
        covers="layers.RotaryPositions",
        make=lambda seed=None, dtype=None: layers.RotaryPositions(50, dtype=dtype),
        arrays=lambda rng: {"inputs": rng.normal(size=(3, 11, 6))},
        call=lambda layer, arrays: layer(arrays["inputs"]),
        twin=_rotated,
        sequences=("inputs",),
    ),
]
