"""Low-rank bilinear pooling."""

import keras
from keras import ops

from tatl_keras.fusion.base import Fusion
from tatl_keras.layers.checks import check_dim


@keras.saving.register_keras_serializable(package="tatl_keras")
class BilinearFusion(Fusion):
    """Multiplies a projection of the image with a projection of the text.

        f_v = activation(v @ U + b_v)        v = norm(image) (B, Di), f_v (B, rank)
        f_t = activation(t @ V + b_t)        t = norm(text)  (B, Dt), f_t (B, rank)
        y   = f_v * f_t                      (B, rank)
        y   = (f_v * f_t) @ P + b            with `output_dim`: (B, output_dim)

    Shape letters: B batch, Di, Dt channels. norm is `PooledNormalization`. The factor of a missing
    modality is replaced by ones, the neutral element of the product, so that the other passes
    through; a row without both gives a product of ones. The biases b_v, b_t start at one, so that
    y holds linear terms of both modalities beside their products.

    Args:
        rank: channels of the two projections, integer of at least 1.
        output_dim: channels after P, integer of at least 1; None for no P (a linear head that
            follows is one already).
        activation: of the two factors.
        dropout: fraction of the fused channels dropped in training, in [0, 1).
        seed: optional integer; fixes the initial weights and the dropout.
        **kwargs: `name`, `dtype`, `trainable`.

    Call arguments:
        features: dict with `image_pooled`, `has_image`, `text_pooled`, `has_text`; see `Fusion`.
        training: whether to drop channels.

    Returns:
        Floats (B, rank) or (B, output_dim).

    Raises:
        ValueError: `rank` or `output_dim` is below 1, `dropout` is outside [0, 1), or a feature is
            missing or has a wrong shape.

    Example:

    >>> import numpy as np
    >>> from tatl_keras import fusion
    >>> features = {
    ...     "image_pooled": np.ones((2, 3)), "has_image": np.array([1, 0]),
    ...     "text_pooled": np.ones((2, 2)), "has_text": np.array([1, 0]),
    ... }
    >>> fused = fusion.BilinearFusion(rank=4)(features)
    >>> tuple(fused.shape), fused[1].numpy().tolist()
    ((2, 4), [1.0, 1.0, 1.0, 1.0])

    Reference:
        Kim et al., "Hadamard Product for Low-rank Bilinear Pooling", 2017, section 3,
        https://arxiv.org/abs/1610.04325 (the model with linear bias vectors).
    """

    uses = ("image_pooled", "has_image", "text_pooled", "has_text")

    def __init__(
        self, rank=256, *, output_dim=None, activation=None, dropout=0.0, seed=None, **kwargs
    ):
        super().__init__(dropout=dropout, seed=seed, **kwargs)
        self.rank = check_dim("rank", rank)
        self.output_dim = None if output_dim is None else check_dim("output_dim", output_dim)
        self.activation = keras.activations.get(activation)
        factor = {"activation": self.activation, "bias_initializer": "ones"}
        self.image = self.make_dense("image", self.rank, 1, **factor)
        self.text = self.make_dense("text", self.rank, 2, **factor)
        self.project = None
        if self.output_dim:
            self.project = self.make_dense("project", self.output_dim, 3)

    def build(self, features_shape):
        super().build(features_shape)
        shapes = self.check(features_shape)
        self.image.build((None, shapes["image_pooled"][1]))
        self.text.build((None, shapes["text_pooled"][1]))
        if self.project:
            self.project.build((None, self.rank))

    def call(self, features, training=None):
        self.check_tensors(features)
        fused = self._factor(features, "image", self.image)
        fused = fused * self._factor(features, "text", self.text)
        if self.project:
            fused = self.project(fused)
        return self.drop(fused, training=training)

    def compute_output_shape(self, features_shape):
        batch = self.check(features_shape)["image_pooled"][0]
        return (batch, self.output_dim or self.rank)

    def get_config(self):
        return {
            **super().get_config(),
            "rank": self.rank,
            "output_dim": self.output_dim,
            "activation": keras.activations.serialize(self.activation),
        }

    def _factor(self, features, modality, projection):
        present = ops.expand_dims(ops.cast(features[f"has_{modality}"], "bool"), 1)
        return ops.where(present, projection(self.pooled(features, modality)), 1)
