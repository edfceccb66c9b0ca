"""Whether the parts of a model that writes can work together."""

import keras_hub

from tatl_keras.data.preprocessing import Preprocessor
from tatl_keras.layers.checks import check_count
from tatl_keras.models.decoders.base import Decoder

_PIECES = (keras_hub.tokenizers.WordPieceTokenizer, keras_hub.tokenizers.SentencePieceTokenizer)


def check_parts(parts):
    """Raises a ValueError where a part is of another kind, or does not fit the others.

    Args:
        parts: dict from the name of an argument to the part, the target's preprocessor last.
    """
    preprocessors = {name: part for name, part in parts.items() if name.endswith("preprocessor")}
    _check_preprocessors(preprocessors)
    length = [*preprocessors.values()][-1].sequence_length - 1
    _check_decoders(_decoders(parts), length)
    check_vocabularies(parts)


def check_vocabularies(parts):
    """Raises a ValueError where a tokenizer has more tokens than what reads or writes them.

    Args:
        parts: as of `check_parts`.
    """
    if "text_encoder" in parts:
        _check_vocabulary("text_encoder", parts["text_encoder"], parts["preprocessor"])
    target = parts.get("target_preprocessor", parts["preprocessor"])
    for name, decoder in _decoders(parts).items():
        _check_vocabulary(name, decoder, target)


def check_length(max_length, longest):
    """Returns `max_length`, or raises a ValueError where a decoder has not so many places.

    Args:
        max_length: the most tokens of a text.
        longest: int, the decoder's places, or `None` for no limit.
    """
    max_length = check_count("max_length", max_length)
    if longest is not None and max_length > longest:
        raise ValueError(
            f"`max_length` must be at most {longest}, the decoder's places. "
            f"Received: max_length={max_length}"
        )
    return max_length


def check_no_labels(y):
    """Raises a ValueError where there are labels."""
    if y is not None:
        raise ValueError(
            "`y` must be None: the texts to write are part of `x`. "
            f"Received: y of type {type(y).__name__}"
        )


def _decoders(parts):
    backward = parts.get("backward_decoder")
    return {"decoder": parts["decoder"]} | (
        {} if backward is None else {"backward_decoder": backward}
    )


def _check_decoders(decoders, length):
    """Raises a ValueError where a decoder is none, or too short.

    Args:
        decoders: dict from the name of an argument to a decoder.
        length: int, the tokens of a text without the first.
    """
    for name, decoder in decoders.items():
        if not isinstance(decoder, Decoder):
            raise ValueError(f"`{name}` must be a `models.Decoder`. Received: {name}={decoder!r}")
        if decoder.max_length is not None and decoder.max_length < length:
            raise ValueError(
                f"`{name}` must have at least {length} places, one less than `sequence_length`. "
                f"Received: {name} with max_length={decoder.max_length}"
            )


def _check_preprocessors(preprocessors):
    """Raises a ValueError where there is none, or where the target's cannot take what is written.

    Args:
        preprocessors: dict from the name of an argument to a preprocessor, the target's last.
    """
    for name, preprocessor in preprocessors.items():
        if not isinstance(preprocessor, Preprocessor):
            raise ValueError(
                f"`{name}` must be a `data.Preprocessor`. Received: {name}={preprocessor!r}"
            )
    tokenizer = preprocessor.tokenizer
    ends = all(hasattr(tokenizer, token) for token in ("cls_token", "sep_token"))
    if not (isinstance(tokenizer, _PIECES) and ends):
        raise ValueError(
            f"`{name}` must have a WordPiece or SentencePiece tokenizer that knows where texts "
            "start and end, such as `BertTokenizer`. "
            f"Received: {name} with tokenizer={type(tokenizer).__name__}"
        )


def _check_vocabulary(name, part, preprocessor):
    """Raises a ValueError where a tokenizer has more tokens than what reads or writes them.

    Args:
        name: str, of the argument.
        part: an encoder or a decoder with a `vocabulary_size`.
        preprocessor: what has the tokenizer, whose vocabulary may still be missing.
    """
    if preprocessor.needs_vocabulary or part.vocabulary_size is None:
        return
    size = preprocessor.tokenizer.vocabulary_size()
    if size > part.vocabulary_size:
        raise ValueError(
            f"`{name}` must have at least as many tokens as the tokenizer. Received: "
            f"{name} with vocabulary_size={part.vocabulary_size}, {size} tokens of the tokenizer. "
            f"Make it with vocabulary_size={size}."
        )
