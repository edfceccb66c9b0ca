"""A model that has learned nothing, with weights like those of one that has."""

import copy

import keras
import numpy as np
import tensorflow as tf

from tatl_keras.models.explanation.answers import Answers, functions_of

DRAWS = 3


def random_answers(model):
    """The model with random weights, three times.

    In every weight of the encoders, the fusion and the head the entries are exchanged at random
    among themselves: their distribution stays, all that was learned is gone. Batch normalisation is
    folded into the weights of convolutions before. Encoders are made once and kept with the model;
    fusion and head are made of their weights as they are now, since `fit` changes them.

    Args:
        model: a `TextAssistedClassifier`.

    Returns:
        List of `Answers`.
    """
    functions = functions_of(model)
    kept = model._explaining[2]
    if "random" not in kept:
        kept["random"] = [_encoders(functions, draw) for draw in range(DRAWS)]
    found = []
    for encoders, rng in kept["random"]:
        deciding = _all_exchanged(functions.deciding, copy.deepcopy(rng))
        found.append(Answers(model, encoders | {"deciding": deciding}))
    return found


def _encoders(functions, draw):
    """Random weights of each encoder, and the generator that draws what comes behind them."""
    rng = np.random.default_rng([draw, 8])
    networks = functions.networks.items()
    return {modality: _all_exchanged(one.variables, rng) for modality, one in networks}, rng


def _all_exchanged(variables, rng):
    return [_exchanged(variable, rng) for variable in variables]


def _exchanged(variable, rng):
    value = keras.ops.convert_to_numpy(variable)
    if value.ndim and np.issubdtype(np.asarray(value, np.float32).dtype, np.floating):
        if keras.backend.is_float_dtype(keras.backend.standardize_dtype(variable.dtype)):
            value = rng.permutation(value.reshape(-1)).reshape(value.shape)
    return tf.convert_to_tensor(value)
