"""CLIP's two towers, each with its projection: tokens of pictures and of texts in one space."""

import keras
import keras_hub
import numpy as np
from keras import ops

from tatl_keras.encoders.tower import Tower, as_policy, exponential


@keras.saving.register_keras_serializable(package="tatl_keras")
class CLIPImageTower(Tower):
    """CLIP's vision transformer, every token projected into the space shared with texts.

        sequence = transformer(class token, patches)     (B, 1 + N, hidden_dim)
        output   = sequence @ W                          (B, 1 + N, D)

    `output[:, 0]` is the picture's embedding, as `CLIPBackbone.get_vision_embeddings` gives it.

    Shape letters: B batch, N patches, D = `projection_dim`.

    Args:
        patch_size: int, side of a patch in pixels.
        hidden_dim, num_layers, num_heads, intermediate_dim: ints, of the transformer.
        projection_dim: int, channels of the shared space.
        intermediate_activation: name of an activation. Defaults to "quick_gelu".
        image_shape: (height, width, channels) of the pictures, height = width.
        dtype: dtype or policy of the computation.
        **kwargs: `name`, `trainable`.

    Call arguments:
        inputs: floats (B, H, W, 3).

    Returns:
        Floats (B, 1 + N, D).

    Raises:
        ValueError: `hidden_dim` is no multiple of `num_heads`, or the pictures are not square.

    Example:

    >>> from tatl_keras.encoders.clip import CLIPImageTower
    >>> CLIPImageTower(8, 16, 2, 2, 32, 12, image_shape=(32, 32, 3)).output_shape
    (None, 17, 12)

    Reference: Radford et al. 2021, section 2.4, https://arxiv.org/abs/2103.00020.
    """

    kind, whole = "image", keras_hub.models.CLIPBackbone

    def __init__(
        self,
        patch_size,
        hidden_dim,
        num_layers,
        num_heads,
        intermediate_dim,
        projection_dim,
        *,
        intermediate_activation="quick_gelu",
        image_shape=(224, 224, 3),
        dtype=None,
        **kwargs,
    ):
        policy = as_policy(dtype)
        arguments = dict(
            patch_size=patch_size,
            hidden_dim=hidden_dim,
            num_layers=num_layers,
            num_heads=num_heads,
            intermediate_dim=intermediate_dim,
            intermediate_activation=intermediate_activation,
            image_shape=tuple(image_shape),
        )
        encoder = keras_hub.models.CLIPVisionEncoder(**arguments, dtype=policy)
        places = encoder.embedding.position_ids  # KerasHub leaves them zero without a preset
        places.assign(np.arange(places.shape[1])[None])
        outputs = _projection(projection_dim, policy, "vision_projection")(encoder.output)
        arguments["projection_dim"] = projection_dim
        super().__init__(encoder, encoder.input["images"], outputs, arguments, policy, **kwargs)

    @staticmethod
    def halve(backbone):
        parts = backbone.vision_encoder, backbone.vision_projection
        return parts, {"projection_dim": backbone.projection_dim}


@keras.saving.register_keras_serializable(package="tatl_keras")
class CLIPTextTower(Tower):
    """CLIP's text transformer, every token projected into the space shared with pictures.

        sequence = transformer(token_ids)                (B, L, hidden_dim), causal
        output   = (sequence @ W) mask                   (B, L, D)

    The output at the end token, the last real one, is the text's embedding, as
    `CLIPBackbone.get_text_embeddings` gives it.

    Shape letters: B batch, L text length, D = `projection_dim`.

    Args:
        vocabulary_size: int.
        hidden_dim, num_layers, num_heads, intermediate_dim: ints, of the transformer.
        projection_dim: int, channels of the shared space.
        intermediate_activation: name of an activation. Defaults to "quick_gelu".
        max_sequence_length: int, largest L. Defaults to 77.
        logit_scale: float, what cosines of pictures and texts are multiplied by to be logits; kept
            for heads that are made of class texts. Defaults to 100, which CLIP's training ends at.
        dtype: dtype or policy of the computation.
        **kwargs: `name`, `trainable`.

    Call arguments:
        inputs: dict of "token_ids" and "padding_mask", ints (B, L); real tokens come first.

    Returns:
        Floats (B, L, D).

    Raises:
        ValueError: `hidden_dim` is no multiple of `num_heads`.

    Example:

    >>> from tatl_keras.encoders.clip import CLIPTextTower
    >>> CLIPTextTower(31, 16, 2, 2, 32, 12).output_shape
    (None, None, 12)

    Reference: Radford et al. 2021, section 2.4, https://arxiv.org/abs/2103.00020.
    """

    kind, whole = "text", keras_hub.models.CLIPBackbone
    pooling = "end"

    def __init__(
        self,
        vocabulary_size,
        hidden_dim,
        num_layers,
        num_heads,
        intermediate_dim,
        projection_dim,
        *,
        intermediate_activation="quick_gelu",
        max_sequence_length=77,
        logit_scale=100.0,
        dtype=None,
        **kwargs,
    ):
        policy = as_policy(dtype)
        arguments = dict(
            vocabulary_size=vocabulary_size,
            hidden_dim=hidden_dim,
            num_layers=num_layers,
            num_heads=num_heads,
            intermediate_dim=intermediate_dim,
            intermediate_activation=intermediate_activation,
            max_sequence_length=max_sequence_length,
        )
        encoder = keras_hub.models.CLIPTextEncoder(
            **arguments, embedding_dim=hidden_dim, dtype=policy
        )
        mask = keras.Input((None,), dtype="int32", name="padding_mask")
        outputs = _projection(projection_dim, policy, "text_projection")(encoder.output)
        outputs = outputs * ops.cast(mask, outputs.dtype)[..., None]
        arguments |= dict(projection_dim=projection_dim, logit_scale=logit_scale)
        inputs = {**encoder.input, "padding_mask": mask}
        super().__init__(encoder, inputs, outputs, arguments, policy, **kwargs)

    @staticmethod
    def halve(backbone):
        facts = {"projection_dim": backbone.projection_dim}
        facts |= {"logit_scale": exponential(backbone.clip_head.logit_scale)}
        return (backbone.text_encoder, backbone.text_projection), facts


def _projection(channels, policy, name):
    return keras.layers.Dense(channels, use_bias=False, dtype=policy, name=name)
