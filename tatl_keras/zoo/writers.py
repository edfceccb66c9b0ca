"""The models of the zoo that write: captions of pictures, translations of texts."""

from tatl_keras.zoo.compose_writers import compose_captioner, compose_translator
from tatl_keras.zoo.registry import CAPTION, TRANSLATE, register

_IMAGES = {
    "resnet50": ("resnet50", "ResNet-50"),
    "vit_b16": ("vit_b16", "ViT-B/16"),
    "efficientnet_lite0": ("efficientnet_lite0", "EfficientNet-Lite0"),
    "test_efficientnet": ("test_image", "A tiny random EfficientNet"),
}
_DECODERS = {"transformer": "a Transformer", "lstm": "an LSTM with soft attention"}
_CAPTIONERS = (
    (("resnet50", "efficientnet_lite0", "test_efficientnet"), ("transformer", "lstm")),
    (("vit_b16",), ("transformer",)),
)
# Sizes for some thousand short texts: of models that learn to read as well, and of decoders on
# frozen tokens, which say much, so that more weights are worth it. `test_*` are as small as they
# can be.
_FROM_NOTHING = {
    "transformer": {"hidden_dim": 128, "num_layers": 2, "num_heads": 4, "dropout": 0.1},
    "lstm": {"hidden_dim": 128, "embedding_dim": 128, "attention_dim": 128, "dropout": 0.3},
}
_ON_FROZEN = {
    "transformer": {"hidden_dim": 256, "num_layers": 2, "num_heads": 4, "dropout": 0.3},
    "lstm": {"hidden_dim": 256, "embedding_dim": 256, "attention_dim": 256, "dropout": 0.4},
}
_TINY = {
    "transformer": {"hidden_dim": 16, "num_layers": 1, "num_heads": 2, "dropout": 0.0},
    "lstm": {"hidden_dim": 16, "embedding_dim": 8, "attention_dim": 8, "dropout": 0.0},
}
_TINY_TEXT = {"vocabulary_size": 256, "sequence_length": 12}


def _add(name, summary, compose, parts, arguments):
    """Registers `compose` with its parts filled in, as if it had been written out by hand."""

    def entry(**kwargs):
        return compose(**{"name": name} | parts | arguments | kwargs)

    entry.__name__ = entry.__qualname__ = name
    entry.__doc__ = summary
    task = CAPTION if compose is compose_captioner else TRANSLATE
    register(entry, **parts, task=task)


def _add_captioner(image, decoder):
    encoder, title = _IMAGES[image]
    tiny = image.startswith("test_")
    arguments = _TINY[decoder] | _TINY_TEXT if tiny else _ON_FROZEN[decoder]
    summary = f"{title} and {_DECODERS[decoder]} that writes captions."
    parts = {"image": encoder, "decoder": decoder}
    _add(f"{image}_{decoder}_caption", summary, compose_captioner, parts, arguments)


def _add_translator(kind, tiny):
    arguments = dict(_TINY[kind] | _TINY_TEXT if tiny else _FROM_NOTHING[kind])
    sizes = ("hidden_dim", "num_layers", "num_heads", "dropout")
    if kind == "lstm":
        half = {"units": arguments["hidden_dim"] // 2, "embedding_dim": arguments["embedding_dim"]}
        arguments["encoder_arguments"] = half
    else:
        arguments["encoder_arguments"] = {size: arguments[size] for size in sizes}
    title = {"transformer": "Transformers", "lstm": "LSTMs"}[kind]
    attention = ", the second with attention" if kind == "lstm" else ""
    summary = f"{'Tiny ' if tiny else ''}{title} that read and write{attention}: a translation."
    parts = {"text": kind, "decoder": kind}
    name = f"{'test_' if tiny else ''}{kind}_translate"
    _add(name, summary, compose_translator, parts, arguments)


def _add_frozen_translator(decoder):
    summary = f"A frozen MiniLM and {_DECODERS[decoder]} that writes: a translation from English."
    parts = {"text": "minilm", "decoder": decoder}
    _add(f"minilm_{decoder}_translate", summary, compose_translator, parts, _ON_FROZEN[decoder])


def _register_all():
    for images, decoders in _CAPTIONERS:
        for image in images:
            for decoder in decoders:
                _add_captioner(image, decoder)
    for kind in _DECODERS:
        for tiny in (False, True):
            _add_translator(kind, tiny)
        _add_frozen_translator(kind)


_register_all()
