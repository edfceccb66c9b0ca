"""SigLIP's two towers: tokens of pictures and texts, and what its heads make of them."""

import keras
import keras_hub
from keras import ops

from tatl_keras.encoders.tower import Tower, as_policy, exponential


@keras.saving.register_keras_serializable(package="tatl_keras")
class SigLIPImageTower(Tower):
    """SigLIP's vision transformer: what its head makes of all patches, then the patches.

        x       = norm(transformer(patches))             (B, N, hidden_dim)
        h       = attention(probe, x, x)                 (B, hidden_dim), the probe learned
        pooled  = h + MLP(norm(h))                       (B, hidden_dim)
        output  = pooled, x                              (B, 1 + N, hidden_dim)

    `output[:, 0]` is the picture's embedding, as `SigLIPBackbone.get_vision_embeddings` gives it.
    Only that one is in the space shared with texts.

    Shape letters: B batch, N patches.

    Args:
        patch_size: int, side of a patch in pixels.
        hidden_dim, num_layers, num_heads, intermediate_dim: ints, of the transformer.
        intermediate_activation: name of an activation. Defaults to "gelu_approximate".
        layer_norm_epsilon: float. Defaults to 1e-6.
        image_shape: (height, width, channels) of the pictures, height = width.
        dtype: dtype or policy of the computation.
        **kwargs: `name`, `trainable`.

    Call arguments:
        inputs: floats (B, H, W, 3).

    Returns:
        Floats (B, 1 + N, hidden_dim).

    Raises:
        ValueError: `hidden_dim` is no multiple of `num_heads`, or the pictures are not square.

    Example:

    >>> from tatl_keras.encoders.siglip import SigLIPImageTower
    >>> SigLIPImageTower(8, 12, 2, 2, 32, image_shape=(32, 32, 3)).output_shape
    (None, 17, 12)

    Reference: Zhai et al. 2023, "Sigmoid Loss for Language Image Pre-Training",
    https://arxiv.org/abs/2303.15343; the head: Zhai et al. 2022, "Scaling Vision Transformers",
    section 3.2, https://arxiv.org/abs/2106.04560.
    """

    kind, whole = "image", keras_hub.models.SigLIPBackbone

    def __init__(
        self,
        patch_size,
        hidden_dim,
        num_layers,
        num_heads,
        intermediate_dim,
        *,
        intermediate_activation="gelu_approximate",
        layer_norm_epsilon=1e-6,
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
            layer_norm_epsilon=layer_norm_epsilon,
            image_shape=tuple(image_shape),
        )
        encoder = keras_hub.models.SigLIPVisionEncoder(**arguments, dtype=policy)
        count = encoder.embedding.num_positions  # KerasHub's symbolic shape counts one too many
        patches = encoder.post_layer_norm.output[:, :count]
        outputs = ops.concatenate([encoder.output[:, None], patches], axis=1)
        super().__init__(encoder, encoder.input["images"], outputs, arguments, policy, **kwargs)

    @staticmethod
    def halve(backbone):
        return (backbone.vision_encoder,), {}


