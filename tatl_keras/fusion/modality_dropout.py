"""Rows that lose a modality in training."""

import keras
from keras import ops

from tatl_keras.layers.checks import check_rate
from tatl_keras.layers.seeds import derive_seed


@keras.saving.register_keras_serializable(package="tatl_keras")
class ModalityDropout(keras.layers.Layer):
    """Takes image or text away from some rows in training, so that a model learns to do without.

        row with both    keeps both with probability 1 - rate,
                         loses its image with rate / 2, its text with rate / 2
        any other row    stays as it is: nothing is ever taken away that is the last

    What is lost is told by the masks and presences alone, which become 0; a fusion reads nothing
    behind them. Each row is drawn on its own. Outside training nothing happens.

    Args:
        rate: fraction of the rows that have both and lose one of them, in [0, 1).
        seed: optional integer; fixes which rows lose what.
        **kwargs: `name`, `dtype`, `trainable`.

    Call arguments:
        features: dict of features, see `Fusion`; without `has_image` and `has_text` it is returned
            as it is.
        training: whether to take anything away.

    Returns:
        The dict, with other masks and presences.

    Raises:
        ValueError: `rate` is outside [0, 1).

    Example:

    >>> import numpy as np
    >>> from tatl_keras import fusion
    >>> features = {"has_image": np.ones(1000, int), "has_text": np.ones(1000, int)}
    >>> kept = fusion.ModalityDropout(0.4, seed=1)(features, training=True)
    >>> images, texts = kept["has_image"].numpy(), kept["has_text"].numpy()
    >>> bool((images | texts).all()), abs(float((images & texts).mean()) - 0.6) < 0.05
    (True, True)

    Reference: Neverova et al., "ModDrop: adaptive multi-modal gesture recognition", 2015, section
    4.2, https://arxiv.org/abs/1501.00102 (there each modality is dropped on its own).
    """

    def __init__(self, rate, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.rate = check_rate("rate", rate)
        self.seed = seed
        self.autocast = False
        if self.rate:
            self.seed_generator = keras.random.SeedGenerator(derive_seed(seed, 0))
        self.built = True

    def call(self, features, training=None):
        if not training or not self.rate or not {"has_image", "has_text"} <= features.keys():
            return features
        has_image = ops.cast(features["has_image"], "bool")
        has_text = ops.cast(features["has_text"], "bool")
        draw = keras.random.uniform(ops.shape(has_image), dtype="float32", seed=self.seed_generator)
        draw = ops.where(ops.logical_and(has_image, has_text), draw, 1.0)
        kept = {
            "image": draw >= self.rate / 2,
            "text": ops.logical_or(draw < self.rate / 2, draw >= self.rate),
        }
        return {name: _masked(name, value, kept) for name, value in features.items()}

    def compute_output_spec(self, features, training=None):
        return features

    def get_config(self):
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


def _masked(name, value, kept):
    """A mask or presence, 0 where its modality is not kept; anything else as it is."""
    modality = "image" if "image" in name else "text"
    if not name.startswith("has_") and not name.endswith("_mask"):
        return value
    kept = ops.cast(kept[modality], value.dtype)
    return value * (kept[:, None] if name.endswith("_mask") else kept)
