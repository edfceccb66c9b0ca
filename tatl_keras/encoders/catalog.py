"""What the short names of encoders stand for; the one place that lists architectures."""

import dataclasses
import types
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A backbone with its configuration and where its weights come from.

    Attributes:
        kind: "image" or "text".
        backbone: class name in `keras_hub.models`, or in `backbones.OWN`.
        config: constructor arguments for random weights.
        preset: KerasHub preset that belongs to the name, or None.
        folder: folder of a local preset that is tried before `preset`, or None.
        image_size: (height, width) for random image weights.
        strip_accents: True if the vocabulary holds no accents though the preset's tokenizer keeps
            them, so that "é" would become an unknown word.
        seed: seed of a name that is random on purpose (`test_*`), None for all others.
        learned: True if it is made to be trained from scratch: there are no weights to freeze.
    """

    kind: str
    backbone: str
    config: Mapping[str, Any]
    preset: str | None = None
    folder: str | None = None
    image_size: tuple[int, int] = (224, 224)
    strip_accents: bool = False
    seed: int | None = None
    learned: bool = False


def _resnet(blocks):
    """ResNet v1 of He et al. 2016, table 1, with bottleneck blocks."""
    return dict(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 128, 256, 512],
        stackwise_num_blocks=blocks,
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="bottleneck_block",
        use_pre_activation=False,
    )


def _vit(num_layers, num_heads, hidden_dim, mlp_dim):
    """Vision Transformer of Dosovitskiy et al. 2021, table 1, patches of 16 pixels."""
    return dict(
        image_shape=(224, 224, 3),
        patch_size=(16, 16),
        num_layers=num_layers,
        num_heads=num_heads,
        hidden_dim=hidden_dim,
        mlp_dim=mlp_dim,
    )


def _bert(num_layers, num_heads, hidden_dim, intermediate_dim):
    """BERT of Devlin et al. 2019 with the vocabulary of the uncased English models."""
    return dict(
        vocabulary_size=30522,
        num_layers=num_layers,
        num_heads=num_heads,
        hidden_dim=hidden_dim,
        intermediate_dim=intermediate_dim,
        max_sequence_length=512,
    )


def _sasa(blocks, stem, **changes):
    """Stand-alone self-attention of Ramachandran et al. 2019, table 1."""
    config = dict(
        stackwise_num_filters=[64, 128, 256, 512],
        stackwise_num_blocks=blocks,
        stem=stem,
        stem_filters=64,
        kernel_size=7,
        num_heads=8,
        image_shape=(224, 224, 3),
    )
    return config | changes


def _all_sasa():
    """Each depth with the convolutional stem and, as `…_full`, with the attention stem."""
    depths = {26: [1, 2, 4, 1], 38: [2, 3, 5, 2], 50: [3, 4, 6, 3]}
    for ending, stem in (("", "conv"), ("_full", "attention")):
        for depth, blocks in depths.items():
            config = _sasa(blocks, stem)
            yield (
                f"sasa_resnet{depth}{ending}",
                Architecture("image", "SASAResNet", config, learned=True),
            )
        yield (
            f"test_sasa{ending}",
            Architecture(
                "image",
                "SASAResNet",
                _sasa([1, 2], stem, **_TEST_SASA),
                image_size=(32, 32),
                seed=0,
                learned=True,
            ),
        )


def _clip(name, preset, patch_size, image_layers, image_dim, text_dim, channels):
    """CLIP of Radford et al. 2021, table 20: 64 channels a head, both towers."""
    sizes = dict(num_heads=image_dim // 64, hidden_dim=image_dim, intermediate_dim=4 * image_dim)
    image = dict(patch_size=patch_size, num_layers=image_layers, image_shape=(224, 224, 3))
    yield (
        f"clip_vit_{name}",
        Architecture(
            "image", "CLIPImageTower", sizes | image | {"projection_dim": channels}, preset
        ),
    )
    sizes = dict(num_heads=text_dim // 64, hidden_dim=text_dim, intermediate_dim=4 * text_dim)
    text = dict(vocabulary_size=49408, num_layers=12, max_sequence_length=77)
    yield (
        f"clip_text_{name}",
        Architecture("text", "CLIPTextTower", sizes | text | {"projection_dim": channels}, preset),
    )


_LITE0 = dict(
    stackwise_width_coefficients=[1.0] * 7,
    stackwise_depth_coefficients=[1.0] * 7,
    stackwise_kernel_sizes=[3, 3, 5, 3, 5, 5, 3],
    stackwise_num_repeats=[1, 2, 2, 3, 3, 4, 1],
    stackwise_input_filters=[32, 16, 24, 40, 80, 112, 192],
    stackwise_output_filters=[16, 24, 40, 80, 112, 192, 320],
    stackwise_expansion_ratios=[1, 6, 6, 6, 6, 6, 6],
    stackwise_squeeze_and_excite_ratios=[0] * 7,
    stackwise_strides=[1, 2, 2, 2, 1, 2, 1],
    stackwise_block_types=["v1"] + ["unfused"] * 6,
    dropout=0,
    min_depth=None,
    activation="relu6",
    include_stem_padding=False,
    use_depth_divisor_as_min_depth=True,
    cap_round_filter_decrease=True,
    stem_conv_padding="same",
    batch_norm_momentum=0.99,
    batch_norm_epsilon=0.001,
)

# 32 × 32 pixels become 4 × 4 positions of 24 channels.
_TEST_IMAGE = dict(
    stackwise_width_coefficients=[1.0] * 2,
    stackwise_depth_coefficients=[1.0] * 2,
    stackwise_kernel_sizes=[3, 3],
    stackwise_num_repeats=[1, 2],
    stackwise_input_filters=[8, 8],
    stackwise_output_filters=[8, 16],
    stackwise_expansion_ratios=[1, 2],
    stackwise_squeeze_and_excite_ratios=[0, 0],
    stackwise_strides=[2, 2],
    stackwise_block_types=["v1", "unfused"],
    dropout=0.2,
    include_stem_padding=False,
    stem_conv_padding="same",
    num_features=24,
)

_TEST_VIT = dict(
    image_shape=(32, 32, 3),
    patch_size=(8, 8),
    num_layers=2,
    num_heads=2,
    hidden_dim=16,
    mlp_dim=32,
    dropout_rate=0.1,
)

# 32 × 32 pixels become 4 × 4 positions of 64 channels.
_TEST_SASA = dict(
    stackwise_num_filters=[8, 16],
    stem_filters=8,
    kernel_size=3,
    num_heads=2,
    image_shape=(32, 32, 3),
)

_TEST_TEXT = dict(
    vocabulary_size=1024,
    num_layers=2,
    num_heads=2,
    hidden_dim=16,
    intermediate_dim=32,
    max_sequence_length=64,
)

_TEST_CLIP = dict(num_layers=2, num_heads=2, hidden_dim=16, intermediate_dim=32, projection_dim=12)

ARCHITECTURES = types.MappingProxyType(
    {
        "resnet50": Architecture(
            "image", "ResNetBackbone", _resnet([3, 4, 6, 3]), "resnet_50_imagenet"
        ),
        "resnet101": Architecture(
            "image", "ResNetBackbone", _resnet([3, 4, 23, 3]), "resnet_101_imagenet"
        ),
        "vit_b16": Architecture(
            "image", "ViTBackbone", _vit(12, 12, 768, 3072), "vit_base_patch16_224_imagenet"
        ),
        "vit_l16": Architecture(
            "image", "ViTBackbone", _vit(24, 16, 1024, 4096), "vit_large_patch16_224_imagenet"
        ),
        "efficientnet_lite0": Architecture(
            "image", "EfficientNetBackbone", _LITE0, folder="efficientnet_lite0"
        ),
        "bert_base": Architecture(
            "text",
            "BertBackbone",
            _bert(12, 12, 768, 3072),
            "bert_base_en_uncased",
            strip_accents=True,
        ),
        "bert_tiny": Architecture(
            "text",
            "BertBackbone",
            _bert(2, 2, 128, 512),
            "bert_tiny_en_uncased",
            strip_accents=True,
        ),
        "minilm": Architecture(
            "text",
            "BertBackbone",
            _bert(6, 12, 384, 1536),
            "all_minilm_l6_v2_en",
            folder="minilm_l6",
            strip_accents=True,
        ),
        "test_image": Architecture(
            "image", "EfficientNetBackbone", _TEST_IMAGE, image_size=(32, 32), seed=0
        ),
        "test_vit": Architecture("image", "ViTBackbone", _TEST_VIT, image_size=(32, 32), seed=0),
        "test_text": Architecture("text", "BertBackbone", _TEST_TEXT, seed=0),
        "test_clip": Architecture(
            "image",
            "CLIPImageTower",
            _TEST_CLIP | {"patch_size": 8, "image_shape": (32, 32, 3)},
            image_size=(32, 32),
            seed=0,
        ),
        "test_clip_text": Architecture(
            "text", "CLIPTextTower", _TEST_CLIP | {"vocabulary_size": 1024}, seed=0
        ),
        **dict(_clip("b16", "clip_vit_base_patch16", 16, 12, 768, 512, 512)),
        **dict(_clip("b32", "clip_vit_base_patch32", 32, 12, 768, 512, 512)),
        **dict(_clip("l14", "clip_vit_large_patch14", 14, 24, 1024, 768, 768)),
        **dict(_all_sasa()),
    }
)

# Text encoders that are built here and learned from the training text.
LEARNED_TEXT = ("embed", "lstm")


def names(kind):
    """Lists the short names of encoders.

    Args:
        kind: "image" or "text".

    Returns:
        A sorted list of strings. `test_*` are tiny, random on purpose and made for tests.

    Raises:
        ValueError: another `kind`.

    Example:

    >>> names("text")
    ['bert_base', 'bert_tiny', 'clip_text_b16', 'clip_text_b32', 'clip_text_l14', 'embed', 'lstm',
     'minilm', 'test_clip_text', 'test_text']
    """
    if kind not in ("image", "text"):
        raise ValueError(
            f"`kind` must be 'image' or 'text'. Received: kind={kind!r}. "
            "Every encoder reads one of the two."
        )
    found = [name for name, entry in ARCHITECTURES.items() if entry.kind == kind]
    return sorted(found + list(LEARNED_TEXT if kind == "text" else ()))
