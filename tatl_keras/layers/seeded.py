"""One seed for the kernels of a layer."""

import keras


def seeded_initializer(initializer, seed):
    """Returns the initializer, drawing from `seed` if it is random and has no seed of its own.

    Example:

    >>> seeded_initializer("glorot_uniform", 7).get_config()["seed"]
    7
    >>> seeded_initializer(keras.initializers.GlorotUniform(seed=3), 7).get_config()["seed"]
    3
    """
    initializer = keras.initializers.get(initializer)
    if seed is None or not isinstance(initializer, keras.initializers.Initializer):
        return initializer
    config = initializer.get_config()
    if config.get("seed", "none taken") is not None:
        return initializer
    return type(initializer).from_config({**config, "seed": seed})
