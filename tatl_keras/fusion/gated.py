"""The gated multimodal unit."""

import keras
from keras import ops

from tatl_keras.fusion.base import Fusion
from tatl_keras.layers.checks import check_dim


@keras.saving.register_keras_serializable(package="tatl_keras")
class GatedFusion(Fusion):
    """Weighs image against text, channel by channel.

        h_v = tanh(v @ W_v)                  v = norm(image) (B, Di)
        h_t = tanh(t @ W_t)                  t = norm(text)  (B, Dt)
        z   = sigmoid([v, t] @ W_z)          (B, hidden_dim)
        y   = z * h_v + (1 - z) * h_t

    There is no bias. Shape letters: B batch, Di, Dt channels. norm is `PooledNormalization`. Where
    one modality is missing the gate goes to the other side: z is 1 without text, 0 without image.
    A row without both gives zeros.

    Args:
        hidden_dim: channels of the output, integer of at least 1.
        dropout: fraction of the fused channels dropped in training, in [0, 1).
        seed: optional integer; fixes the initial weights and the dropout.
        **kwargs: `name`, `dtype`, `trainable`.

    Call arguments:
        features: dict with `image_pooled`, `has_image`, `text_pooled`, `has_text`; see `Fusion`.
        training: whether to drop channels.

    Returns:
        Floats (B, hidden_dim).

    Raises:
        ValueError: `hidden_dim` is below 1, `dropout` is outside [0, 1), or a feature is missing
            or has a wrong shape.

    Example:

    >>> import numpy as np
    >>> from tatl_keras import fusion
    >>> features = {
    ...     "image_pooled": np.ones((2, 3)), "has_image": np.array([1, 0]),
    ...     "text_pooled": np.ones((2, 2)), "has_text": np.array([1, 0]),
    ... }
    >>> fused = fusion.GatedFusion(hidden_dim=4)(features)
    >>> tuple(fused.shape), fused[1].numpy().tolist()
    ((2, 4), [0.0, 0.0, 0.0, 0.0])

    Reference:
        Arevalo et al., "Gated Multimodal Units for Information Fusion", 2017, the bimodal unit of
        section 3, https://arxiv.org/abs/1702.01992
    """

    uses = ("image_pooled", "has_image", "text_pooled", "has_text")

    def __init__(self, hidden_dim=256, *, dropout=0.0, seed=None, **kwargs):
        super().__init__(dropout=dropout, seed=seed, **kwargs)
        self.hidden_dim = check_dim("hidden_dim", hidden_dim)
        self.image = self.make_dense("image", self.hidden_dim, 1, activation="tanh", use_bias=False)
        self.text = self.make_dense("text", self.hidden_dim, 2, activation="tanh", use_bias=False)
        self.gate = self.make_dense(
            "gate", self.hidden_dim, 3, activation="sigmoid", use_bias=False
        )

    def build(self, features_shape):
        super().build(features_shape)
        shapes = self.check(features_shape)
        image_dim, text_dim = shapes["image_pooled"][1], shapes["text_pooled"][1]
        self.image.build((None, image_dim))
        self.text.build((None, text_dim))
        self.gate.build((None, image_dim + text_dim))

    def call(self, features, training=None):
        self.check_tensors(features)
        image, text = self.pooled(features, "image"), self.pooled(features, "text")
        has_image = ops.expand_dims(ops.cast(features["has_image"], "bool"), 1)
        has_text = ops.expand_dims(ops.cast(features["has_text"], "bool"), 1)
        gate = self.gate(ops.concatenate([image, text], axis=-1))
        gate = ops.where(has_text, gate, 1)
        gate = ops.where(has_image, gate, 0)
        return self.drop(gate * self.image(image) + (1 - gate) * self.text(text), training=training)

    def compute_output_shape(self, features_shape):
        return (self.check(features_shape)["image_pooled"][0], self.hidden_dim)

    def get_config(self):
        return {**super().get_config(), "hidden_dim": self.hidden_dim}
