"""The random numbers of augmented views."""

import keras
import numpy as np
import tensorflow as tf

from tatl_keras.features import views
from tests.features import stubs


def layers(seed=None):
    flip, rotation = keras.layers.RandomFlip(seed=seed), keras.layers.RandomRotation(0.5, seed=seed)
    return keras.Sequential([flip, rotation]), (flip, rotation)


def test_every_picture_view_layer_and_augmentation_has_seeds_of_its_own():
    augmentation, _ = layers()
    keys = stubs.keys_of(50)
    described = [{"augmentation": name, "view": v} for name in ("a", "b") for v in range(3)]
    seeds = [views.draw_seeds(augmentation, description, keys) for description in described]
    assert all(values.shape == (50, 2, 2) for values in seeds)
    pairs = np.concatenate([values.reshape(-1, 2) for values in seeds])
    assert len(np.unique(pairs, axis=0)) == len(pairs) == 600
    assert 0 <= pairs.min() and pairs.max() < 2**31
    # The rest of a description, such as the encoder, does not count: other encoders see the same.
    again = views.draw_seeds(augmentation, described[4] | {"encoder": "other"}, keys[::-1])
    np.testing.assert_array_equal(again[::-1], seeds[4])


def test_an_augmentation_draws_with_the_given_seeds_and_stays_as_it_was(rng):
    augmentation, parts = layers(seed=1)
    pixels = rng.uniform(0, 255, (9, 7, 3)).astype("float32")
    seeds = np.array([[3, 4], [5, 6]])
    states = [layer.generator.state.numpy() for layer in parts]
    found = views.augment_with(augmentation, tf.constant(seeds))(pixels, training=True)
    for layer, state in zip(parts, states, strict=True):
        np.testing.assert_array_equal(layer.generator.state.numpy(), state)
    for layer, seed in zip(parts, seeds, strict=True):
        layer.generator.state.assign(seed)
    np.testing.assert_allclose(found, augmentation(pixels, training=True), atol=1e-4)
    assert np.abs(found - pixels).max() > 1
