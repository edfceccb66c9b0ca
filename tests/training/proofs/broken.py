"""Entries of the zoo that are broken on purpose, and what proofs say of them."""

import contextlib

import keras

from tatl_keras import training, zoo


@contextlib.contextmanager
def registered(build, spoil, **parts):
    """The zoo with an entry `broken`: what `build` makes, after `spoil(model)`."""

    def broken(num_classes=None, **kwargs):
        """Broken on purpose."""
        model = build(num_classes, **kwargs)
        return spoil(model) or model

    zoo.register(broken, **parts)
    try:
        yield
    finally:
        zoo.unregister("broken")


def reason(proof):
    """Why a proof of `broken` fails."""
    found = training.verify("broken", proofs=[proof]).proofs[proof]
    assert found["passed"] is False, found
    return found["reason"]


def learn_in_secret(model):
    """One layer of the frozen encoder learns, though the encoder says that it is frozen."""
    model.image_encoder.backbone.layers[1].trainable = True
    model.compile(run_eagerly=True)


def learn_openly(model):
    model.image_encoder.unfreeze()
    model.compile(run_eagerly=True)


def drift(model):
    """Batch normalisation of the frozen encoder averages on; no weight of it would learn."""
    call = model.image_encoder.backbone.call

    def in_training(inputs, training=None, mask=None):
        return call(inputs, training=True, mask=mask)

    for layer in model.image_encoder.backbone._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer._trainable = True
    model.image_encoder.backbone.call = in_training
    model.compile(run_eagerly=True)


def stand_still(model):
    model.compile(optimizer=keras.optimizers.SGD(0.0), run_eagerly=True)
