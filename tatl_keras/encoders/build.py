"""From a short name or a preset to an encoder and what prepares its inputs."""

import os
import warnings

import keras_hub

from tatl_keras.encoders import presets
from tatl_keras.encoders.backbones import backbone_class, build_backbone
from tatl_keras.encoders.catalog import ARCHITECTURES, names
from tatl_keras.encoders.embed import BagOfEmbeddings
from tatl_keras.encoders.image import ImageEncoder
from tatl_keras.encoders.lstm import LSTMTextEncoder
from tatl_keras.encoders.text import TransformerTextEncoder
from tatl_keras.encoders.transformer import TextTransformer


class _NamesOwn:
    def __repr__(self):
        return "<the name's own preset>"


NAMES_OWN = _NamesOwn()
# What is learned from the training text alone, and its free arguments besides `vocabulary_size`.
_LEARNED = {
    "embed": (BagOfEmbeddings, "embedding_dim"),
    "lstm": (LSTMTextEncoder, "embedding_dim units"),
    "transformer": (TextTransformer, "hidden_dim num_layers num_heads intermediate_dim dropout"),
}


def build_image(
    name_or_preset,
    *,
    preset=NAMES_OWN,
    frozen=True,
    image_size=None,
    dtype=None,
    seed=None,
):
    """Builds an image encoder and the converter that prepares pictures for it.

    Args:
        name_or_preset: a short name (`names("image")`), or the preset of any KerasHub image
            backbone: a preset name, a `kaggle://` or `hf://` handle, a local directory.
        preset: weights for a short name, from another place than the name's own; `None` gives
            random weights and warns.
        frozen: bool, whether no pretrained weight learns. Defaults to True. The `sasa_…` networks
            have no pretrained weights and always learn.
        image_size: (height, width) in pixels. Defaults to the preset's. A ViT takes another size
            with random weights only, since its positions are learned.
        dtype: dtype or policy of the computation. Defaults to Keras's dtype policy.
        seed: int or None, decides random weights.

    Returns:
        (encoder, image_converter): an `ImageEncoder` and a `keras_hub.layers.ImageConverter`
        that maps pictures of 0..255 to the encoder's input.

    Raises:
        ValueError: an unknown name, a text encoder's name, a preset of another architecture than
            the name's, or an `image_size` that the backbone cannot take.
        PresetError: the preset could not be loaded. It is a `ValueError` too.

    Example:

    >>> from tatl_keras import encoders
    >>> encoder, converter = encoders.build_image("test_image")
    >>> encoder.output_dim, encoder.grid, converter.image_size
    (24, (4, 4), (32, 32))
    """
    size = _check_image_size(image_size)
    name, preset = _resolve(name_or_preset, preset, "image")
    learned = name is not None and ARCHITECTURES[name].learned
    if learned:
        _check_no_preset(name, preset)
        frozen = False
    if preset is None:
        _warn_if_random(name)
        backbone = _random_image_backbone(name, size, dtype, seed)
    else:
        backbone = presets.load_backbone(preset, dtype, "image")
        _check_architecture(name, preset, backbone)
    encoder = ImageEncoder(backbone, frozen=frozen, preset=preset, dtype=dtype)
    converter = (
        _random_converter(name, size) if preset is None else presets.load_image_converter(preset)
    )
    converter.image_size = _agree_on_size(encoder, converter, size, preset)
    encoder.build((None, *converter.image_size, backbone.input_shape[-1]))
    return encoder, converter


def build_text(
    name_or_preset,
    *,
    preset=NAMES_OWN,
    frozen=True,
    pooling=None,
    dtype=None,
    seed=None,
    **sizes,
):
    """Builds a text encoder and its tokenizer.

    Args:
        name_or_preset: a short name (`names("text")`), or the preset of any KerasHub text
            backbone: a preset name, a `kaggle://` or `hf://` handle, a local directory.
        preset: weights for a short name, from another place than the name's own; `None` gives
            random weights and warns. For "lstm": a text preset whose tokenizer and token embedding
            are used, the embedding frozen; by default there is none and all is learned.
        frozen: bool, whether no pretrained weight learns. Defaults to True. "lstm", "embed" and
            "transformer" learn all but a preset's token embedding.
        pooling: "mean", "cls", "end" or "own", where pretrained; see `TransformerTextEncoder`.
        dtype: dtype or policy of the computation. Defaults to Keras's dtype policy.
        seed: int or None, decides random weights.
        **sizes: what is free where weights are not given: `vocabulary_size` for all names,
            `embedding_dim` for "lstm" and "embed", `units` for "lstm"; for "transformer" the sizes
            and the `dropout` of a `TextTransformer`. None stands for the default.

    Returns:
        (encoder, tokenizer): a text encoder and a KerasHub tokenizer, or None for the latter where
        the vocabulary is to be learned from the training text.

    Raises:
        ValueError: an unknown name, an image encoder's name, a preset of another architecture than
            the name's, or an argument that this encoder does not take.
        PresetError: the preset could not be loaded. It is a `ValueError` too.

    Example:

    >>> from tatl_keras import encoders
    >>> encoder, tokenizer = encoders.build_text("lstm", units=3, seed=1)
    >>> encoder.output_dim, encoder.vocabulary_size, tokenizer
    (6, 8192, None)
    """
    name, preset = _resolve(name_or_preset, preset, "text")
    sizes = {key: value for key, value in sizes.items() if value is not None}
    if name == "lstm" and preset is not None:
        return _build_lstm(preset, frozen, sizes, dtype, seed)
    if name in _LEARNED:
        kind, free = _LEARNED[name]
        _check_no_preset(name, preset)
        _check_sizes(name, sizes, ("vocabulary_size", *free.split()))
        return kind(**sizes, dtype=dtype, seed=seed), None
    if preset is None:
        _warn_if_random(name)
        _check_sizes(name, sizes, ("vocabulary_size",))
        backbone = _random_backbone(name, sizes, dtype, seed)
    else:
        _check_sizes(preset, sizes, ())
        backbone = presets.load_backbone(preset, dtype, "text")
        _check_architecture(name, preset, backbone)
    encoder = TransformerTextEncoder(
        backbone, frozen=frozen, preset=preset, pooling=pooling, dtype=dtype
    )
    return encoder, None if preset is None else _load_tokenizer(preset)


