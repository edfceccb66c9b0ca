"""Tip-Adapter's cache: each labelled picture votes for its class, near ones louder."""

import numpy as np

from tatl_keras.models.class_embeddings import check_labels, unit_rows
from tatl_keras.training.zero_shot import check_positive, check_same_space

_MOST_ELEMENTS = 2**24


def tip_adapter_logits(
    image_features, key_features, key_labels, num_classes, sharpness=5.5, folds=None
):
    """What a cache of labelled pictures says of others, without any training.

        logits[i, c] = sum over keys j of class c: exp(-sharpness (1 - cos(x_i, k_j)))

    Added to zero-shot logits with a factor alpha (1 in the paper) it makes Tip-Adapter. With
    `folds` the pictures are the keys, and those of a picture's own fold are absent from its sum,
    which is exactly what the cache without them says of it. With a fold for each picture
    (`numpy.arange(N)`) that is leave-one-out.

    Shape letters: N pictures, K keys, C classes, D channels.

    Args:
        image_features: floats (N, D), pooled features.
        key_features: floats (K, D), those of the labelled pictures; K may be 0.
        key_labels: ints (K,), from 0 to C - 1.
        num_classes: int, C.
        sharpness: float > 0, beta in the paper: how fast a vote fades with distance.
        folds: ints (N,), or `None`; `image_features` and `key_features` must then be the same rows.

    Returns:
        Floats (N, C), float64, from 0 to the number of keys of a class.

    Raises:
        ValueError: the shapes do not fit, a label is out of range, a vector is not finite or zero,
            `sharpness` is not above zero, or `folds` are not one for each row and key.

    Example:

    >>> from tatl_keras import training
    >>> keys, labels = [[1.0, 0.0], [0.0, 1.0], [0.0, 2.0]], [0, 1, 1]
    >>> training.tip_adapter_logits([[5.0, 0.0]], keys, labels, 2, sharpness=1.0).round(3).tolist()
    [[1.0, 0.736]]
    >>> training.tip_adapter_logits(keys, keys, labels, 2, 1.0, [0, 1, 2]).round(3).tolist()
    [[0.0, 0.736], [0.368, 1.0], [0.368, 1.0]]

    Reference: Zhang et al. 2022, "Tip-Adapter", section 3.1, https://arxiv.org/abs/2111.03930.
    """
    check_positive("sharpness", sharpness)
    rows, keys = (
        unit_rows("image_features", image_features),
        unit_rows("key_features", key_features),
    )
    labels, _ = check_labels(key_labels, len(keys), num_classes)
    check_same_space(rows, keys)
    if folds is not None:
        folds = np.asarray(folds)
        if not folds.shape == (len(rows),) == (len(keys),):
            raise ValueError(
                "`folds` must be one integer for each row, the rows being the keys. Received: "
                f"folds.shape={folds.shape} for {len(rows)} rows and {len(keys)} keys."
            )
    targets = np.eye(num_classes)[labels]
    found, size = np.zeros((len(rows), num_classes)), max(1, _MOST_ELEMENTS // max(1, len(keys)))
    for first in range(0, len(rows), size):
        part = slice(first, first + size)
        votes = np.exp(-sharpness * (1 - rows[part] @ keys.T))
        if folds is not None:
            votes[folds[part, None] == folds] = 0.0
        found[part] = votes @ targets
    return found
