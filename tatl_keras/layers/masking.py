"""Masks applied to values and scores."""

from keras import ops


def zero_masked(values, mask):
    """Returns `values` (…, D) with zeros where `mask` (…) is 0 or False.

    A selection, not a product: what stands in a masked place has no effect on the result and gets
    a gradient of exactly zero, even where it is infinite.
    """
    return ops.where(ops.expand_dims(ops.cast(mask, "bool"), -1), values, 0)


def causal_limits(length, start=0):
    """Limits (T,) with which each of `length` rows, the first at `start`, sees itself and before.

    Example:

    >>> causal_limits(3).numpy().tolist()
    [1, 2, 3]
    """
    if isinstance(start, int):  # then the limits are known where the length is
        return ops.arange(start + 1, start + 1 + length, dtype="int32")
    return start + 1 + ops.arange(length, dtype="int32")


def allowed_places(scores, value_mask, attention_mask, limits):
    """The boolean mask to apply to `scores`, broadcastable to (…, T, S), or None."""
    masks = []
    if value_mask is not None:
        masks.append(ops.expand_dims(ops.cast(value_mask, "bool"), -2))
    if attention_mask is not None:
        masks.append(ops.cast(attention_mask, "bool"))
    if limits is not None:
        columns = ops.arange(ops.shape(scores)[-1], dtype="int32")
        masks.append(columns < ops.expand_dims(ops.cast(limits, "int32"), -1))
    allowed = None
    for mask in masks:
        allowed = mask if allowed is None else ops.logical_and(allowed, mask)
    return allowed


def slice_masks(rows, columns, value_mask=None, attention_mask=None, limits=None):
    """The masks, as `dot_product_attention` takes them, of some rows and columns."""

    def part(mask, axis, some):
        if mask is None or mask.shape[axis] == 1:
            return mask
        return ops.swapaxes(ops.swapaxes(mask, axis, -1)[..., some], axis, -1)

    return {
        "value_mask": part(value_mask, -1, columns),
        "attention_mask": part(part(attention_mask, -1, columns), -2, rows),
        "limits": part(limits, -1, rows),
    }
