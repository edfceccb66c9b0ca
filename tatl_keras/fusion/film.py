"""Feature-wise linear modulation."""

import keras

from tatl_keras.fusion.base import Fusion
from tatl_keras.layers.masking import zero_masked


@keras.saving.register_keras_serializable(package="tatl_keras")
class FiLMFusion(Fusion):
    """Lets the text scale and shift each channel of the image vector.

        gamma = 1 + t @ W_gamma + b_gamma    t = norm(text)  (B, Dt)
        beta  = t @ W_beta + b_beta
        y     = gamma * v + beta             v = norm(image) (B, Di)

    Shape letters: B batch, Di, Dt channels. norm is `PooledNormalization`. Without text gamma is 1
    and beta 0, so that the image passes unchanged; without an image y is beta; a row without both
    gives zeros. W_gamma starts at zero: the fusion starts as a sum and learns to modulate.

    Args:
        dropout: fraction of the fused channels dropped in training, in [0, 1).
        seed: optional integer; fixes the initial weights and the dropout.
        **kwargs: `name`, `dtype`, `trainable`.

    Call arguments:
        features: dict with `image_pooled`, `has_image`, `text_pooled`, `has_text`; see `Fusion`.
        training: whether to drop channels.

    Returns:
        Floats (B, Di).

    Raises:
        ValueError: `dropout` is outside [0, 1), or a feature is missing or has a wrong shape.

    Example:

    >>> import numpy as np
    >>> from tatl_keras import fusion
    >>> features = {
    ...     "image_pooled": np.ones((2, 3)), "has_image": np.array([1, 1]),
    ...     "text_pooled": np.ones((2, 2)), "has_text": np.array([1, 0]),
    ... }
    >>> fused = fusion.FiLMFusion()(features)
    >>> print(tuple(fused.shape), fused[1].numpy().round(3))
    (2, 3) [9.238 9.238 9.238]

    Reference:
        Perez et al., "FiLM: Visual Reasoning with a General Conditioning Layer", 2018, section 2.1,
        https://arxiv.org/abs/1709.07871 (there applied to feature maps, here to the pooled vector).
    """

    uses = ("image_pooled", "has_image", "text_pooled", "has_text")

    def __init__(self, *, dropout=0.0, seed=None, **kwargs):
        super().__init__(dropout=dropout, seed=seed, **kwargs)
        self.scale = None
        self.shift = None

    def build(self, features_shape):
        super().build(features_shape)
        shapes = self.check(features_shape)
        image_dim, text_dim = shapes["image_pooled"][1], shapes["text_pooled"][1]
        self.scale = self.make_dense("scale", image_dim, 1, kernel_initializer="zeros")
        self.shift = self.make_dense("shift", image_dim, 2)
        self.scale.build((None, text_dim))
        self.shift.build((None, text_dim))

    def call(self, features, training=None):
        self.check_tensors(features)
        image, text = self.pooled(features, "image"), self.pooled(features, "text")
        gamma = 1 + zero_masked(self.scale(text), features["has_text"])
        beta = zero_masked(self.shift(text), features["has_text"])
        return self.drop(gamma * image + beta, training=training)

    def compute_output_shape(self, features_shape):
        return self.check(features_shape)["image_pooled"]
