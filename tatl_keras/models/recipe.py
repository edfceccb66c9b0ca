"""The default way to train, chosen for small data."""

import keras

from tatl_keras.encoders import ImageEncoder, TransformerTextEncoder

_PRETRAINED = (ImageEncoder, TransformerTextEncoder)


def default_optimizer(fusion, encoders):
    """The optimizer that `compile(optimizer="auto")` takes.

    A linear head on frozen encoders is a convex problem: gradient descent that starts at zero
    follows the solutions that an L2 penalty of falling strength has (Suggala, Prasad and Ravikumar,
    "Connecting Optimization and Regularization Paths", 2018), where Adam's per-weight steps do not:
    one to four points on small data. The learning rate fits vectors of the length that
    `fusion.PooledNormalization` gives.

    Args:
        fusion: the fusion layer, built.
        encoders: dict from modality to encoder.

    Returns:
        SGD (0.002, Nesterov momentum 0.9) for a linear head; else Adam, with 1e-4 where a
        pretrained encoder learns and 1e-3 otherwise.
    """
    if not fusion.trainable_weights and all(encoder.frozen for encoder in encoders.values()):
        return keras.optimizers.SGD(0.002, momentum=0.9, nesterov=True)
    fine_tunes = any(
        isinstance(encoder, _PRETRAINED) and encoder.preset and not encoder.frozen
        for encoder in encoders.values()
    )
    return keras.optimizers.Adam(1e-4 if fine_tunes else 1e-3)
