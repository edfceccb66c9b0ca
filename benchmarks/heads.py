"""Encodes once, then trains heads on the features: what `fit(feature_cache="memory")` does."""

import time

import keras

from tatl_keras import zoo
from tatl_keras.models.features import encoded


def encode(name, num_classes, examples, feature_cache="memory"):
    """Frozen features and labels (`None` where there are none) of an entry's encoders."""
    model = zoo.build(name, num_classes=num_classes)
    x, y, _ = encoded(model, examples, feature_cache=feature_cache).arrays()
    return x, y


def train(name, num_classes, x, y, *, seed, epochs, batch_size=32, **kwargs):
    """A model trained as `tatl-train` trains it, and the seconds that took.

    What else is given goes to `zoo.build`.
    """
    keras.utils.set_random_seed(seed)
    model = zoo.build(name, num_classes=num_classes, seed=seed, **kwargs)
    start = time.perf_counter()
    model.fit(x, y, epochs=epochs, batch_size=batch_size, verbose=0)
    return model, time.perf_counter() - start


def accuracy(model, x, y):
    """Share of right answers."""
    return float((model.predict(x, verbose=0).argmax(-1) == y).mean())
