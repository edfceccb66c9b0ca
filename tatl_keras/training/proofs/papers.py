"""What papers and model cards say of the encoders, and how our counts differ."""

import dataclasses

from tatl_keras.encoders.backbones import backbone_class
from tatl_keras.encoders.catalog import ARCHITECTURES

CLASSES = 1000  # of the classifiers that papers count along


@dataclasses.dataclass(frozen=True)
class Claim:
    """A number of a paper.

    Attributes:
        encoder: name in the catalog.
        quantity: "parameters" (those that learn) or "multiply_adds".
        value: what the paper says.
        source: where it says so.
        classifier: whether a classifier of 1000 classes belongs to it.
        ratio: (least, most) of our count to it.
        why: what the difference comes from, if it is more than rounding.
    """

    encoder: str
    quantity: str
    value: float
    source: str
    classifier: bool = False
    ratio: tuple[float, float] = (0.985, 1.015)
    why: str = ""


_HE = "He et al. 2016, table 1"
_RAMACHANDRAN = "Ramachandran et al. 2019, table 1"
_LITE = "README of EfficientNet-lite in tensorflow/tpu"
_SASA = {26: (10.3e6, 4.5e9), 38: (14.1e6, 5.7e9), 50: (18.0e6, 7.0e9)}
_WINDOWS = "their count of attention differs by up to 3 %"

CLAIMS = (
    Claim(
        "resnet50", "multiply_adds", 3.8e9, _HE, True, (1.06, 1.09),
        "strides are in the 3 × 3 convolutions, as everywhere today, not in the 1 × 1 before them",
    ),
    Claim("resnet50", "parameters", 25.6e6, _RAMACHANDRAN, True),
    Claim("vit_b16", "parameters", 86e6, "Dosovitskiy et al. 2021, table 1"),
    Claim("bert_base", "parameters", 110e6, "Devlin et al. 2019, section 3"),
    Claim("efficientnet_lite0", "parameters", 4.7e6, _LITE, True),
    Claim(
        "efficientnet_lite0", "multiply_adds", 407e6, _LITE, True, (0.93, 0.96),
        "theirs is half of all operations of the graph, normalisation and additions among them",
    ),
    Claim("clip_text_b16", "parameters", 63e6, "Radford et al. 2021, section 2.4"),
    Claim("clip_text_b32", "parameters", 63e6, "Radford et al. 2021, section 2.4"),
    *(
        claim
        for depth, (parameters, operations) in _SASA.items()
        for claim in (
            Claim(f"sasa_resnet{depth}", "parameters", parameters, _RAMACHANDRAN, True),
            Claim(
                f"sasa_resnet{depth}", "multiply_adds", operations / 2, _RAMACHANDRAN, True,
                (0.97, 1.03), _WINDOWS,
            ),
        )
    ),
)  # fmt: skip


def compare(encoder, counted):
    """Holds the counts of an encoder against every claim about it.

    Args:
        encoder: name in the catalog.
        counted: dict with `learnable`, `flops` and `channels` of the encoder.

    Returns:
        (rows, wrong): a list of dicts with `quantity`, `ours`, `theirs`, `source` and `why`, and a
        list of sentences about those that are out of bounds.

    Example:

    >>> rows, wrong = compare("vit_b16", {"learnable": 85_798_656, "flops": 0, "channels": 768})
    >>> rows[0]["ours"], rows[0]["theirs"], wrong
    (85798656, 86000000.0, [])
    """
    rows, wrong = [], []
    for claim in CLAIMS:
        if claim.encoder != encoder:
            continue
        ours = _ours(claim, counted)
        row = {"quantity": claim.quantity, "ours": ours, "theirs": claim.value}
        rows.append(row | {"source": claim.source, "why": claim.why})
        least, most = claim.ratio
        if not least <= ours / claim.value <= most:
            wrong.append(
                f"{encoder} has {ours:,} {claim.quantity}, {claim.source} {claim.value:,.0f}: the "
                f"ratio should be from {least} to {most}"
            )
    return rows, wrong


def preset_parameters(encoder):
    """How many parameters KerasHub says the preset of an encoder has; `None` where it does not."""
    architecture = ARCHITECTURES.get(encoder)
    if architecture is None or architecture.preset is None:
        return None
    backbone = backbone_class(architecture.backbone)
    backbone = getattr(backbone, "whole", backbone)
    return backbone.presets[architecture.preset]["metadata"].get("params")


def _ours(claim, counted):
    """Our count of what a claim is about."""
    channels = counted["channels"]
    if claim.quantity == "parameters":
        return counted["learnable"] + (CLASSES * (channels + 1) if claim.classifier else 0)
    return counted["flops"] // 2 + (CLASSES * channels if claim.classifier else 0)
