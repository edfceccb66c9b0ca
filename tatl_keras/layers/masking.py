"""Masks applied to values."""

from keras import ops


def zero_masked(values, mask):
    """Returns `values` (…, D) with zeros where `mask` (…) is 0 or False.

    A selection, not a product: what stands in a masked place has no effect on the result and gets
    a gradient of exactly zero, even where it is infinite.
    """
    return ops.where(ops.expand_dims(ops.cast(mask, "bool"), -1), values, 0)
