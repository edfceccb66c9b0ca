"""What training changes in a model, as arrays."""

import keras
import numpy as np


def trained_weights(model):
    """The weights that learn, and the statistics that follow them, as float32 arrays.

    These are the trainable weights in their order, then the moving mean and variance of each batch
    normalisation that is not frozen. Frozen encoders, counts of classes and seeds are left out.

    Args:
        model: a built `keras.Model`.

    Returns:
        List of arrays.

    Example:

    >>> from tatl_keras import training, zoo
    >>> model = zoo.build("test_efficientnet_image_only", num_classes=2)
    >>> [weights.shape for weights in training.trained_weights(model)]
    [(24, 2), (2,)]
    """
    return [_array(variable) for variable in _variables(model)]


def put_trained_weights(model, arrays):
    """Gives a model what `trained_weights` returned.

    Raises:
        ValueError: the arrays are not those of this model.
    """
    variables = _variables(model)
    expected = [tuple(variable.shape) for variable in variables]
    found = [np.shape(array) for array in arrays]
    if found != expected:
        differing = [pair for pair in zip(expected, found, strict=False) if pair[0] != pair[1]]
        first = f"{differing[0][1]} in place of {differing[0][0]}" if differing else "equal shapes"
        raise ValueError(
            f"`ingredients` must hold {len(expected)} arrays each, as trained_weights(model) "
            f"gives. Received: {len(found)} arrays, {first}"
        )
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


def _variables(model):
    normalizations = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable and layer.built
    ]
    statistics = [(layer.moving_mean, layer.moving_variance) for layer in normalizations]
    return [*model.trainable_variables, *(moving for pair in statistics for moving in pair)]


def _array(variable):
    return np.array(keras.ops.convert_to_numpy(variable), np.float32)
