"""Which example it was, where a picture cannot be decoded."""

import functools
import inspect
import itertools

import tensorflow as tf

from tatl_keras.data.pictures import unreadable
from tatl_keras.features.rows import rows_of
from tatl_keras.models.examples import as_dataset
from tatl_keras.models.pipeline import is_tensors

_DECODER = "DecodeImage"  # the name of the operation, which its errors give
_ARGUMENTS = ("x", "validation_data")


def naming_pictures(method):
    """Lets a method of raw examples say which of them has a picture that cannot be decoded.

    Pictures are decoded while others are learned from or answered, in an order of their own:
    TensorFlow's error does not say which it was. Where there is one, the examples are read again.

    Args:
        method: function with an argument `x`, perhaps `validation_data` too.

    Returns:
        The method. It raises a ValueError with the number of the example, or its id where the data
        set has `ids`; every other error is as before.
    """

    @functools.wraps(method)
    def named(*args, **kwargs):
        try:
            return method(*args, **kwargs)
        except tf.errors.InvalidArgumentError as error:
            given = inspect.signature(method).bind(*args, **kwargs).arguments
            found = None
            if _DECODER in str(error):
                found = next(filter(None, (_unreadable(given.get(x)) for x in _ARGUMENTS)), None)
            if found is None:
                raise
            raise found from error

    return named


def _unreadable(x):
    """The error for the first example that cannot be read, or `None`."""
    if isinstance(x, tuple) and not all(isinstance(row, dict) for row in x):
        x = x[0]  # of validation data (x, y)
    if x is None or is_tensors(x):
        return None
    examples = as_dataset(x)
    if examples.cardinality() == tf.data.INFINITE_CARDINALITY:
        return None
    names = getattr(x, "ids", None) or itertools.count()
    pictures = (one.get("image") for one, _, _ in rows_of(examples))
    return unreadable(zip(names, pictures, strict=False))
