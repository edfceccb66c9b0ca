"""What of texts is lost on the way to tokens."""

import dataclasses

from absl import logging

from tatl_keras.data.tokenizers import is_byte_pair, start_and_end

_AT_ONCE = 512  # texts


@dataclasses.dataclass
class Lost:
    """Counts of a survey.

    Args:
        rows: int, texts.
        empty: int, those without a word.
        cut: int, those with more tokens than are taken.
        pieces: int, tokens, none of them put there as a start or an end.
        unknown: int, tokens that are not in the vocabulary.
    """

    rows: int = 0
    empty: int = 0
    cut: int = 0
    pieces: int = 0
    unknown: int = 0


def survey(preprocessor, texts, name):
    """Counts what of texts is lost, and warns where something is.

    Args:
        preprocessor: a `data.Preprocessor` with a vocabulary.
        texts: a `tf.data.Dataset` of single strings.
        name: str, the texts' name in the examples.

    Returns:
        `Lost`.

    Example:

    >>> import keras_hub, tensorflow as tf
    >>> from tatl_keras import data
    >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "cat"]
    >>> preprocessor = data.Preprocessor(None, keras_hub.models.BertTokenizer(words), 4)
    >>> texts = tf.data.Dataset.from_tensor_slices(["red cat", "red dog", "", "red red red cat"])
    >>> survey(preprocessor, texts, "text")
    Lost(rows=4, empty=1, cut=1, pieces=7, unknown=1)
    """
    found, longest = Lost(), preprocessor.sequence_length
    wider = type(preprocessor)(None, preprocessor.tokenizer, longest + 1)
    ends = sum(token is not None for token in start_and_end(preprocessor.tokenizer))
    unknown = _unknown_id(preprocessor.tokenizer)
    for some in texts.batch(_AT_ONCE):
        tensors = {key: value.numpy() for key, value in wider.text_tensors(some).items()}
        real, written = tensors["padding_mask"].astype(bool), int(tensors["has_text"].sum())
        found.rows += len(real)
        found.empty += len(real) - written
        found.cut += int(real[:, -1].sum())
        found.pieces += int(real.sum()) - ends * written
        found.unknown += int((real & (tensors["token_ids"] == unknown)).sum())
    _warn(found, longest, name)
    return found


def _warn(found, longest, name):
    if found.empty:
        logging.warning("%d of %d examples have nothing under %r.", found.empty, found.rows, name)
    if found.cut:
        logging.warning(
            "%d of %d texts under %r are longer than sequence_length=%d tokens and are cut there.",
            found.cut, found.rows, name, longest,
        )  # fmt: skip
    if found.unknown:
        logging.warning(
            "%.1f %% of the tokens under %r are not in the vocabulary and stand for nothing.",
            100 * found.unknown / found.pieces, name,
        )  # fmt: skip


def _unknown_id(tokenizer):
    """The id of what is not in the vocabulary; `None` where all texts are."""
    if is_byte_pair(tokenizer):
        return None
    return tokenizer.token_to_id(getattr(tokenizer, "oov_token", None) or "<unk>")
