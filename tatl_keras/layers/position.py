"""What the position layers share: checks of their input and the angles of sines."""

import numbers

import keras
import numpy as np
from keras import ops


def check_wavelength(value):
    """Returns `max_wavelength` as a float, or raises if it is no finite number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 1 <= value < np.inf:
        raise ValueError(
            "`max_wavelength` must be a finite number of at least 1. "
            f"Received: max_wavelength={value!r}. It is 2 pi times as many positions."
        )
    return float(value)


def check_start_index(value):
    """Returns `start_index` as an int where it is known, or raises if it is no index."""
    if isinstance(value, numbers.Integral) and not isinstance(value, bool) and value >= 0:
        return int(value)
    dtype = getattr(value, "dtype", None)
    if dtype is not None and "int" in keras.backend.standardize_dtype(dtype) and value.shape == ():
        return value
    raise ValueError(
        "`start_index` must be an integer of at least 0 or an integer tensor without axes. "
        f"Received: start_index={value!r}. It is the position of the first vector."
    )


def check_map(name, shape, multiple):
    """Returns `shape` as a tuple, or raises if it is no (B, H, W, C) with C as it has to be."""
    shape = tuple(shape)
    if len(shape) != 4:
        raise ValueError(
            f"`{name}` must be a map of vectors of shape (B, H, W, C). "
            f"Received: {name}.shape={shape}. Channels come last."
        )
    return check_multiple(name, shape, multiple)


def check_multiple(name, shape, multiple):
    """Returns `shape`, or raises if its last axis is unknown or no multiple of `multiple`."""
    if shape[-1] is None or shape[-1] % multiple:
        raise ValueError(
            f"`{name}` must have a number of channels divisible by {multiple}. "
            f"Received: {name}.shape={shape}. They are shared out evenly."
        )
    return shape


def angles(length, start_index, frequencies, dtype):
    """Angles (length, len(frequencies)): (start_index + t) * frequencies, in `dtype`."""
    positions = ops.cast(start_index, "int32") + ops.arange(length, dtype="int32")
    return ops.expand_dims(ops.cast(positions, dtype), 1) * ops.cast(frequencies, dtype)


def join_axes(rows, columns, shape):
    """The map of `shape` (B, H, W, C) of which each place holds its row (C/2) and column (C/2)."""
    *places, channels = shape
    rows = ops.broadcast_to(ops.expand_dims(rows, 1), (*places, channels // 2))
    columns = ops.broadcast_to(columns, (*places, channels // 2))
    return ops.concatenate([rows, columns], axis=-1)
