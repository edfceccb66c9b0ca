"""Checks of arguments, shapes and masks; each raises before anything is computed."""

import numbers

import keras
from keras import ops


def check_dim(name, value):
    """Returns `value` as an int, or raises if it is no integer ≥ 1."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise ValueError(
            f"`{name}` must be an integer of at least 1. Received: {name}={value!r}. "
            "It is a number of channels."
        )
    return int(value)


def check_rate(name, value):
    """Returns `value` as a float, or raises if it is outside [0, 1)."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 <= value < 1:
        raise ValueError(
            f"`{name}` must be a number in [0, 1). Received: {name}={value!r}. "
            "It is the fraction of units dropped in training."
        )
    return float(value)


def check_choice(name, value, choices):
    """Returns `value`, or raises if it is none of `choices`."""
    if value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"`{name}` must be one of {listed}. Received: {name}={value!r}.")
    return value


def check_sequence(name, shape, ranks=(2, 3)):
    """Returns `shape` as a tuple, or raises if it is no (B, T, D) or, where allowed, (T, D)."""
    shape = tuple(shape)
    if len(shape) not in ranks:
        forms = " or ".join("(T, D)" if rank == 2 else "(B, T, D)" for rank in sorted(ranks))
        raise ValueError(
            f"`{name}` must be a sequence of vectors of shape {forms}. "
            f"Received: {name}.shape={shape}. Flatten a map of vectors to one sequence first."
        )
    if shape[-1] is None:
        raise ValueError(
            f"`{name}` must have a known number of channels. Received: {name}.shape={shape}. "
            "Only the batch and the length may be None."
        )
    return shape


def check_channels(name, shape, channels):
    """Raises if the last axis of `shape` has not `channels` entries."""
    if shape[-1] != channels:
        raise ValueError(
            f"`{name}` must have {channels} channels, as when the layer was built. "
            f"Received: {name}.shape={shape}. Use a new layer for other channels."
        )


def shapes_agree(first, second):
    """Whether two static shapes can be equal; None fits any size."""
    return len(first) == len(second) and all(
        a is None or b is None or a == b for a, b in zip(first, second, strict=True)
    )


def check_mask(name, mask, shape):
    """Returns `mask` as a tensor, or raises if it is no boolean or integer mask of `shape`."""
    if not hasattr(mask, "dtype"):
        mask = ops.convert_to_tensor(mask)
    dtype = keras.backend.standardize_dtype(mask.dtype)
    if dtype != "bool" and "int" not in dtype:
        raise ValueError(
            f"`{name}` must be boolean or integer (nonzero = may be attended). "
            f"Received: {name}.dtype={dtype}. Additive float masks are not taken: pass `mask > 0`."
        )
    if not shapes_agree(tuple(mask.shape), tuple(shape)):
        raise ValueError(
            f"`{name}` must have shape {tuple(shape)}, one entry per position. "
            f"Received: {name}.shape={tuple(mask.shape)}. A mask has no channel axis."
        )
    return mask


def check_attention_mask(name, mask, shape):
    """Returns `mask` as (…, 1 or H, T, S), or raises if it does not broadcast to `shape`.

    `shape` is (B, H, T, S). Taken are (T, S), (B, T, S) and (B, H, T, S), each axis as it is or 1.
    """
    if not hasattr(mask, "dtype"):
        mask = ops.convert_to_tensor(mask)
    *_, rows, columns = shape
    forms = ((rows, columns), (shape[0], rows, columns), tuple(shape))
    found = tuple(mask.shape)
    free = tuple(None if size == 1 else size for size in found)
    if not any(shapes_agree(free, form) for form in forms):
        listed = ", ".join(str(form) for form in forms)
        raise ValueError(
            f"`{name}` must have one of the shapes {listed}, or 1 in the place of a size. "
            f"Received: {name}.shape={found}. It says for each query which keys it may attend to."
        )
    mask = check_mask(name, mask, found)
    return ops.expand_dims(mask, 1) if len(found) == 3 else mask


def check_count(name, value):
    """Returns `value` as an int, or raises if it is no integer ≥ 1."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise ValueError(
            f"`{name}` must be an integer of at least 1. Received: {name}={value!r}. "
            "It says how many there are."
        )
    return int(value)
