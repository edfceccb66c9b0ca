"""Residual networks whose spatial convolutions are replaced by local self-attention."""

import keras

from tatl_keras.encoders.functional import FunctionalBackbone
from tatl_keras.layers import AttentionStem, LocalSelfAttention2D
from tatl_keras.layers.checks import check_choice

STEMS = ("conv", "attention")
EXPANSION = 4


@keras.saving.register_keras_serializable(package="tatl_keras")
class SASAResNet(FunctionalBackbone):
    """A bottleneck ResNet with `LocalSelfAttention2D` in the place of each 3 × 3 convolution.

        stem       7 × 7 convolution of stride 2, or AttentionStem; then a maximum over blocks
                                                                     (B, H / 4, W / 4, stem_filters)
        block      y = relu(x' + BN(conv1(relu(BN(attend(relu(BN(conv1(x))))))))), filters f, f, 4 f
        x'         x, or BN(conv1(x)) in the first block of each stack

    There are as many stacks as entries in `stackwise_num_blocks`; from the second on, the first
    block of each halves the map: its attention averages blocks of 2 × 2 afterwards. Convolutions
    and attention have no biases.

    Where a map is smaller than the window, the window is the largest odd one that fits: below 224
    pixels that concerns the last stacks.

    Shape letters: B batch, H, W picture, D channels of the output, 4 times the last filters.

    Args:
        stackwise_num_filters: list of integers, f of each stack.
        stackwise_num_blocks: list of integers, blocks of each stack.
        stem: "conv" or "attention".
        stem_filters: integer, channels of the stem.
        kernel_size: odd integer, side of the windows.
        num_heads: integer, heads of the attention in the blocks.
        image_shape: (height, width, channels) of the pictures.
        dtype: dtype or policy of the computation.
        **kwargs: `name`, `trainable`.

    Call arguments:
        inputs: floats (B, H, W, 3).
        training: bool or None; whether BatchNorm uses the batch's own statistics.

    Returns:
        A map (B, ⌈H / 4 / 2^(stacks - 1)⌉, …, D).

    Raises:
        ValueError: `stem` is unknown, or a number does not fit the layers.

    Example:

    >>> from tatl_keras.encoders.sasa import SASAResNet
    >>> backbone = SASAResNet([8, 16], [1, 2], stem_filters=8, num_heads=2, image_shape=(32, 32, 3))
    >>> backbone.output_shape
    (None, 4, 4, 64)

    Reference:
        Ramachandran et al., "Stand-Alone Self-Attention in Vision Models", 2019, sections 3 and 4,
        https://arxiv.org/abs/1906.05909; He et al., "Deep Residual Learning", 2016, table 1,
        https://arxiv.org/abs/1512.03385.
    """

    def __init__(
        self,
        stackwise_num_filters,
        stackwise_num_blocks,
        *,
        stem="conv",
        stem_filters=64,
        kernel_size=7,
        num_heads=8,
        image_shape=(224, 224, 3),
        dtype=None,
        **kwargs,
    ):
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        check_choice("stem", stem, STEMS)
        build = _Builder(kernel_size, num_heads, policy)
        inputs = keras.Input(tuple(image_shape), name="images")
        x = build.stem(inputs, stem, stem_filters)
        stacks = zip(stackwise_num_filters, stackwise_num_blocks, strict=True)
        for stack, (filters, blocks) in enumerate(stacks):
            for block in range(blocks):
                strides = 2 if stack and not block else 1
                name = f"stack{stack}_block{block}"
                x = build.block(x, name, filters, strides, project=block == 0)
        arguments = {
            "stackwise_num_filters": list(stackwise_num_filters),
            "stackwise_num_blocks": list(stackwise_num_blocks),
            "stem": stem,
            "stem_filters": stem_filters,
            "kernel_size": kernel_size,
            "num_heads": num_heads,
            "image_shape": tuple(image_shape),
        }
        super().__init__(inputs, x, arguments, policy, **kwargs)


class _Builder:
    """Adds layers to a functional graph, all with one policy."""

    def __init__(self, kernel_size, num_heads, dtype):
        self.kernel_size, self.num_heads, self.dtype = kernel_size, num_heads, dtype

    def stem(self, x, kind, filters):
        """A quarter of the picture's height and width."""
        if kind == "attention":
            x = AttentionStem(filters, 4, dtype=self.dtype, name="stem_attention")(x)
            x = self.normalized(x, "stem")
            pool = keras.layers.MaxPooling2D(
                4, padding="same", dtype=self.dtype, name="stem_pooling"
            )
            return pool(x)
        x = self.normalized(self.conv(x, "stem", filters, 7, 2), "stem")
        pool = keras.layers.MaxPooling2D(
            3, 2, padding="same", dtype=self.dtype, name="stem_pooling"
        )
        return pool(x)

    def block(self, x, name, filters, strides, project):
        """A bottleneck: narrow, attend, widen, and add."""
        shortcut = x
        if project:
            shortcut = self.conv(x, f"{name}_0", EXPANSION * filters, 1, strides)
            shortcut = self.normalized(shortcut, f"{name}_0", activate=False)
        x = self.normalized(self.conv(x, f"{name}_1", filters), f"{name}_1")
        attention = LocalSelfAttention2D(
            filters,
            self.window(x.shape),
            num_heads=self.num_heads,
            strides=strides,
            dtype=self.dtype,
            name=f"{name}_2_attention",
        )
        x = self.normalized(attention(x), f"{name}_2")
        x = self.conv(x, f"{name}_3", EXPANSION * filters)
        x = self.normalized(x, f"{name}_3", activate=False)
        x = keras.layers.Add(dtype=self.dtype, name=f"{name}_add")([x, shortcut])
        return keras.layers.ReLU(dtype=self.dtype, name=f"{name}_out")(x)

    def window(self, shape):
        smallest = min(shape[1:3])
        return min(self.kernel_size, smallest - 1 + smallest % 2)

    def conv(self, x, name, filters, kernel_size=1, strides=1):
        layer = keras.layers.Conv2D(
            filters,
            kernel_size,
            strides,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
            dtype=self.dtype,
            name=f"{name}_conv",
        )
        return layer(x)

    def normalized(self, x, name, activate=True):
        layer = keras.layers.BatchNormalization(
            momentum=0.9, epsilon=1e-5, dtype=self.dtype, name=f"{name}_bn"
        )
        x = layer(x)
        return keras.layers.ReLU(dtype=self.dtype, name=f"{name}_relu")(x) if activate else x
