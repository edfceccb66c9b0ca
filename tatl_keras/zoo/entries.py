"""The models of the zoo: which encoders meet which fusions."""

import itertools

from tatl_keras.zoo.compose import compose
from tatl_keras.zoo.registry import register

_ENCODERS = {
    "resnet50": ("resnet50", "ResNet-50"),
    "vit_b16": ("vit_b16", "ViT-B/16"),
    "efficientnet_lite0": ("efficientnet_lite0", "EfficientNet-Lite0"),
    "bert": ("bert_base", "BERT base"),
    "minilm": ("minilm", "MiniLM-L6"),
    "lstm": ("lstm", "a bidirectional LSTM"),
    "test_efficientnet": ("test_image", "a tiny random EfficientNet"),
    "test_vit": ("test_vit", "a tiny random ViT"),
    "test_bert": ("test_text", "a tiny random BERT"),
}

_FUSIONS = {
    "concat": "concatenated pooled vectors",
    "gated": "a gated multimodal unit",
    "film": "image features modulated by the text (FiLM)",
    "bilinear": "low-rank bilinear pooling",
    "cross": "attention between image tokens and text tokens, both ways",
    "joint": "self-attention over image and text tokens together",
    "no_harm": "concatenated, and as good as the image alone where text is missing",
}

_GRID = (
    (("resnet50",), ("bert", "lstm", "minilm"), ("concat", "gated", "cross")),
    (("vit_b16",), ("bert", "minilm"), ("concat", "cross", "joint")),
    (("efficientnet_lite0",), ("minilm",), tuple(_FUSIONS)),
    (("test_efficientnet",), ("bert",), tuple(_FUSIONS)),
    (("test_efficientnet",), ("lstm",), ("concat",)),
    (("test_vit",), ("bert",), ("cross",)),
)

_CONTROLS = {
    "image_only": ("resnet50", "vit_b16", "efficientnet_lite0", "test_efficientnet"),
    "text_only": ("bert", "minilm", "test_bert"),
}


def _add(name, summary, **parts):
    """Registers `compose` with its parts filled in, as if it had been written out by hand."""

    def entry(num_classes, **kwargs):
        return compose(num_classes, **{"name": name} | parts | kwargs)

    entry.__name__ = entry.__qualname__ = name
    entry.__doc__ = summary
    register(entry, **parts)


def _add_pair(image, text, fusion):
    tiny = image.startswith("test_")
    text_encoder, text_title = _ENCODERS[f"test_{text}" if tiny and text != "lstm" else text]
    image_encoder, image_title = _ENCODERS[image]
    summary = f"{image_title[0].upper()}{image_title[1:]} and {text_title}, {_FUSIONS[fusion]}."
    parts = {"image": image_encoder, "text": text_encoder, "fusion": fusion}
    _add(f"{image}_{text}_{fusion}", summary, **parts)


def _add_control(encoder, fusion):
    modality = fusion.removesuffix("_only")
    name, title = _ENCODERS[encoder]
    summary = f"{title[0].upper()}{title[1:]} on the {modality} alone, the control of the others."
    _add(f"{encoder}_{fusion}", summary, **{modality: name}, fusion=fusion)


def _register_all():
    for images, texts, fusions in _GRID:
        for image, text, fusion in itertools.product(images, texts, fusions):
            _add_pair(image, text, fusion)
    for fusion, names in _CONTROLS.items():
        for name in names:
            _add_control(name, fusion)


_register_all()