@keras.saving.register_keras_serializable(package="tatl_keras")
class SigLIPTextTower(Tower):
    """SigLIP's text transformer, every token projected into the space shared with pictures.

        sequence = norm(transformer(token_ids)) @ W + b  (B, M, D), not causal, nothing masked
        pooled   = sequence at the last place            (B, D)
        tokens   = sequence, the first L places, · mask  (B, L, D)

    The model was trained on texts filled up to M = `max_sequence_length` places by its end token,
    and reads all of them; so texts are filled up here, and ids in masked places do not count.
    `pooled` is the text's embedding, as `SigLIPBackbone.get_text_embeddings` gives it.

    Shape letters: B batch, L text length, D = `projection_dim`.

    Args:
        vocabulary_size: int.
        hidden_dim, num_layers, num_heads, intermediate_dim: ints, of the transformer.
        projection_dim: int, channels of the shared space; the `hidden_dim` of the other tower.
        intermediate_activation: name of an activation. Defaults to "gelu_approximate".
        layer_norm_epsilon: float. Defaults to 1e-6.
        max_sequence_length: int, largest L. Defaults to 64.
        pad_token_id: int, the id that fills texts up. Defaults to 1, the end token's.
        logit_scale, logit_bias: floats, what cosines of pictures and texts are multiplied by, and
            what is added, to be logits; kept for heads that are made of class texts. Default to 10
            and -10, which SigLIP's training starts from.
        dtype: dtype or policy of the computation.
        **kwargs: `name`, `trainable`.

    Call arguments:
        inputs: dict of "token_ids" and "padding_mask", ints (B, L); real tokens come first.

    Returns:
        A dict of "sequence_output" (B, L, D) and "pooled_output" (B, D), floats.

    Raises:
        ValueError: `hidden_dim` is no multiple of `num_heads`.

    Example:

    >>> from tatl_keras.encoders.siglip import SigLIPTextTower
    >>> SigLIPTextTower(31, 16, 2, 2, 32, 12).output["pooled_output"].shape
    (None, 12)

    Reference: Zhai et al. 2023, "Sigmoid Loss for Language Image Pre-Training", sections 3.2 and
    4, https://arxiv.org/abs/2303.15343.
    """

    kind, whole = "text", keras_hub.models.SigLIPBackbone
    pooling = "own"

    def __init__(
        self,
        vocabulary_size,
        hidden_dim,
        num_layers,
        num_heads,
        intermediate_dim,
        projection_dim,
        *,
        intermediate_activation="gelu_approximate",
        layer_norm_epsilon=1e-6,
        max_sequence_length=64,
        pad_token_id=1,
        logit_scale=10.0,
        logit_bias=-10.0,
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
            projection_dim=projection_dim,
            intermediate_activation=intermediate_activation,
            layer_norm_epsilon=layer_norm_epsilon,
            max_sequence_length=max_sequence_length,
        )
        encoder = keras_hub.models.SigLIPTextEncoder(
            **arguments, embedding_dim=hidden_dim, dtype=policy
        )
        ids, mask = inputs = tuple(
            keras.Input((None,), dtype="int32", name=name) for name in ("token_ids", "padding_mask")
        )
        x = encoder.embedding(_FillUp(max_sequence_length, pad_token_id, name="fill_up")(inputs))
        for layer in encoder.encoder_layers:
            x = layer(x)
        x = encoder.head(encoder.post_layer_norm(x))
        outputs = {"sequence_output": _CutBack(dtype=policy, name="cut_back")([x, mask])}
        outputs["pooled_output"] = x[:, -1]
        arguments |= dict(pad_token_id=pad_token_id, logit_scale=logit_scale, logit_bias=logit_bias)
        inputs = {"token_ids": ids, "padding_mask": mask}
        super().__init__(encoder, inputs, outputs, arguments, policy, **kwargs)

    @staticmethod
    def halve(backbone):
        head = backbone.siglip_head
        facts = {"logit_scale": exponential(head.logit_scale), "logit_bias": float(head.logit_bias)}
        return (backbone.text_encoder,), facts


class _FillUp(keras.layers.Layer):
    """Ids and mask (B, L) to ids (B, length): `value` where the mask is 0, and behind."""

    def __init__(self, length, value, **kwargs):
        super().__init__(**kwargs)
        self.length, self.value = length, value

    def call(self, inputs):
        ids, mask = inputs
        ids = ops.where(ops.cast(mask, "bool"), ids, self.value)
        filled = ops.pad(ids, ((0, 0), (0, self.length)), constant_values=self.value)
        return filled[:, : self.length]

    def compute_output_spec(self, inputs):
        return keras.KerasTensor((inputs[0].shape[0], self.length), "int32")


class _CutBack(keras.layers.Layer):
    """Tokens (B, length, D) and mask (B, L) to tokens (B, L, D), zero where the mask is."""

    def call(self, inputs):
        tokens, mask = inputs
        return tokens[:, : ops.shape(mask)[1]] * ops.cast(mask, tokens.dtype)[..., None]

    def compute_output_shape(self, input_shape):
        tokens, mask = input_shape
        return (tokens[0], mask[1], tokens[2])
