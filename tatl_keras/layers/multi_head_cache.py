"""The keys and values of earlier positions, kept for decoding."""

from keras import ops

from tatl_keras.layers.multi_head_projections import split_heads


def make_cache(attention, value, mask=None):
    """Returns the cache of a whole sequence, as `attention` reads it without an index.

    Args:
        attention: a built `MultiHeadAttention` without `position`.
        value: floats (B, S, D), keys and values alike.
        mask: optional (B, S); other positions are taken as zeros.

    Returns:
        Floats (B, 2, S, H, K).
    """
    parts = [split_heads(attention, name, value, mask) for name in ("key", "value")]
    return ops.transpose(ops.stack(parts, axis=1), (0, 1, 3, 2, 4))


def write_cache(cache, keys, values, index):
    """Returns the cache with the keys and values of the places from `index` on replaced.

    A selection by place, not a slice assignment: it needs no operation outside of plain
    TensorFlow, and what does not fit is left out rather than moved.

    Args:
        cache: floats (B, 2, S, H, K).
        keys: floats (B, H, T, K).
        values: floats (B, H, T, K).
        index: int32, the place of the first of the T positions.

    Returns:
        Floats (B, 2, S, H, K).
    """
    update = ops.transpose(ops.stack([keys, values], axis=1), (0, 1, 3, 2, 4))
    length = ops.shape(update)[2]
    places = ops.arange(ops.shape(cache)[2], dtype="int32") - index
    written = ops.logical_and(places >= 0, places < length)
    if update.shape[2] != 1:  # one position, as in most steps, is broadcast
        update = ops.take(update, ops.clip(places, 0, length - 1), axis=2)
    return ops.where(ops.reshape(written, (-1, 1, 1)), update, cache)


def read_cache(cache):
    """Returns keys and values (B, H, S, K) of a cache (B, 2, S, H, K)."""
    whole = ops.transpose(cache, (1, 0, 3, 2, 4))
    return whole[0], whole[1]
