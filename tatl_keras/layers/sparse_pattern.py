"""The strided and the fixed pattern of sparse attention: as a mask, and computed sparsely."""

import math

from keras import ops

from tatl_keras.layers.checks import check_choice, check_count
from tatl_keras.layers.execution import dot_product_attention, merge
from tatl_keras.layers.masking import causal_limits

PATTERNS = ("strided", "fixed")


def check_pattern(pattern, block_size, summary_size):
    """Returns the three arguments of a pattern, or raises if one of them cannot be."""
    check_choice("pattern", pattern, PATTERNS)
    block_size = None if block_size is None else check_count("block_size", block_size)
    summary_size = check_count("summary_size", summary_size)
    if pattern == "fixed" and block_size is not None and summary_size > block_size:
        raise ValueError(
            f"`summary_size` must be at most `block_size`. Received: summary_size={summary_size}, "
            f"block_size={block_size}. It counts positions of a block; all of them make the "
            "attention full."
        )
    return pattern, block_size, summary_size


def sparse_attention_mask(
    length, pattern="strided", block_size=None, summary_size=8, use_causal_mask=False
):
    """The pattern of `SparseSelfAttention` as a mask: which position attends to which.

        strided:  |t - s| <= l  or  (t - s) mod l = 0
        fixed:    floor(s / l) = floor(t / l)  or  s mod l >= l - c

    with s <= t besides under a causal mask.

    Args:
        length: T, number of positions, an integer or an integer tensor.
        pattern: "strided" or "fixed".
        block_size: l, integer of at least 1; None takes the square root of T, rounded up.
        summary_size: c, how many of the last positions of a block are seen from everywhere in the
            fixed pattern; integer of at least 1, at most `block_size`.
        use_causal_mask: whether only positions up to and with t are attended.

    Returns:
        Booleans (T, T), True in row t and column s where t attends to s.

    Raises:
        ValueError: `length` is a negative number, `pattern` is another one, `block_size` or
            `summary_size` is below 1, or `summary_size` is above `block_size` in the fixed pattern.

    Example:

    >>> from tatl_keras import layers
    >>> mask = layers.sparse_attention_mask(6, "strided", block_size=2, use_causal_mask=True)
    >>> print(mask.numpy().astype(int))
    [[1 0 0 0 0 0]
     [1 1 0 0 0 0]
     [1 1 1 0 0 0]
     [0 1 1 1 0 0]
     [1 0 1 1 1 0]
     [0 1 0 1 1 1]]
    >>> mask = layers.sparse_attention_mask(6, "fixed", block_size=3, summary_size=1)
    >>> print(mask.numpy().astype(int))
    [[1 1 1 0 0 1]
     [1 1 1 0 0 1]
     [1 1 1 0 0 1]
     [0 0 1 1 1 1]
     [0 0 1 1 1 1]
     [0 0 1 1 1 1]]

    Reference:
        Child et al., "Generating Long Sequences with Sparse Transformers", 2019, section 4.3,
        https://arxiv.org/abs/1904.10509.
    """
    pattern, block_size, summary_size = check_pattern(pattern, block_size, summary_size)
    if not hasattr(length, "dtype") and length != 0:
        length = check_count("length", length)
    size = _block_length(length, block_size)
    columns = ops.arange(length, dtype="int32")
    rows = ops.expand_dims(columns, 1)
    if pattern == "strided":
        distance = rows - columns
        near = ops.logical_and(distance <= size, distance >= -size)
        mask = ops.logical_or(near, distance % size == 0)
    else:
        mask = ops.logical_or(
            rows // size == columns // size, columns % size >= size - summary_size
        )
    return ops.logical_and(mask, columns <= rows) if use_causal_mask else mask