def _resolve(name_or_preset, preset, kind):
    """(short name or None, preset or None) after checking that the name is of the kind."""
    text = os.fspath(name_or_preset)
    other = "text" if kind == "image" else "image"
    if text in names(other):
        raise ValueError(
            f"`name_or_preset` must be an encoder of {kind}s. Received: "
            f"name_or_preset={text!r}, which reads {other}s. Use `build_{other}`."
        )
    if text not in names(kind):
        if preset is not NAMES_OWN:
            near = presets.did_you_mean(text, names(kind))
            raise ValueError(
                f"`name_or_preset` must be one of {names(kind)} when `preset` is given. "
                f"Received: name_or_preset={text!r}, preset={preset!r}{near}. "
                "A preset alone is passed as the first argument."
            )
        return None, text
    if preset is not NAMES_OWN:
        return text, None if preset is None else os.fspath(preset)
    entry = ARCHITECTURES.get(text)
    if entry is None or entry.seed is not None:
        return text, None
    return text, text if entry.folder else entry.preset


def _check_architecture(name, preset, backbone):
    if name is None:
        return
    expected = ARCHITECTURES[name].backbone
    if not isinstance(backbone, backbone_class(expected)):
        raise ValueError(
            f"`preset` must hold a {expected} for {name!r}. Received: preset={preset!r}, "
            f"which holds a {type(backbone).__name__}. Pass the preset alone, without a name."
        )


def _check_no_preset(name, preset):
    if preset is not None:
        raise ValueError(
            f"`preset` must be left out for {name!r}: there are no weights of it. Received: "
            f"preset={preset!r}. It learns from scratch."
        )


def _random_backbone(name, changes, dtype, seed):
    entry = ARCHITECTURES[name]
    seed = entry.seed if seed is None else seed
    return build_backbone(entry.backbone, {**entry.config, **changes}, dtype=dtype, seed=seed)


def _warn_if_random(name):
    if ARCHITECTURES[name].seed is None and not ARCHITECTURES[name].learned:
        warnings.warn(
            f"{name!r} gets random weights, since preset=None. Frozen random features carry "
            "little; this is for tests and for training from scratch.",
            UserWarning,
            stacklevel=3,
        )


def _random_image_backbone(name, size, dtype, seed):
    entry = ARCHITECTURES[name]
    fixed = entry.config.get("image_shape")
    changes = {"image_shape": (*(size or entry.image_size), fixed[-1])} if fixed else {}
    return _random_backbone(name, changes, dtype, seed)


def _random_converter(name, size):
    """0..255 to −1..1, as networks trained from scratch like it."""
    size = size or ARCHITECTURES[name].image_size
    return keras_hub.layers.ImageConverter(
        image_size=size, scale=1 / 127.5, offset=-1.0, dtype="float32"
    )


def _build_lstm(preset, frozen, sizes, dtype, seed):
    _check_sizes(f"lstm over {preset}", sizes, ("units",))
    backbone = presets.load_backbone(preset, "float32")
    embedding = getattr(getattr(backbone, "token_embedding", None), "embeddings", None)
    if embedding is None:
        raise ValueError(
            "`preset` must hold a text backbone with a token embedding for 'lstm'. Received: "
            f"preset={preset!r}, which holds a {type(backbone).__name__}. Try preset='minilm'."
        )
    encoder = LSTMTextEncoder(
        **sizes,
        token_embedding=embedding,
        frozen=False,
        unfrozen_last_n=1 if frozen else None,
        preset=preset,
        dtype=dtype,
        seed=seed,
    )
    return encoder, _load_tokenizer(preset)


def _load_tokenizer(preset):
    strip = any(
        entry.strip_accents
        for name, entry in ARCHITECTURES.items()
        if preset in (name, entry.preset)
    )
    return presets.load_tokenizer(preset, **({"strip_accents": True} if strip else {}))


def _check_sizes(name, sizes, allowed):
    for key, value in sizes.items():
        if key not in allowed:
            raise ValueError(
                f"`{key}` must be left out for {name!r}: it is not free there. "
                f"Received: {key}={value!r}. Free sizes: {list(allowed) or 'none'}."
            )


def _check_image_size(image_size):
    if image_size is None:
        return None
    size = tuple(image_size) if isinstance(image_size, (tuple, list)) else (image_size,)
    if len(size) != 2 or any(isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in size):
        raise ValueError(
            "`image_size` must be two integers (height, width) of at least 1. "
            f"Received: image_size={image_size!r}. For instance (224, 224)."
        )
    return size


def _agree_on_size(encoder, converter, asked, preset):
    fixed = encoder.image_size
    if fixed and asked and asked != fixed:
        raise ValueError(
            f"`image_size` must be {fixed} or None for this preset, whose positions were learned "
            f"for that size. Received: image_size={asked}, preset={preset!r}. "
            "A network of convolutions takes any size."
        )
    size = asked or converter.image_size or fixed
    if size is None:
        raise ValueError(
            "`image_size` must be given: the preset's image converter does not resize. "
            f"Received: image_size=None, preset={preset!r}. For instance (224, 224)."
        )
    return tuple(size)
