"""A model that has learned nothing, with weights like those of one that has."""

import keras
import numpy as np
import tensorflow as tf

from tatl_keras.models.explanation.answers import Answers, functions_of

DRAWS = 3


def random_answers(model):
    """The model with random weights, three times: made once and kept with it.

    In every weight of the encoders, the fusion and the head the entries are exchanged at random
    among themselves: their distribution stays, all that was learned is gone. Batch normalisation is
    folded into the weights of convolutions before.

    Args:
        model: a `TextAssistedClassifier`.

    Returns:
        List of `Answers`.
    """
    functions = functions_of(model)
    kept = model._explaining[2]
    if "random" not in kept:
        kept["random"] = [_drawn(model, functions, draw) for draw in range(DRAWS)]
    return kept["random"]


def _drawn(model, functions, draw):
    rng = np.random.default_rng([draw, 8])
    parts = {modality: network.variables for modality, network in functions.networks.items()}
    parts["deciding"] = functions.deciding
    weights = {
        part: [_exchanged(variable, rng) for variable in variables]
        for part, variables in parts.items()
    }
    return Answers(model, weights)


def _exchanged(variable, rng):
    value = keras.ops.convert_to_numpy(variable)
    if value.ndim and np.issubdtype(np.asarray(value, np.float32).dtype, np.floating):
        if keras.backend.is_float_dtype(keras.backend.standardize_dtype(variable.dtype)):
            value = rng.permutation(value.reshape(-1)).reshape(value.shape)
    return tf.convert_to_tensor(value)
