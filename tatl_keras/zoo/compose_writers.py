"""Models that write, of any encoder and decoder."""

import difflib
import inspect

import keras_hub

from tatl_keras import data, encoders, models
from tatl_keras.encoders.catalog import LEARNED_TEXT
from tatl_keras.layers.seeds import derive_seed
from tatl_keras.zoo.compose import DEFAULT, build_image

DECODERS = {"transformer": models.TransformerDecoder, "lstm": models.LSTMDecoder}
VOCABULARY_SIZE = 4096


def compose_captioner(
    *,
    image,
    decoder="transformer",
    image_preset=DEFAULT,
    frozen=True,
    image_size=None,
    tokenizer=None,
    vocabulary_size=None,
    sequence_length=32,
    bidirectional=False,
    seed=None,
    compile=True,
    name=None,
    **decoder_arguments,
):
    """Builds a model that writes captions of pictures.

    Args:
        image: a name of `encoders.names("image")`, a KerasHub preset, handle or local directory.
        decoder: "transformer", "lstm" (Show, Attend and Tell), or a `models.Decoder`.
        image_preset: preset for the weights of a named image encoder, or `None` for random ones.
            Defaults to the encoder's own.
        frozen: bool, whether the image encoder stays as it is.
        image_size: `(height, width)` in pixels, or `None` for the preset's.
        tokenizer: a WordPiece or SentencePiece tokenizer of KerasHub that knows where texts start
            and end (`BertTokenizer`, `AlbertTokenizer`), or `None` for a WordPiece vocabulary,
            lower-cased, that is learned from the captions in `fit`.
        vocabulary_size: int, the most tokens of a vocabulary that is learned. Defaults to the
            tokenizer's, or 4096.
        sequence_length: int ≥ 3, tokens per caption, start and end included.
        bidirectional: bool, a second decoder that learns each caption from its last word to its
            first (VirTex), for image encoders that learn.
        seed: int or `None`, of every random initial weight and of dropout.
        compile: bool, compile with the defaults.
        name: str or `None`, the Keras model's name.
        **decoder_arguments: of the decoder, when it is given by name (`hidden_dim=…`).

    Returns:
        A `models.Captioner` with its preprocessor.

    Raises:
        ValueError: an argument is unknown or out of its bounds, or the parts do not fit.
        encoders.PresetError: a preset cannot be loaded.

    Example:

    >>> from tatl_keras import zoo
    >>> model = zoo.compose_captioner(image="test_image", decoder="lstm", hidden_dim=8, seed=1)
    >>> model.decoder.hidden_dim, model.decoder.vocabulary_size
    (8, 4096)
    """
    options = {"frozen": frozen, "seed": seed}
    encoder, converter = build_image(image, image_preset, image_size, options)
    tokenizer, size = _tokenizer(tokenizer, vocabulary_size, lowercase=True)
    forward = _decoder(decoder, size, sequence_length, decoder_arguments, seed)
    return models.Captioner(
        encoder,
        forward,
        preprocessor=data.Preprocessor(converter, tokenizer, sequence_length),
        backward_decoder=_backward(forward) if bidirectional else None,
        compile=compile,
        **({} if name is None else {"name": name}),
    )


