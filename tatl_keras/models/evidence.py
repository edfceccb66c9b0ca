"""What an answer rests on."""

from keras import ops

EVIDENCE = ("none", "image", "text", "image+text")


def present(features):
    """Booleans (B,), whether a row has anything; `None` where the features do not say.

    Args:
        features: dict with `has_image` (B,), `has_text` (B,) or both; the rest is not looked at.
    """
    has = [ops.cast(value, "bool") for name, value in features.items() if name.startswith("has_")]
    if not has:
        return None
    return has[0] if len(has) == 1 else ops.logical_or(*has)


def evidence(features):
    """Ints (B,), places in `EVIDENCE`: what a row has of what is read.

    Args:
        features: dict with `has_image` (B,), `has_text` (B,) or both, nonzero = present.

    Example:

    >>> import numpy as np
    >>> has = {"has_image": np.array([0, 1, 0, 1]), "has_text": np.array([0, 0, 1, 1])}
    >>> [EVIDENCE[place] for place in evidence(has)]
    ['none', 'image', 'text', 'image+text']
    """
    values = {"has_image": 1, "has_text": 2}
    found = [
        value * ops.cast(ops.cast(features[name], "bool"), "int32")
        for name, value in values.items()
        if name in features
    ]
    return sum(found[1:], start=found[0])