def sparse_attention(
    query,
    key,
    value,
    pattern="strided",
    block_size=None,
    summary_size=8,
    use_causal_mask=False,
    *,
    value_mask=None,
    **execution,
):
    """Self-attention under a sparse pattern, from small attentions over disjoint sets of keys.

    The same as attention under `sparse_attention_mask`, but no tensor has T x T entries. The
    sequence is padded at the end to n blocks of l positions.

        strided   the positions with (t - s) mod l = 0: l attentions along columns of n positions
                  the other ones with |t - s| < l: n attentions of a block to it and its neighbours
        fixed     the last c positions of the blocks: one attention of T rows to n c keys
                  the others of the own block: n attentions of l rows

    Args:
        query: floats (…, T, Dq).
        key: floats (…, T, Dq).
        value: floats (…, T, Dv).
        pattern: see `sparse_attention_mask`, as the next three.
        block_size: l or None.
        summary_size: c.
        use_causal_mask: whether position t attends only to positions up to and with t.
        value_mask: optional booleans or integers, broadcastable to (…, T) and of length T.
        **execution: `dropout`, `seeds` (two of `dot_product_attention`'s), `implementation`.

    Returns:
        Y (…, T, Dv).
    """
    length = ops.shape(query)[-2]
    size = _block_length(length, block_size)
    summary_size = _smaller(summary_size, size)
    first, second = execution.pop("seeds", (None, None))
    if _is_full(length, size, pattern, summary_size):
        limits = causal_limits(length) if use_causal_mask else None
        masks = {"value_mask": value_mask, "limits": limits}
        return dot_product_attention(query, key, value, **masks, seed=first, **execution).outputs
    execution["return_log_sum_exp"] = True
    tensors = [_to_blocks(x, size) for x in (query, key, value)]
    mask = None
    if value_mask is not None:
        mask = _to_blocks(ops.expand_dims(ops.cast(value_mask, "int32"), -1), size)
    elif not use_causal_mask and not (isinstance(length, int) and length % size == 0):
        mask = _to_blocks(ops.ones((length, 1), "int32"), size)
    if pattern == "strided":
        parts = [
            _columns(*tensors, mask, use_causal_mask, seed=first, **execution),
            _neighbours(*tensors, mask, use_causal_mask, seed=second, **execution),
        ]
        return merge([_to_rows(part, length) for part in parts]).outputs
    own = _own_block if use_causal_mask else _own_block_without_summary
    across = _earlier_summaries if use_causal_mask else _summaries
    part = own(*tensors, mask, summary_size, seed=first, **execution)
    other = across(query, *tensors[1:], mask, summary_size, seed=second, **execution)
    return merge([_to_rows(part, length), other]).outputs


def _columns(query, key, value, mask, causal, **execution):
    """Attention of each position to those at a distance that l divides, itself included."""
    query, key, value = (ops.swapaxes(x, -3, -2) for x in (query, key, value))
    attended = dot_product_attention(
        query,
        key,
        value,
        value_mask=None if mask is None else ops.swapaxes(mask, -3, -2)[..., 0],
        limits=causal_limits(ops.shape(query)[-2]) if causal else None,
        **execution,
    )
    return attended._replace(
        outputs=ops.swapaxes(attended.outputs, -3, -2),
        log_sum_exp=ops.swapaxes(attended.log_sum_exp, -2, -1),
    )


def _neighbours(query, key, value, mask, causal, **execution):
    """Attention of each position to those less than l away, without itself."""
    if mask is None:
        mask = ops.ones((*ops.shape(query)[-3:-1], 1), "int32")
    key, value, mask = (_windows(x, causal) for x in (key, value, mask))
    size, width = ops.shape(query)[-2], ops.shape(key)[-2]
    rows = ops.expand_dims(ops.arange(size, dtype="int32"), 1)
    distance = ops.arange(width, dtype="int32") - size - rows
    near = ops.logical_and(distance > -size, distance < (0 if causal else size))
    return dot_product_attention(
        query,
        key,
        value,
        value_mask=mask[..., 0],
        attention_mask=ops.logical_and(near, distance != 0),
        **execution,
    )


