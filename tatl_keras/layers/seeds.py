"""Independent random streams from one seed."""

import keras
import numpy as np


def derive_seed(seed, index):
    """Returns an integer seed for the `index`-th use of `seed`; None stays None.

    Streams of neighbouring seeds and of neighbouring indices are unrelated.

    Example:

    >>> derive_seed(1, 0) == derive_seed(1, 0)
    True
    >>> len({derive_seed(1, 0), derive_seed(1, 1), derive_seed(2, 0)})
    3
    """
    if seed is None:
        return None
    words = np.random.SeedSequence([seed % 2**64, index]).generate_state(1)
    return int(words[0] >> 1)


def split_initializer(initializer, count):
    """Returns `count` initializers that draw independently of each other.

    One initializer object gives equal values for equal shapes at every call, so two kernels that
    share it start equal. Here each kernel gets a copy with its own seed, derived from the object's
    seed if it has one. What holds no integer seed (constants, functions, a `SeedGenerator`, which
    moves on by itself) is shared as it is.
    """
    initializer = keras.initializers.get(initializer)
    if not isinstance(initializer, keras.initializers.Initializer):
        return [initializer] * count
    config = initializer.get_config()
    if not isinstance(config.get("seed", ""), int | None):
        return [initializer] * count
    return [
        type(initializer).from_config({**config, "seed": derive_seed(config["seed"], index)})
        for index in range(count)
    ]
