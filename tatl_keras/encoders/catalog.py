"""What the short names of encoders stand for; the one place that lists architectures."""

import dataclasses
import types
from collections.abc import Mapping
from typing import Any

from tatl_keras.encoders import sizes


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


def _all_sasa():
    """Each depth with the convolutional stem and, as `…_full`, with the attention stem."""
    depths = {26: [1, 2, 4, 1], 38: [2, 3, 5, 2], 50: [3, 4, 6, 3]}
    for ending, stem in (("", "conv"), ("_full", "attention")):
        for depth, blocks in depths.items():
            config = sizes.sasa(blocks, stem)
            yield (
                f"sasa_resnet{depth}{ending}",
                Architecture("image", "SASAResNet", config, learned=True),
            )
        yield (
            f"test_sasa{ending}",
            Architecture(
                "image",
                "SASAResNet",
                sizes.sasa([1, 2], stem, **sizes.TEST_SASA),
                image_size=(32, 32),
                seed=0,
                learned=True,
            ),
        )


def _clip(name, preset, patch_size, image_layers, image_dim, text_dim, channels):
    """CLIP of Radford et al. 2021, table 20: 64 channels a head, both towers."""
    shared = dict(num_heads=image_dim // 64, hidden_dim=image_dim, intermediate_dim=4 * image_dim)
    image = dict(patch_size=patch_size, num_layers=image_layers, image_shape=(224, 224, 3))
    yield (
        f"clip_vit_{name}",
        Architecture(
            "image", "CLIPImageTower", shared | image | {"projection_dim": channels}, preset
        ),
    )
    shared = dict(num_heads=text_dim // 64, hidden_dim=text_dim, intermediate_dim=4 * text_dim)
    text = dict(vocabulary_size=49408, num_layers=12, max_sequence_length=77)
    yield (
        f"clip_text_{name}",
        Architecture("text", "CLIPTextTower", shared | text | {"projection_dim": channels}, preset),
    )


def _siglip(name, preset, image_size, num_layers, hidden_dim):
    """SigLIP of Zhai et al. 2023 with patches of 16: both towers alike, 64 channels a head."""
    shared = dict(num_layers=num_layers, num_heads=hidden_dim // 64, hidden_dim=hidden_dim)
    shared |= dict(intermediate_dim=4 * hidden_dim)
    size = (image_size, image_size)
    image = shared | {"patch_size": 16, "image_shape": (*size, 3)}
    text = shared | {"vocabulary_size": 32000, "projection_dim": hidden_dim}
    yield (
        f"siglip_vit_{name}",
        Architecture("image", "SigLIPImageTower", image, preset, image_size=size),
    )
    yield f"siglip_text_{name}", Architecture("text", "SigLIPTextTower", text, preset)


ARCHITECTURES = types.MappingProxyType(
    {
        "resnet50": Architecture(
            "image", "ResNetBackbone", sizes.resnet([3, 4, 6, 3]), "resnet_50_imagenet"
        ),
        "resnet101": Architecture(
            "image", "ResNetBackbone", sizes.resnet([3, 4, 23, 3]), "resnet_101_imagenet"
        ),
        "vit_b16": Architecture(
            "image", "ViTBackbone", sizes.vit(12, 12, 768, 3072), "vit_base_patch16_224_imagenet"
        ),
        "vit_l16": Architecture(
            "image", "ViTBackbone", sizes.vit(24, 16, 1024, 4096), "vit_large_patch16_224_imagenet"
        ),
        "efficientnet_lite0": Architecture(
            "image", "EfficientNetBackbone", sizes.LITE0, folder="efficientnet_lite0"
        ),
        "bert_base": Architecture(
            "text",
            "BertBackbone",
            sizes.bert(12, 12, 768, 3072),
            "bert_base_en_uncased",
            strip_accents=True,
        ),
        "bert_tiny": Architecture(
            "text",
            "BertBackbone",
            sizes.bert(2, 2, 128, 512),
            "bert_tiny_en_uncased",
            strip_accents=True,
        ),
        "minilm": Architecture(
            "text",
            "BertBackbone",
            sizes.bert(6, 12, 384, 1536),
            "all_minilm_l6_v2_en",
            folder="minilm_l6",
            strip_accents=True,
        ),
        "test_image": Architecture(
            "image", "EfficientNetBackbone", sizes.TEST_IMAGE, image_size=(32, 32), seed=0
        ),
        "test_vit": Architecture(
            "image", "ViTBackbone", sizes.TEST_VIT, image_size=(32, 32), seed=0
        ),
        "test_text": Architecture("text", "BertBackbone", sizes.TEST_TEXT, seed=0),
        "test_clip": Architecture(
            "image",
            "CLIPImageTower",
            sizes.TEST_CLIP | {"patch_size": 8, "image_shape": (32, 32, 3)},
            image_size=(32, 32),
            seed=0,
        ),
        "test_clip_text": Architecture(
            "text", "CLIPTextTower", sizes.TEST_CLIP | {"vocabulary_size": 1024}, seed=0
        ),
        **dict(_clip("b16", "clip_vit_base_patch16", 16, 12, 768, 512, 512)),
        **dict(_clip("b32", "clip_vit_base_patch32", 32, 12, 768, 512, 512)),
        **dict(_clip("l14", "clip_vit_large_patch14", 14, 24, 1024, 768, 768)),
        "test_siglip": Architecture(
            "image",
            "SigLIPImageTower",
            sizes.TEST_SIGLIP | {"patch_size": 8, "image_shape": (32, 32, 3)},
            image_size=(32, 32),
            seed=0,
        ),
        "test_siglip_text": Architecture(
            "text",
            "SigLIPTextTower",
            sizes.TEST_SIGLIP | {"vocabulary_size": 1024, "projection_dim": 12},
            seed=0,
        ),
        **dict(_siglip("b16", "siglip_base_patch16_224", 224, 12, 768)),
        **dict(_siglip("l16", "siglip_large_patch16_256", 256, 24, 1024)),
        **dict(_all_sasa()),
    }
)

# Text encoders that are built here and learned from the training text.
LEARNED_TEXT = ("embed", "lstm", "transformer")


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
     'minilm', 'siglip_text_b16', 'siglip_text_l16', 'test_clip_text', 'test_siglip_text',
     'test_text', 'transformer']
    """
    if kind not in ("image", "text"):
        raise ValueError(
            f"`kind` must be 'image' or 'text'. Received: kind={kind!r}. "
            "Every encoder reads one of the two."
        )
    found = [name for name, entry in ARCHITECTURES.items() if entry.kind == kind]
    return sorted(found + list(LEARNED_TEXT if kind == "text" else ()))
