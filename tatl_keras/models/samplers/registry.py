"""Samplers by name."""

import difflib

import keras

from tatl_keras.models.samplers.base import Sampler
from tatl_keras.models.samplers.beam import BeamSampler
from tatl_keras.models.samplers.greedy import GreedySampler
from tatl_keras.models.samplers.random import RandomSampler

NAMES = {"beam": BeamSampler, "greedy": GreedySampler, "random": RandomSampler}


def get(identifier):
    """Returns a sampler.

    Args:
        identifier: `"greedy"`, `"beam"` or `"random"` for one with its defaults; what
            `keras.saving.serialize_keras_object` made of one; or a `Sampler`, which is returned as
            it is.

    Returns:
        A `Sampler`.

    Raises:
        ValueError: the name is unknown, or the identifier is something else.

    Example:

    >>> from tatl_keras.models import samplers
    >>> samplers.get("beam").num_beams
    5
    """
    if isinstance(identifier, str):
        if identifier not in NAMES:
            close = difflib.get_close_matches(identifier, NAMES, n=1)
            hint = f'Did you mean "{close[0]}"?' if close else "A sampler or a config is fine too."
            raise ValueError(
                f"`identifier` must be one of {', '.join(NAMES)}. "
                f"Received: identifier={identifier!r}. {hint}"
            )
        return NAMES[identifier]()
    sampler = identifier
    if isinstance(identifier, dict):
        sampler = keras.saving.deserialize_keras_object(identifier)
    if not isinstance(sampler, Sampler):
        raise ValueError(
            "`identifier` must be the name of a sampler, a config or a `Sampler`. "
            f"Received: identifier={identifier!r}. Names: {', '.join(NAMES)}."
        )
    return sampler
