"""What differs between the tokenizers of KerasHub that are understood here."""

import base64

import keras_hub
import tensorflow as tf
import tensorflow_text

# As SigLIP's texts were prepared before they were cut into pieces.
_PUNCTUATION = r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]"""


def is_byte_pair(tokenizer):
    """Whether a tokenizer keeps a table in its graph that grows with every word it meets."""
    return isinstance(tokenizer, keras_hub.tokenizers.BytePairTokenizer)


def is_sentence_piece(tokenizer):
    """Whether a tokenizer's vocabulary is a SentencePiece model."""
    return isinstance(tokenizer, keras_hub.tokenizers.SentencePieceTokenizer)


def has_vocabulary(tokenizer):
    """Whether a tokenizer can be used, its vocabulary being learned or loaded."""
    learned = tokenizer.proto if is_sentence_piece(tokenizer) else tokenizer.vocabulary
    return learned is not None


def start_and_end(tokenizer):
    """The ids put before and behind the pieces of a text; `None` for none."""
    if isinstance(tokenizer, keras_hub.tokenizers.SigLIPTokenizer):
        return None, tokenizer.end_token_id
    if isinstance(tokenizer, keras_hub.tokenizers.CLIPTokenizer):
        return tokenizer.start_token_id, tokenizer.end_token_id
    return tokenizer.cls_token_id, tokenizer.sep_token_id


def pieces(tokenizer, text):
    """Ids of a batch of strings, as a ragged tensor.

    They are lower-cased first for CLIP and SigLIP, whose tokenizers leave that out, and freed of
    punctuation for SigLIP. A SentencePiece model becomes part of each graph: one that is made once
    is destroyed when a seed is set (https://github.com/tensorflow/text/issues/570).
    """
    of_siglip = isinstance(tokenizer, keras_hub.tokenizers.SigLIPTokenizer)
    if of_siglip or isinstance(tokenizer, keras_hub.tokenizers.CLIPTokenizer):
        text = tf.strings.lower(text, encoding="utf-8")
    if of_siglip:
        text = tf.strings.regex_replace(text, _PUNCTUATION, "")
        text = tf.strings.strip(tf.strings.regex_replace(text, r"\s+", " "))
    if is_sentence_piece(tokenizer):
        return tensorflow_text.SentencepieceTokenizer(tokenizer.proto).tokenize(text)
    return tokenizer(text)


def read_vocabulary(tokenizer):
    """All that a tokenizer has learned, as JSON values."""
    if is_byte_pair(tokenizer):
        return [dict(tokenizer.vocabulary), list(tokenizer.merges)]
    if is_sentence_piece(tokenizer):
        return base64.b64encode(tokenizer.proto).decode()
    return tokenizer.get_vocabulary()


def write_vocabulary(tokenizer, vocabulary):
    """Gives a tokenizer what `read_vocabulary` returned."""
    if is_byte_pair(tokenizer):
        tokenizer.set_vocabulary_and_merges(*vocabulary)
    elif is_sentence_piece(tokenizer):
        tokenizer.set_proto(base64.b64decode(vocabulary))
    else:
        tokenizer.set_vocabulary(vocabulary)
