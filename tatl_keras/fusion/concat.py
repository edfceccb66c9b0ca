"""Concatenation."""

import keras
from keras import ops

from tatl_keras.fusion.base import Fusion
from tatl_keras.layers.checks import check_dim


@keras.saving.register_keras_serializable(package="tatl_keras")
class ConcatFusion(Fusion):
    """Puts the normalised pooled vectors of image and text side by side.

        x = [norm(image), norm(text)]        (B, Di + Dt)
        y = x                                without `hidden_dim`: a linear head sees the features
        y = activation(x @ W + b)            with `hidden_dim`: (B, hidden_dim)

    Shape letters: B batch, Di, Dt channels. norm is `PooledNormalization`. A missing modality
    enters as zeros.

    Args:
        hidden_dim: width of the hidden layer, integer of at least 1; None for none.
        activation: of the hidden layer.
        dropout: fraction of the fused channels dropped in training, in [0, 1).
        seed: optional integer; fixes the initial weights and the dropout.
        **kwargs: `name`, `dtype`, `trainable`.

    Call arguments:
        features: dict with `image_pooled`, `has_image`, `text_pooled`, `has_text`; see `Fusion`.
        training: whether to drop channels.

    Returns:
        Floats (B, Di + Dt) or (B, hidden_dim).

    Raises:
        ValueError: `hidden_dim` is below 1, `dropout` is outside [0, 1), or a feature is missing
            or has a wrong shape.

    Example:

    >>> import numpy as np
    >>> from tatl_keras import fusion
    >>> features = {
    ...     "image_pooled": np.array([[3.0, 4.0], [0.0, 5.0]]), "has_image": np.array([1, 1]),
    ...     "text_pooled": np.array([[2.0], [2.0]]), "has_text": np.array([1, 0]),
    ... }
    >>> print(fusion.ConcatFusion()(features).numpy().round(1))
    [[ 9.6 12.8 16. ]
     [ 0.  16.   0. ]]
    """

    uses = ("image_pooled", "has_image", "text_pooled", "has_text")

    def __init__(self, hidden_dim=None, *, activation="gelu", dropout=0.0, seed=None, **kwargs):
        super().__init__(dropout=dropout, seed=seed, **kwargs)
        self.hidden_dim = None if hidden_dim is None else check_dim("hidden_dim", hidden_dim)
        self.activation = keras.activations.get(activation)
        self.hidden = None
        if self.hidden_dim:
            self.hidden = self.make_dense("hidden", self.hidden_dim, 1, activation=self.activation)

    def build(self, features_shape):
        super().build(features_shape)
        if self.hidden:
            shapes = self.check(features_shape)
            self.hidden.build((None, shapes["image_pooled"][1] + shapes["text_pooled"][1]))

    def call(self, features, training=None):
        self.check_tensors(features)
        fused = ops.concatenate(
            [self.pooled(features, "image"), self.pooled(features, "text")], axis=-1
        )
        if self.hidden:
            fused = self.hidden(fused)
        return self.drop(fused, training=training)

    def compute_output_shape(self, features_shape):
        shapes = self.check(features_shape)
        image, text = shapes["image_pooled"], shapes["text_pooled"]
        return (image[0], self.hidden_dim or image[1] + text[1])

    def get_config(self):
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "activation": keras.activations.serialize(self.activation),
        }
