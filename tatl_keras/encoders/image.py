"""Image encoders: a KerasHub backbone whose output becomes tokens, pooled and mask."""

import math

import keras
from keras import ops

from tatl_keras.encoders.backbones import (
    deserialize_backbone,
    essential_config,
    serialize_backbone,
)
from tatl_keras.encoders.base import Encoder, output_spec
from tatl_keras.encoders.freezing import split_blocks


@keras.saving.register_keras_serializable(package="tatl_keras")
class ImageEncoder(Encoder):
    """Runs an image backbone and hands out its positions as tokens.

    A backbone with a map (B, h, w, D), such as ResNet or EfficientNet:

        tokens[:, i·w + j] = map[:, i, j]          (B, h·w, D)
        pooled = mean of the map over positions    (B, D)

    A backbone with a sequence (B, P+N, D) of P extra tokens and N patches, such as ViT (P = 1):

        tokens = sequence[:, P:]                   (B, N, D)
        pooled = sequence[:, 0], the class token   (B, D); mean of all patches if P = 0

        mask = 1                                   (B, T), int32

    Shape letters: B batch, H, W picture, h, w map, T = h·w or N tokens, D channels. Tokens and
    pooled are float32 under every dtype policy. Freezing: see `Encoder`; a block is a residual
    block or a transformer layer.

    Args:
        backbone: a KerasHub image backbone (or functional `keras.Model`), channels last, with
            pictures as its only input. Its `trainable` flags are taken over by the encoder.
        frozen: bool, whether no weight learns. Defaults to True.
        unfrozen_last_n: int or None, how many blocks at the end learn when not frozen.
        preset: string or None, where the weights came from, for the record.
        num_prefix_tokens: int or None, P above. Defaults to what the number of tokens leaves
            beside the patches.

    Call arguments:
        images: floats or uint8 (B, H, W, 3), as the preset's image converter returns them.
        training: bool or None; without effect while frozen.

    Returns:
        A dict of "tokens" (B, T, D) and "pooled" (B, D), float32, and "mask" (B, T), int32.

    Raises:
        ValueError: the backbone has several inputs or outputs, an output that is neither map
            nor sequence, or channels first; the number of patches is not clear; `images` are not
            (B, H, W, C) or not of the size that the backbone was made for.

    Example:

    >>> import numpy as np
    >>> from tatl_keras import encoders
    >>> encoder, _ = encoders.build_image("test_image")
    >>> features = encoder(np.zeros((2, 32, 32, 3), "float32"))
    >>> {name: tuple(value.shape) for name, value in features.items()}
    {'tokens': (2, 16, 24), 'pooled': (2, 24), 'mask': (2, 16)}
    >>> encoder.grid, encoder.frozen, len(encoder.trainable_weights)
    ((4, 4), True, 0)

    Reference: tokens of a ViT: Dosovitskiy et al. 2021, section 3.1,
    https://arxiv.org/abs/2010.11929; frozen features for small data: Kornblith et al. 2019,
    section 4.2, https://arxiv.org/abs/1805.08974.
    """

    def __init__(
        self,
        backbone,
        *,
        frozen=True,
        unfrozen_last_n=None,
        preset=None,
        num_prefix_tokens=None,
        **kwargs,
    ):
        super().__init__(frozen=frozen, unfrozen_last_n=unfrozen_last_n, preset=preset, **kwargs)
        _check_backbone(backbone)
        self.backbone = backbone
        self.num_prefix_tokens = num_prefix_tokens
        self._grid = None
        if len(backbone.output.shape) == 3:
            self.num_prefix_tokens, self._grid = _split_sequence(backbone, num_prefix_tokens)
        elif num_prefix_tokens:
            raise ValueError(
                "`num_prefix_tokens` must be None for a backbone that returns a map. Received: "
                f"num_prefix_tokens={num_prefix_tokens!r}. A map has no tokens besides positions."
            )
        self.apply_state()

    @property
    def output_dim(self):
        return self.backbone.output.shape[-1]

    @property
    def grid(self):
        """(rows, columns) of the tokens; None until the picture's size is known."""
        return self._grid

    @property
    def image_size(self):
        """(height, width) if the backbone takes one size only, else None."""
        size = tuple(self.backbone.input_shape[1:3])
        return None if None in size else size

    def build(self, input_shape):
        self._check_images(input_shape)
        if len(self.backbone.output.shape) == 4:
            grid = tuple(self.backbone.compute_output_shape((None, *input_shape[1:]))[1:3])
            self._grid = None if None in grid else grid
        self.built = True

    def call(self, images, training=None):
        self._check_images(images.shape)
        images = ops.cast(images, self.compute_dtype)
        output = self.backbone(images, training=False if self.frozen else training)
        output = ops.cast(output, "float32")
        if self.frozen:
            output = ops.stop_gradient(output)
        if len(output.shape) == 4:
            tokens = _flatten_map(output)
            pooled = ops.mean(tokens, axis=1)
        else:
            tokens = output[:, self.num_prefix_tokens :]
            pooled = output[:, 0] if self.num_prefix_tokens else ops.mean(tokens, axis=1)
        return {
            "tokens": tokens,
            "pooled": pooled,
            "mask": ops.ones(ops.shape(tokens)[:2], dtype="int32"),
        }

    def compute_output_shape(self, input_shape):
        self._check_images(input_shape)
        shape = self.backbone.compute_output_shape((None, *input_shape[1:]))
        if len(shape) == 4:
            length = None if None in shape[1:3] else shape[1] * shape[2]
        else:
            length = shape[1] - self.num_prefix_tokens
        batch = input_shape[0]
        return {
            "tokens": (batch, length, self.output_dim),
            "pooled": (batch, self.output_dim),
            "mask": (batch, length),
        }

    def compute_output_spec(self, images, training=None):
        return output_spec(self.compute_output_shape(images.shape))

    def get_config(self):
        return {
            **super().get_config(),
            "backbone": serialize_backbone(self.backbone),
            "num_prefix_tokens": self.num_prefix_tokens,
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
        name = type(self.backbone).__name__
        return [name, essential_config(self.backbone), self.num_prefix_tokens]

    def _check_images(self, shape):
        shape = tuple(shape)
        if len(shape) != 4:
            raise ValueError(
                f"`images` must be of shape (B, H, W, C). Received: images.shape={shape}. "
                "Add a batch axis to a single picture."
            )
        size = self.image_size
        if size and any(shape[axis] not in (None, size[axis - 1]) for axis in (1, 2)):
            raise ValueError(
                f"`images` must be {size[0]} pixels high and {size[1]} wide, the size this "
                f"backbone was made for. Received: images.shape={shape}. "
                "The preset's image converter resizes to it."
            )


def _flatten_map(output):
    """(B, h, w, D) to (B, h·w, D), row by row."""
    _, height, width, channels = output.shape
    if None in (height, width):
        return ops.reshape(output, (ops.shape(output)[0], -1, channels))
    return ops.reshape(output, (-1, height * width, channels))


def _check_backbone(backbone):
    inputs = getattr(backbone, "input", None)
    if len(getattr(inputs, "shape", ())) != 4:
        described = sorted(inputs) if isinstance(inputs, dict) else inputs
        raise ValueError(
            "`backbone` must have pictures (B, H, W, C) as its only input. "
            f"Received: backbone={type(backbone).__name__} with input {described}. "
            "A text backbone goes into `TransformerTextEncoder`."
        )
    if getattr(backbone, "data_format", "channels_last") != "channels_last":
        raise ValueError(
            "`backbone` must be channels last. Received: "
            f"backbone.data_format={backbone.data_format!r}. "
            "Set `image_data_format` to 'channels_last' in keras.json."
        )
    output = backbone.output
    if len(getattr(output, "shape", ())) not in (3, 4):
        described = sorted(output) if isinstance(output, dict) else getattr(output, "shape", output)
        raise ValueError(
            "`backbone` must return one map (B, h, w, D) or one sequence (B, T, D). "
            f"Received: backbone={type(backbone).__name__} with output {described}. "
            "Wrap it in a functional keras.Model that returns one of its tensors."
        )


def _split_sequence(backbone, num_prefix_tokens):
    """(P, grid) of a backbone that returns a sequence."""
    length = backbone.output.shape[1]
    size, patch = backbone.input_shape[1:3], getattr(backbone, "patch_size", None)
    grid = None
    if patch is not None and None not in size:
        patch = (patch, patch) if isinstance(patch, int) else tuple(patch)
        grid = (size[0] // patch[0], size[1] // patch[1])
    if num_prefix_tokens is None and length is not None:
        if grid and 0 <= length - math.prod(grid) <= 8:
            num_prefix_tokens = length - math.prod(grid)
        elif math.isqrt(length) ** 2 == length:
            num_prefix_tokens = 0
    limit = math.inf if length is None else length
    if isinstance(num_prefix_tokens, bool) or not (
        isinstance(num_prefix_tokens, int) and 0 <= num_prefix_tokens < limit
    ):
        raise ValueError(
            f"`num_prefix_tokens` must be an integer of at least 0 and below the number of tokens "
            f"({length}). Received: num_prefix_tokens={num_prefix_tokens!r}. A class token counts "
            "1; None works where the backbone tells its patch size or all tokens form a square."
        )
    patches = None if length is None else length - num_prefix_tokens
    if patches is not None and (grid is None or math.prod(grid) != patches):
        side = math.isqrt(patches)
        grid = (side, side) if side * side == patches else None
    return num_prefix_tokens, grid
