"""One sequence of image tokens and text tokens."""

import keras
from keras import ops

from tatl_keras.fusion.base import Fusion
from tatl_keras.fusion.features import token_mask
from tatl_keras.layers.checks import check_choice, check_dim
from tatl_keras.layers.execution import IMPLEMENTATIONS
from tatl_keras.layers.masking import zero_masked
from tatl_keras.layers.pooling import MaskedAveragePooling
from tatl_keras.layers.seeds import derive_seed
from tatl_keras.layers.self_attention import SelfAttention


@keras.saving.register_keras_serializable(package="tatl_keras")
class JointAttentionFusion(Fusion):
    """Runs self-attention over image tokens and text tokens as one sequence.

        X = LayerNorm(image_tokens) @ W_i + b_i + e_image       (B, T, hidden_dim)
        Z = LayerNorm(text_tokens) @ W_t + b_t + e_text         (B, L, hidden_dim)
        S = [X, Z]                                              (B, T + L, hidden_dim)
        H = LayerNorm(S + SelfAttention(S))
        y = [norm(image_pooled), norm(text_pooled), mean of H over real tokens]

    e_image and e_text are learned modality embeddings. The gain of the last LayerNorm starts at
    0.1: the fusion starts near a concatenation, which is hard to beat on few examples. (At zero it
    would stay one under a head that starts at zero.) Shape letters: B batch, T image tokens, L text
    tokens, Di, Dt channels. norm is `PooledNormalization`. The tokens of a missing modality
    are masked and its pooled vector is zero; a row without both gives zeros.

    Args:
        hidden_dim: channels of the joint sequence, integer of at least 1.
        dropout: fraction of the fused channels dropped in training, in [0, 1).
        implementation: of the attention, "auto", "dense" or "chunked"; see `SelfAttention`.
        seed: optional integer; fixes the initial weights and the dropout.
        **kwargs: `name`, `dtype`, `trainable`.

    Call arguments:
        features: dict with tokens, masks, pooled vectors and presence of both; see `Fusion`.
        training: whether to drop channels.
        return_attention_scores: whether to return the attention scores as well.

    Returns:
        Floats (B, Di + Dt + hidden_dim). With `return_attention_scores=True` also a dict with
        `joint`, float32 scores (B, T + L, T + L) over image tokens, then text tokens.

    Raises:
        ValueError: `hidden_dim` is below 1, `dropout` is outside [0, 1), `implementation` is
            unknown (or "chunked" where scores are returned), or a feature is missing or has a wrong
            shape.

    Example:

    >>> import numpy as np
    >>> from tatl_keras import fusion
    >>> features = {
    ...     "image_tokens": np.ones((2, 4, 3)), "image_mask": np.ones((2, 4), int),
    ...     "image_pooled": np.ones((2, 3)), "has_image": np.array([1, 0]),
    ...     "text_tokens": np.ones((2, 5, 2)), "text_mask": np.ones((2, 5), int),
    ...     "text_pooled": np.ones((2, 2)), "has_text": np.array([1, 0]),
    ... }
    >>> layer = fusion.JointAttentionFusion(hidden_dim=6)
    >>> fused, scores = layer(features, return_attention_scores=True)
    >>> tuple(fused.shape), tuple(scores["joint"].shape)
    ((2, 11), (2, 9, 9))
    >>> print(fused[1].numpy())
    [0. 0. 0. 0. 0. 0. 0. 0. 0. 0. 0.]

    Reference:
        Kim et al., "ViLT", 2021, section 3.1, https://arxiv.org/abs/2102.03334 (one sequence with
        modality embeddings; there with more layers and heads).
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

    def __init__(self, hidden_dim=256, *, dropout=0.0, implementation="auto", seed=None, **kwargs):
        super().__init__(dropout=dropout, seed=seed, **kwargs)
        self.hidden_dim = check_dim("hidden_dim", hidden_dim)
        self.implementation = check_choice("implementation", implementation, IMPLEMENTATIONS)
        common = {"dtype": self.dtype_policy}
        self.image_norm = keras.layers.LayerNormalization(epsilon=1e-5, name="image_norm", **common)
        self.text_norm = keras.layers.LayerNormalization(epsilon=1e-5, name="text_norm", **common)
        self.image = self.make_dense("image", self.hidden_dim, 1)
        self.text = self.make_dense("text", self.hidden_dim, 2)
        self.attention = SelfAttention(
            self.hidden_dim,
            kernel_initializer=self.make_initializer(3),
            implementation=implementation,
            name="attention",
            **common,
        )
        self.joint_norm = keras.layers.LayerNormalization(
            epsilon=1e-5,
            gamma_initializer=keras.initializers.Constant(0.1),
            name="joint_norm",
            **common,
        )
        self.average = MaskedAveragePooling(name="average", **common)

    def build(self, features_shape):
        super().build(features_shape)
        shapes = self.check(features_shape)
        self.image_norm.build(shapes["image_tokens"])
        self.text_norm.build(shapes["text_tokens"])
        self.image.build(shapes["image_tokens"])
        self.text.build(shapes["text_tokens"])
        self.modality_embeddings = self.add_weight(
            name="modality_embeddings",
            shape=(2, self.hidden_dim),
            initializer=keras.initializers.RandomNormal(
                stddev=0.02, seed=derive_seed(self.seed, 4)
            ),
        )
        self.attention.build((None, None, self.hidden_dim))
        self.joint_norm.build((None, None, self.hidden_dim))

    def call(self, features, training=None, return_attention_scores=False):
        self.check_tensors(features)
        image_mask, text_mask = token_mask(features, "image"), token_mask(features, "text")
        mask = ops.concatenate([image_mask, text_mask], axis=1)
        image = self.image_norm(zero_masked(features["image_tokens"], image_mask))
        text = self.text_norm(zero_masked(features["text_tokens"], text_mask))
        image = self.image(image) + self.modality_embeddings[0]
        text = self.text(text) + self.modality_embeddings[1]
        tokens = ops.concatenate([image, text], axis=1)
        attended = self.attention(
            tokens, padding_mask=mask, return_attention_scores=return_attention_scores
        )
        if return_attention_scores:
            attended, scores = attended
        parts = [
            self.pooled(features, "image"),
            self.pooled(features, "text"),
            self.average(self.joint_norm(tokens + attended), mask=mask),
        ]
        fused = self.drop(ops.concatenate(parts, axis=-1), training=training)
        return (fused, {"joint": scores}) if return_attention_scores else fused

    def compute_output_shape(self, features_shape):
        shapes = self.check(features_shape)
        (batch, image_dim), text_dim = shapes["image_pooled"], shapes["text_pooled"][1]
        return (batch, image_dim + text_dim + self.hidden_dim)

    def compute_output_spec(self, features, training=None, return_attention_scores=False):
        shapes = self.check_tensors(features)
        fused = keras.KerasTensor(self.compute_output_shape(shapes), dtype=self.compute_dtype)
        if not return_attention_scores:
            return fused
        precise = keras.backend.result_type(self.compute_dtype, "float32")
        lengths = (shapes["image_mask"][1], shapes["text_mask"][1])
        total = None if None in lengths else sum(lengths)
        shape = (shapes["image_mask"][0], total, total)
        return fused, {"joint": keras.KerasTensor(shape, dtype=precise)}

    def get_config(self):
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "implementation": self.implementation,
        }