def _own_block(query, key, value, mask, summary_size, **execution):
    """Attention of each position to its block up to itself."""
    mask = None if mask is None else mask[..., 0]
    limits = causal_limits(ops.shape(query)[-2])
    return dot_product_attention(query, key, value, value_mask=mask, limits=limits, **execution)


def _own_block_without_summary(query, key, value, mask, summary_size, **execution):
    """Attention of each position to its block without the last c positions."""
    end = ops.shape(query)[-2] - summary_size
    key, value = key[..., :end, :], value[..., :end, :]
    mask = None if mask is None else mask[..., :end, 0]
    return dot_product_attention(query, key, value, value_mask=mask, **execution)


def _summaries(query, key, value, mask, summary_size, limits=None, **execution):
    """Attention of all positions (…, T, Dq) to the last c positions of each block."""
    start = ops.shape(key)[-2] - summary_size
    key, value = (_from_blocks(x[..., start:, :]) for x in (key, value))
    mask = None if mask is None else _from_blocks(mask[..., start:, :])[..., 0]
    return dot_product_attention(query, key, value, value_mask=mask, limits=limits, **execution)


def _earlier_summaries(query, key, value, mask, summary_size, **execution):
    """Attention of all positions (…, T, Dq) to the last c positions of each earlier block."""
    rows = ops.arange(ops.shape(query)[-2], dtype="int32")
    limits = rows // ops.shape(key)[-2] * summary_size
    return _summaries(query, key, value, mask, summary_size, limits, **execution)


def _block_length(length, block_size):
    """l for T positions: no more than T where T is known, never below 1."""
    if isinstance(length, int):
        square_root = math.isqrt(max(length - 1, 0)) + 1
        return min(block_size or square_root, max(length, 1))
    if block_size is not None:
        return block_size
    square_root = ops.ceil(ops.sqrt(ops.cast(length, "float64")))
    return ops.maximum(ops.cast(square_root, "int32"), 1)


def _smaller(first, second):
    known = isinstance(first, int) and isinstance(second, int)
    return min(first, second) if known else ops.minimum(first, second)


def _is_full(length, size, pattern, summary_size):
    """Whether it is known beforehand that the pattern leaves nothing out."""
    if isinstance(length, int) and size >= length:
        return True
    if not isinstance(size, int):
        return False
    return size == 1 if pattern == "strided" else summary_size == size


def _to_blocks(x, size):
    """(…, T, D) as (…, n, l, D), with zeros at the end."""
    *leading, length, channels = ops.shape(x)
    count = (length + size - 1) // size
    missing = count * size - length
    if not (isinstance(missing, int) and missing == 0):
        x = ops.pad(x, [(0, 0)] * len(leading) + [(0, missing), (0, 0)])
    return ops.reshape(x, (*leading, count, size, channels))


def _from_blocks(x):
    """(…, n, l, D) as (…, n l, D)."""
    *leading, count, size, channels = ops.shape(x)
    return ops.reshape(x, (*leading, count * size, channels))


def _windows(blocks, causal):
    """Blocks (…, n, l, D) with the block before and, if not causal, the one after; or zeros."""
    zeros = ops.zeros_like(blocks[..., :1, :, :])
    parts = [ops.concatenate([zeros, blocks[..., :-1, :, :]], axis=-3), blocks]
    if not causal:
        parts.append(ops.concatenate([blocks[..., 1:, :, :], zeros], axis=-3))
    return ops.concatenate(parts, axis=-2)


def _to_rows(attended, length):
    """The first T rows of a result in blocks (…, n, l)."""
    outputs = _from_blocks(attended.outputs)
    log_sum_exp = _from_blocks(ops.expand_dims(attended.log_sum_exp, -1))
    return attended._replace(
        outputs=outputs[..., :length, :], log_sum_exp=log_sum_exp[..., :length, 0]
    )
