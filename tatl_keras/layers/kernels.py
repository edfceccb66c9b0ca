"""The bare matrices of attention layers."""

import keras

from tatl_keras.layers.seeds import split_initializer


def add_kernels(layer, **shapes):
    """Adds one weight per name to `layer`, each with an initializer of its own, and returns them.

    The layer holds `kernel_initializer`, `kernel_regularizer` and `kernel_constraint`.
    """
    initializers = split_initializer(layer.kernel_initializer, len(shapes))
    return [
        layer.add_weight(
            name=name,
            shape=shape,
            initializer=initializer,
            regularizer=layer.kernel_regularizer,
            constraint=layer.kernel_constraint,
        )
        for (name, shape), initializer in zip(shapes.items(), initializers, strict=True)
    ]


def kernel_config(layer):
    """The serialised form of the three kernel arguments of `layer`."""
    return {
        "kernel_initializer": keras.initializers.serialize(layer.kernel_initializer),
        "kernel_regularizer": keras.regularizers.serialize(layer.kernel_regularizer),
        "kernel_constraint": keras.constraints.serialize(layer.kernel_constraint),
    }
