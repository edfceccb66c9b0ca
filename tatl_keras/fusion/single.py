"""One modality alone, as a control."""

import keras

from tatl_keras.fusion.base import Fusion


@keras.saving.register_keras_serializable(package="tatl_keras")
class SingleModality(Fusion):
    """Passes on the normalised pooled vector of image or text and never reads the other.

        y = norm(pooled)                     (B, D)

    Shape letters: B batch, D channels. norm is `PooledNormalization`. A row without the modality
    gives zeros.

    Args:
        modality: "image" or "text".
        dropout: fraction of the channels dropped in training, in [0, 1).
        seed: optional integer; fixes the dropout.
        **kwargs: `name`, `dtype`, `trainable`.

    Call arguments:
        features: dict with `image_pooled`, `has_image` or `text_pooled`, `has_text`; see `Fusion`.
        training: whether to drop channels.

    Returns:
        Floats (B, D).

    Raises:
        ValueError: `modality` is neither "image" nor "text", `dropout` is outside [0, 1), or a
            feature is missing or has a wrong shape.

    Example:

    >>> import numpy as np
    >>> from tatl_keras import fusion
    >>> features = {"text_pooled": np.array([[0.0, 2.0]]), "has_text": np.array([1])}
    >>> print(fusion.SingleModality("text")(features).numpy().round(3))
    [[ 0. 16.]]
    """

    def __init__(self, modality, *, dropout=0.0, seed=None, **kwargs):
        super().__init__(dropout=dropout, seed=seed, **kwargs)
        if modality not in ("image", "text"):
            raise ValueError(
                '`modality` must be "image" or "text". '
                f"Received: modality={modality!r}. Use another fusion to join both."
            )
        self.modality = modality

    @property
    def uses(self):
        return (f"{self.modality}_pooled", f"has_{self.modality}")

    def call(self, features, training=None):
        self.check_tensors(features)
        return self.drop(self.pooled(features, self.modality), training=training)

    def compute_output_shape(self, features_shape):
        return self.check(features_shape)[f"{self.modality}_pooled"]

    def get_config(self):
        return {**super().get_config(), "modality": self.modality}
