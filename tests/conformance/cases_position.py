"""Cases of the position layers. All but the rotation are called as inputs + positions."""

import keras
import numpy as np

from tatl_keras import layers
from tests.conformance.case import Case

PUBLIC = {}
EXEMPT = {}


def _added(layer, arrays):
    inputs = arrays["inputs"]
    return keras.layers.Add(dtype=layer.dtype_policy)([inputs, layer(inputs)])


def _case(name, covers, make, twin, shape, **properties):
    return Case(
        name=name,
        covers=covers,
        make=make,
        arrays=lambda rng: {"inputs": rng.normal(size=shape)},
        call=_added,
        twin=lambda weights, arrays: arrays["inputs"] + twin(weights),
        sequences=("inputs",),
        **properties,
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
    return np.array([[[*row, *column] for column in columns] for row in rows])


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
        lambda weights: _sines(11, 7, 50),
        (3, 11, 7),
    ),
    _case(
        "sine_position_encoding_2d",
        "layers.SinePositionEncoding2D",
        lambda seed=None, dtype=None: layers.SinePositionEncoding2D(50, dtype=dtype),
        lambda weights: _map(_sines(5, 6, 50), _sines(7, 6, 50)),
        (3, 5, 7, 12),
    ),
    _case(
        "position_embedding",
        "layers.PositionEmbedding",
        lambda seed=None, dtype=None: layers.PositionEmbedding(13, _seeded(seed), dtype=dtype),
        lambda weights: weights["embeddings"][:11],
        (3, 11, 7),
    ),
    _case(
        "position_embedding_2d",
        "layers.PositionEmbedding2D",
        lambda seed=None, dtype=None: layers.PositionEmbedding2D(7, 7, _seeded(seed), dtype=dtype),
        lambda weights: _map(weights["row_embeddings"][:5], weights["column_embeddings"]),
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
