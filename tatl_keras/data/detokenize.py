"""From token ids back to texts, in the graph."""

import numpy as np
import tensorflow as tf
import tensorflow_text

from tatl_keras.data.tokenizers import is_byte_pair, is_sentence_piece, start_and_end

# WordPiece forgets where spaces stood; these are the usual places of punctuation. What joins is
# there twice: what stands between two signs is seen with the second one only then.
_JOINED = (
    (r"([\pL\pN]) ([-–/]) ([\pL\pN])", r"\1\2\3"),
    (r"(\d)([.:]) (\d)", r"\1\2\3"),
    (r"(\d), (\d{3}\b)", r"\1,\2"),
)
_SPACING = (
    (r" ([,.;:!?%)\]}’'”])", r"\1"),
    (r"([(\[{“¿¡]) ", r"\1"),
    (r"([’']) ?(\pL)", r"\1\2"),
    *_JOINED,
    *_JOINED,
    (r"([$#]) (\d)", r"\1\2"),
)
_CUT_OFF = r"^##"  # of a text that begins inside a word


def writable_ids(tokenizer, vocabulary_size):
    """Which token ids a text may be written with.

    Not those before the text, for padding, masking or unknown words, nor ids past the vocabulary
    that was learned; the one that ends a text is.

    Args:
        tokenizer: a tokenizer with a vocabulary.
        vocabulary_size: int, the number of ids that are asked about.

    Returns:
        Boolean array (vocabulary_size,).

    Example:

    >>> import keras_hub
    >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "cat"]
    >>> tokenizer = keras_hub.models.BertTokenizer(words)
    >>> np.flatnonzero(writable_ids(tokenizer, 9)).tolist()
    [3, 5, 6]
    """
    ids = np.arange(vocabulary_size)
    hidden = set(tokenizer.special_token_ids)
    unknown = getattr(tokenizer, "oov_token", None) or "<unk>"
    hidden.add(tokenizer.token_to_id(unknown))
    hidden.discard(start_and_end(tokenizer)[1])
    return (ids < tokenizer.vocabulary_size()) & ~np.isin(ids, list(hidden))


def texts_of(tokenizer, token_ids):
    """The texts that token ids stand for, without the ids that no text is written with.

    Args:
        tokenizer: a WordPiece or SentencePiece tokenizer with a vocabulary.
        token_ids: int32 (…, L).

    Returns:
        Strings (…).

    Raises:
        ValueError: the tokenizer is of another kind.

    Example:

    >>> import keras_hub
    >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "cat", "##s", "red", ",", "(", ")"]
    >>> tokenizer = keras_hub.models.BertTokenizer(words)
    >>> texts_of(tokenizer, tf.constant([[2, 5, 6, 8, 7, 3, 0], [9, 5, 10, 3, 0, 0, 0]])).numpy()
    array([b'cats, red', b'(cat)'], dtype=object)
    """
    if is_byte_pair(tokenizer):
        raise ValueError(
            "`tokenizer` must cut texts into WordPieces or SentencePieces. "
            f"Received: tokenizer={type(tokenizer).__name__}"
        )
    shape = tf.shape(token_ids)
    rows = tf.reshape(token_ids, [-1, shape[-1]])
    written = writable_ids(tokenizer, tokenizer.vocabulary_size())
    written[start_and_end(tokenizer)[1]] = False
    ragged = tf.ragged.boolean_mask(rows, tf.gather(tf.constant(written), rows))
    if is_sentence_piece(tokenizer):
        text = tensorflow_text.SentencepieceTokenizer(tokenizer.proto).detokenize(ragged)
    else:
        text = tf.strings.regex_replace(tokenizer.detokenize(ragged), _CUT_OFF, "")
        for pattern, replacement in _SPACING:
            text = tf.strings.regex_replace(text, pattern, replacement)
    return tf.reshape(tf.strings.strip(text), shape[:-1])


def pieces_of(tokenizer, token_ids):
    """The piece of text that each id stands for, "" for ids that no text is written with.

    Args:
        tokenizer: a WordPiece or SentencePiece tokenizer with a vocabulary.
        token_ids: integer array (…).

    Returns:
        Array of str (…).

    Example:

    >>> import keras_hub
    >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "cat", "##s"]
    >>> pieces_of(keras_hub.models.BertTokenizer(words), [[5, 6, 3]]).tolist()
    [['cat', '##s', '']]
    """
    size = tokenizer.vocabulary_size()
    written = writable_ids(tokenizer, size)
    written[start_and_end(tokenizer)[1]] = False
    token_ids = np.asarray(token_ids)
    pieces = [tokenizer.id_to_token(i) if written[i] else "" for i in token_ids.ravel().tolist()]
    return np.array(pieces, object).reshape(token_ids.shape)
