"""Augmented views: what is drawn depends on the picture and the view alone."""

import hashlib

import keras
import numpy as np
import tensorflow as tf

from tatl_keras.features.keys import identify


def draw_seeds(augmentation, description, keys):
    """Seeds for the random numbers of each picture, whatever was drawn before and in which order.

    Args:
        augmentation: a Keras layer.
        description: of the view, see `keys.describe`.
        keys: list of N times 32 bytes, the pictures' keys.

    Returns:
        int64 array (N, G, 2), for the G `SeedGenerator`s inside the layer.

    Example:

    >>> flip = keras.layers.RandomFlip()
    >>> view = {"augmentation": {"mode": "horizontal"}, "view": 0}
    >>> seeds = draw_seeds(flip, view, [bytes(32), bytes(31) + b"1"])
    >>> seeds.shape, bool((seeds[0] == seeds[1]).any())
    ((2, 1, 2), False)
    """
    view = identify({name: description[name] for name in ("augmentation", "view")})
    count = len(_generators(augmentation))
    seeds = np.zeros((len(keys), count, 2), np.int64)
    for row, key in enumerate(keys):
        for number in range(count):
            digest = hashlib.sha256(f"{view} {number} ".encode() + key).digest()
            seeds[row, number] = np.frombuffer(digest[:8], np.uint32) >> 1
    return seeds


def augment_with(augmentation, seeds):
    """The augmentation of one picture with its own seeds, (G, 2); leaves the layer as it is."""

    def augment(pixels, training):
        generators = _generators(augmentation)
        states = [
            (generator.state, tf.cast(seeds[number], generator.state.dtype))
            for number, generator in enumerate(generators)
        ]
        with keras.StatelessScope(states):
            return augmentation(pixels, training=training)

    return augment


def _generators(augmentation):
    layers = augmentation._flatten_layers()
    return [generator for layer in layers for generator in layer._seed_generators]
