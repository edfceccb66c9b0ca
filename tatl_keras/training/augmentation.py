"""Augmented pictures that suit most natural pictures."""

import keras

from tatl_keras.layers.seeds import derive_seed


def default_augmentation(seed=None):
    """Flips a picture, moves and zooms it by up to a tenth, and makes it darker or lighter.

    Args:
        seed: int or `None`, of all that is drawn.

    Returns:
        A `keras.layers.Pipeline` for `FeatureCache(augmentation=…)`, called with pixels (H, W, 3)
        of 0 to 255.

    Example:

    >>> import numpy as np
    >>> from tatl_keras import training
    >>> augmentation = training.default_augmentation(seed=0)
    >>> augmentation(np.full((6, 5, 3), 100.0), training=True).shape
    TensorShape([6, 5, 3])
    """
    seeds = [derive_seed(seed, stream) for stream in range(4)]
    edges = {"fill_mode": "nearest"}
    return keras.layers.Pipeline(
        [
            keras.layers.RandomFlip("horizontal", seed=seeds[0]),
            keras.layers.RandomTranslation(0.1, 0.1, seed=seeds[1], **edges),
            keras.layers.RandomZoom(0.1, seed=seeds[2], **edges),
            keras.layers.RandomBrightness(0.1, seed=seeds[3]),
        ]
    )
