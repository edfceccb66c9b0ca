"""Pictures compared with texts that describe classes: no picture of any class is needed."""

import numpy as np

from tatl_keras.models.class_embeddings import unit_rows


def zero_shot_logits(image_features, class_embeddings, temperature=0.01):
    """How like each class's description each picture is, as logits.

        logits[i, c] = cos(x_i, e_c) / temperature

    Shape letters: N pictures, C classes, D channels.

    Args:
        image_features: floats (N, D), pooled features of pictures.
        class_embeddings: floats (C, D), of the same space; see `class_embeddings`.
        temperature: float > 0. Defaults to 0.01, what CLIP's training ends with.

    Returns:
        Floats (N, C), float64.

    Raises:
        ValueError: the shapes do not fit, a vector is not finite or zero, or the temperature is
            not above zero.

    Example:

    >>> from tatl_keras import training
    >>> pictures, classes = [[2.0, 0.0], [3.0, 3.0]], [[1.0, 0.0], [0.0, 1.0]]
    >>> training.zero_shot_logits(pictures, classes, temperature=0.5).round(3).tolist()
    [[2.0, 0.0], [1.414, 1.414]]

    Reference: Radford et al. 2021, section 3.1.2, https://arxiv.org/abs/2103.00020.
    """
    check_positive("temperature", temperature)
    units = unit_rows("image_features", image_features)
    classes = unit_rows("class_embeddings", class_embeddings)
    check_same_space(units, classes)
    return units @ classes.T / temperature


def check_positive(name, value):
    """Raises a ValueError unless a number is above zero and finite."""
    if not 0 < value < np.inf:
        raise ValueError(f"`{name}` must be a number above 0. Received: {name}={value!r}")


def check_same_space(image_features, classes):
    """Raises a ValueError unless both have the same number of channels."""
    if image_features.shape[1] != classes.shape[1]:
        raise ValueError(
            "`class_embeddings` must have as many channels as `image_features`: the encoders must "
            f"share a space. Received: class_embeddings.shape={classes.shape}, "
            f"image_features.shape={image_features.shape}."
        )