def compose_translator(
    *,
    text="transformer",
    decoder="transformer",
    text_preset=DEFAULT,
    frozen=True,
    tokenizer=None,
    target_tokenizer=None,
    vocabulary_size=None,
    sequence_length=32,
    encoder_arguments=None,
    seed=None,
    compile=True,
    name=None,
    **decoder_arguments,
):
    """Builds a model that writes a text as another text.

    Args:
        text: a name of `encoders.names("text")`, such as "transformer" or "lstm", which learn, or
            "minilm", which is frozen; a KerasHub preset, handle or local directory.
        decoder: "transformer", "lstm" (with attention), or a `models.Decoder`.
        text_preset: preset for the weights of a named pretrained encoder, or `None` for random
            ones.
        frozen: bool, whether a pretrained encoder stays as it is.
        tokenizer: tokenizer of the source where the encoder has none of its own, or `None` for a
            vocabulary that is learned from the sources in `fit`.
        target_tokenizer: likewise of the target. A vocabulary that is learned keeps upper case and
            accents.
        vocabulary_size: int, the most tokens of vocabularies that are learned. Defaults to the
            tokenizers', or 4096.
        sequence_length: int ≥ 3, tokens per text, start and end included, of source and target.
        encoder_arguments: dict of sizes for an encoder that learns, as `encoders.build_text` takes
            them.
        seed, compile, name, **decoder_arguments: as of `compose_captioner`.

    Returns:
        A `models.Translator` with its preprocessors.

    Raises:
        ValueError: an argument is unknown or out of its bounds, or the parts do not fit.
        encoders.PresetError: a preset cannot be loaded.

    Example:

    >>> from tatl_keras import zoo
    >>> model = zoo.compose_translator(
    ...     text="lstm", decoder="lstm", hidden_dim=8, encoder_arguments={"units": 4}, seed=1)
    >>> model.text_encoder.output_dim, model.decoder.hidden_dim
    (8, 8)
    """
    options = {"frozen": frozen, "seed": seed, **(encoder_arguments or {})}
    options |= {} if text_preset is DEFAULT else {"preset": text_preset}
    own, source_size = _tokenizer(tokenizer, vocabulary_size, lowercase=True)
    if text in LEARNED_TEXT:
        options.setdefault("vocabulary_size", source_size)
    encoder, found = encoders.build_text(text, **options)
    target, size = _tokenizer(target_tokenizer, vocabulary_size, lowercase=False)
    return models.Translator(
        encoder,
        _decoder(decoder, size, sequence_length, decoder_arguments, derive_seed(seed, 1)),
        preprocessor=data.Preprocessor(None, found or own, sequence_length),
        target_preprocessor=data.Preprocessor(None, target, sequence_length),
        compile=compile,
        **({} if name is None else {"name": name}),
    )


def _tokenizer(tokenizer, vocabulary_size, lowercase):
    """`(tokenizer, vocabulary_size)`; the tokenizer has no vocabulary where none is given."""
    if tokenizer is None:
        bare = keras_hub.models.BertTokenizer(lowercase=lowercase, strip_accents=False)
        return bare, vocabulary_size or VOCABULARY_SIZE
    return tokenizer, vocabulary_size or tokenizer.vocabulary_size()


def _decoder(decoder, vocabulary_size, sequence_length, arguments, seed):
    """The decoder that is named, or given."""
    if isinstance(decoder, models.Decoder):
        for argument, value in arguments.items():
            raise ValueError(
                f"`{argument}` must be left out where `decoder` is a decoder already. "
                f"Received: {argument}={value!r} with decoder={decoder.name}"
            )
        return decoder
    if decoder not in [*DECODERS]:
        raise ValueError(
            f"`decoder` must be one of {', '.join(map(repr, DECODERS))}, or a decoder. "
            f"Received: decoder={decoder!r}"
        )
    kind = DECODERS[decoder]
    known = set(inspect.signature(kind.__init__).parameters) - {"self", "kwargs"}
    for argument, value in arguments.items():
        if argument not in known:
            near = difflib.get_close_matches(argument, known, n=1)
            hint = f"Did you mean `{near[0]}`?" if near else f"Known are {sorted(known)}."
            raise ValueError(
                f"`{argument}` must be an argument of the model or of the decoder {decoder!r}. "
                f"Received: {argument}={value!r}. {hint}"
            )
    given = {"max_length": sequence_length - 1, "seed": seed} | arguments
    return kind(vocabulary_size, **given)


def _backward(decoder):
    """A further decoder of the same sizes, with weights of its own."""
    config = decoder.get_config()
    own = {"name": f"{config['name']}_backward", "seed": derive_seed(config["seed"], 1)}
    return type(decoder).from_config(config | own)
