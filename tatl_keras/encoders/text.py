"""Text encoders over a pretrained KerasHub transformer."""

import keras
from keras import ops

from tatl_keras.encoders.backbones import (
    deserialize_backbone,
    essential_config,
    serialize_backbone,
)
from tatl_keras.encoders.freezing import split_blocks
from tatl_keras.encoders.text_encoder import TextEncoder
from tatl_keras.layers import MaskedAveragePooling

_INPUTS = ("token_ids", "padding_mask", "segment_ids")


@keras.saving.register_keras_serializable(package="tatl_keras")
class TransformerTextEncoder(TextEncoder):
    """Runs a transformer over token ids and hands out its last hidden states.

        tokens = transformer(token_ids, padding_mask)                   (B, L, D)
        pooled = sum_t mask_t · tokens_t / max(1, sum_t mask_t)         (B, D), pooling="mean"
        pooled = tokens_0 where any mask_t, else 0                      (B, D), pooling="cls"
        pooled = tokens_e, e the last t with mask_t, or else 0          (B, D), pooling="end"
        pooled = the backbone's pooled_output where any mask_t, else 0  (B, D), pooling="own"
        mask   = padding_mask                                           (B, L), int32

    Shape letters: B batch, L text length, D channels. Tokens and pooled are float32 under every
    dtype policy. Ids in masked places have no effect on the tokens in real places nor on `pooled`.
    A text with nothing unmasked gets finite tokens and a zero vector. Freezing: see `Encoder`; a
    block is a transformer layer. BERT's own pooler (a tanh layer on [CLS], made for next-sentence
    prediction) is not read and never learns.

    The default is the mean for every model but the text towers of CLIP, which was trained with the
    end token, and SigLIP, which has a vector of its own: sentence encoders such as MiniLM are
    trained with the mean, and without fine-tuning the mean of BERT's states describes a sentence
    better than its [CLS] state does.

    Args:
        backbone: a KerasHub text backbone with inputs `token_ids`, `padding_mask` and perhaps
            `segment_ids` (given zeros), and hidden states or `sequence_output` as output. Its
            `trainable` flags are taken over by the encoder.
        frozen: bool, whether no weight learns. Defaults to True.
        unfrozen_last_n: int or None, how many blocks at the end learn when not frozen.
        preset: string or None, where the weights came from, for the record.
        pooling: "mean", "cls", "end", or "own", which SigLIP's tower alone has. Defaults to "end"
            for CLIP, "own" for SigLIP, else to "mean".

    Call arguments:
        inputs: dict of "token_ids" (B, L), integers, and "padding_mask" (B, L), integers or
            booleans, nonzero = real. Further entries are ignored.
        training: bool or None; without effect while frozen.

    Returns:
        A dict of "tokens" (B, L, D) and "pooled" (B, D), float32, and "mask" (B, L), int32.

    Raises:
        ValueError: `pooling` is another word; the backbone has other inputs or no hidden states;
            the inputs are not two equal (B, L) shapes; L exceeds the backbone's positions.

    Example:

    >>> import numpy as np
    >>> from tatl_keras import encoders
    >>> encoder, _ = encoders.build_text("test_text")
    >>> features = encoder({
    ...     "token_ids": np.array([[5, 7, 9], [5, 0, 0]]),
    ...     "padding_mask": np.array([[1, 1, 1], [1, 0, 0]]),
    ... })
    >>> {name: tuple(value.shape) for name, value in features.items()}
    {'tokens': (2, 3, 16), 'pooled': (2, 16), 'mask': (2, 3)}

    Reference: Reimers and Gurevych 2019, "Sentence-BERT", section 3 and table 6,
    https://arxiv.org/abs/1908.10084.
    """

    _unread_layers = ("pooled_dense",)

    def __init__(
        self,
        backbone,
        *,
        frozen=True,
        unfrozen_last_n=None,
        preset=None,
        pooling=None,
        **kwargs,
    ):
        super().__init__(frozen=frozen, unfrozen_last_n=unfrozen_last_n, preset=preset, **kwargs)
        default = getattr(backbone, "pooling", "mean")
        pooling = default if pooling is None else pooling
        if pooling not in ("mean", "cls", "end", default):
            raise ValueError(
                f"`pooling` must be 'mean', 'cls' or 'end'. Received: pooling={pooling!r}. "
                "Sentence encoders such as MiniLM are trained with 'mean'."
            )
        _check_backbone(backbone)
        self.backbone = backbone
        self.pooling = pooling
        self._average = MaskedAveragePooling(dtype="float32")
        self.apply_state()

    @property
    def output_dim(self):
        return _hidden_states(self.backbone.output).shape[-1]

    @property
    def vocabulary_size(self):
        """Number of token ids, or None if the backbone does not tell."""
        return getattr(self.backbone, "vocabulary_size", None)

    @property
    def max_sequence_length(self):
        """Largest L, or None if the backbone does not tell."""
        return getattr(self.backbone, "max_sequence_length", None)

    def call(self, inputs, training=None):
        token_ids, mask = self._read(inputs)
        given = {
            "token_ids": token_ids,
            "padding_mask": mask,
            "segment_ids": ops.zeros_like(token_ids),
        }
        output = self.backbone(
            {name: given[name] for name in self.backbone.input},
            training=False if self.frozen else training,
        )
        tokens = ops.cast(_hidden_states(output), "float32")
        if self.frozen:
            tokens = ops.stop_gradient(tokens)
        if self.pooling == "mean":
            pooled = self._average(tokens, mask=mask)
        else:
            present = ops.any(ops.cast(mask, "bool"), axis=1, keepdims=True)
            pooled = ops.where(present, self._pool(output, tokens, mask), 0.0)
        return {"tokens": tokens, "pooled": pooled, "mask": mask}

    def _pool(self, output, tokens, mask):
        """The vector (B, D) of one place, or the backbone's own; anything for an empty text."""
        if self.pooling == "own":
            pooled = ops.cast(output["pooled_output"], "float32")
            return ops.stop_gradient(pooled) if self.frozen else pooled
        place = _last(mask) if self.pooling == "end" else ops.zeros_like(mask[:, 0])
        return ops.take_along_axis(tokens, place[:, None, None], axis=1)[:, 0]

    def get_config(self):
        return {
            **super().get_config(),
            "backbone": serialize_backbone(self.backbone),
            "pooling": self.pooling,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        if isinstance(config["backbone"], dict):
            config["backbone"] = deserialize_backbone(config["backbone"])
        return cls(**config)

    def _split_blocks(self):
        return split_blocks(self.backbone)

    def _fingerprint(self):
        return [type(self.backbone).__name__, essential_config(self.backbone), self.pooling]


def _last(mask):
    """The place of the last 1 of each row of (B, L); 0 where there is none."""
    return ops.argmax(mask * (ops.arange(ops.shape(mask)[1], dtype="int32") + 1), axis=1)


def _hidden_states(output):
    return output["sequence_output"] if isinstance(output, dict) else output


def _check_backbone(backbone):
    inputs = getattr(backbone, "input", None)
    named = sorted(inputs) if isinstance(inputs, dict) else inputs
    if not isinstance(inputs, dict) or not {"token_ids", "padding_mask"} <= set(inputs) <= set(
        _INPUTS
    ):
        raise ValueError(
            "`backbone` must have the inputs 'token_ids' and 'padding_mask', and no others than "
            f"'segment_ids' besides. Received: backbone={type(backbone).__name__} with input "
            f"{named}. An image backbone goes into `ImageEncoder`."
        )
    output = backbone.output
    if isinstance(output, dict):
        output = output.get("sequence_output", output)
    if len(getattr(output, "shape", ())) != 3:
        described = sorted(output) if isinstance(output, dict) else getattr(output, "shape", output)
        raise ValueError(
            "`backbone` must return hidden states (B, L, D), alone or as 'sequence_output'. "
            f"Received: backbone={type(backbone).__name__} with output {described}. "
            "Wrap it in a functional keras.Model that returns them."
        )
