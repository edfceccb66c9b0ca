"""Image tokens and text tokens look at each other."""

import keras
from keras import ops

from tatl_keras.fusion.base import Fusion
from tatl_keras.fusion.features import token_mask
from tatl_keras.layers.attention import Attention
from tatl_keras.layers.checks import check_choice, check_dim
from tatl_keras.layers.execution import IMPLEMENTATIONS
from tatl_keras.layers.masking import zero_masked
from tatl_keras.layers.pooling import MaskedAveragePooling


@keras.saving.register_keras_serializable(package="tatl_keras")
class CrossAttentionFusion(Fusion):
    """Attends from each text token to the picture and from each image token to the text.

        X = LayerNorm(image_tokens)          (B, T, Di)
        Z = LayerNorm(text_tokens)           (B, L, Dt)
        a = mean over L of Attention(Z, X)   what the words saw in the picture
        b = mean over T of Attention(X, Z)   what the places read in the text
        y = [norm(image_pooled), norm(text_pooled), a, b]

    `Attention` is the talk's: the queries are the normalised tokens themselves. Shape letters:
    B batch, T image tokens, L text tokens, Di, Dt channels. norm is `PooledNormalization`. Means
    run over real tokens only. Where a modality is missing, its pooled vector, a and b are zero.

    Args:
        value_dim: channels of a and of b, integer of at least 1; None gives a Dt and b Di channels.
        dropout: fraction of the fused channels dropped in training, in [0, 1).
        implementation: of both attentions, "auto", "dense" or "chunked"; see `Attention`.
        seed: optional integer; fixes the initial weights and the dropout.
        **kwargs: `name`, `dtype`, `trainable`.

    Call arguments:
        features: dict with tokens, masks, pooled vectors and presence of both; see `Fusion`.
        training: whether to drop channels.
        return_attention_scores: whether to return the attention scores as well.

    Returns:
        Floats (B, Di + Dt + the channels of a and b). With `return_attention_scores=True` also a
        dict of float32 scores: `text_to_image` (B, L, T), rows are words; `image_to_text`
        (B, T, L), rows are places.

    Raises:
        ValueError: `value_dim` is below 1, `dropout` is outside [0, 1), `implementation` is unknown
            (or "chunked" where scores are returned), or a feature is missing or has a wrong shape.

    Example:

    >>> import numpy as np
    >>> from tatl_keras import fusion
    >>> features = {
    ...     "image_tokens": np.ones((2, 4, 3)), "image_mask": np.ones((2, 4), int),
    ...     "image_pooled": np.ones((2, 3)), "has_image": np.array([1, 1]),
    ...     "text_tokens": np.ones((2, 5, 2)), "text_mask": np.ones((2, 5), int),
    ...     "text_pooled": np.ones((2, 2)), "has_text": np.array([1, 0]),
    ... }
    >>> fused, scores = fusion.CrossAttentionFusion()(features, return_attention_scores=True)
    >>> tuple(fused.shape)
    (2, 10)
    >>> scores["text_to_image"][0, 0].numpy().round(6).tolist()
    [0.25, 0.25, 0.25, 0.25]
    >>> fused[1, 3:].numpy().tolist()
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]

    Reference:
        Lu et al., "ViLBERT", 2019, section 2.2, https://arxiv.org/abs/1908.02265 (attention in both
        directions; there with more projections, heads and layers).
    """

    uses = (
        "image_tokens",
        "image_pooled",
        "image_mask",
        "has_image",
        "text_tokens",
        "text_pooled",
        "text_mask",
        "has_text",
    )

    def __init__(self, value_dim=None, *, dropout=0.0, implementation="auto", seed=None, **kwargs):
        super().__init__(dropout=dropout, seed=seed, **kwargs)
        self.value_dim = None if value_dim is None else check_dim("value_dim", value_dim)
        self.implementation = check_choice("implementation", implementation, IMPLEMENTATIONS)
        common = {"dtype": self.dtype_policy}
        self.image_norm = keras.layers.LayerNormalization(epsilon=1e-5, name="image_norm", **common)
        self.text_norm = keras.layers.LayerNormalization(epsilon=1e-5, name="text_norm", **common)
        self.text_to_image, self.image_to_text = (
            Attention(
                value_dim,
                kernel_initializer=self.make_initializer(stream),
                implementation=implementation,
                name=name,
                **common,
            )
            for stream, name in ((1, "text_to_image"), (2, "image_to_text"))
        )
        self.average = MaskedAveragePooling(name="average", **common)

    def build(self, features_shape):
        super().build(features_shape)
        shapes = self.check(features_shape)
        image_shape, text_shape = shapes["image_tokens"], shapes["text_tokens"]
        self.image_norm.build(image_shape)
        self.text_norm.build(text_shape)
        self.text_to_image.build(text_shape, image_shape)
        self.image_to_text.build(image_shape, text_shape)

    def call(self, features, training=None, return_attention_scores=False):
        self.check_tensors(features)
        image_mask, text_mask = token_mask(features, "image"), token_mask(features, "text")
        image = self.image_norm(zero_masked(features["image_tokens"], image_mask))
        text = self.text_norm(zero_masked(features["text_tokens"], text_mask))
        wanted = {"return_attention_scores": return_attention_scores}
        seen = self.text_to_image(text, image, value_mask=image_mask, **wanted)
        read = self.image_to_text(image, text, value_mask=text_mask, **wanted)
        if return_attention_scores:
            (seen, seen_scores), (read, read_scores) = seen, read
        parts = [
            self.pooled(features, "image"),
            self.pooled(features, "text"),
            self.average(seen, mask=text_mask),
            self.average(read, mask=image_mask),
        ]
        fused = self.drop(ops.concatenate(parts, axis=-1), training=training)
        if not return_attention_scores:
            return fused
        return fused, {"text_to_image": seen_scores, "image_to_text": read_scores}

    def compute_output_shape(self, features_shape):
        shapes = self.check(features_shape)
        (batch, image_dim), text_dim = shapes["image_pooled"], shapes["text_pooled"][1]
        seen_dim = self.value_dim or shapes["text_tokens"][2]
        read_dim = self.value_dim or shapes["image_tokens"][2]
        return (batch, image_dim + text_dim + seen_dim + read_dim)

    def compute_output_spec(self, features, training=None, return_attention_scores=False):
        shapes = self.check_tensors(features)
        fused = keras.KerasTensor(self.compute_output_shape(shapes), dtype=self.compute_dtype)
        if not return_attention_scores:
            return fused
        precise = keras.backend.result_type(self.compute_dtype, "float32")
        batch, image_length = shapes["image_mask"]
        text_length = shapes["text_mask"][1]
        return fused, {
            "text_to_image": keras.KerasTensor((batch, text_length, image_length), dtype=precise),
            "image_to_text": keras.KerasTensor((batch, image_length, text_length), dtype=precise),
        }

    def get_config(self):
        return {
            **super().get_config(),
            "value_dim": self.value_dim,
            "implementation": self.implementation,
        }
