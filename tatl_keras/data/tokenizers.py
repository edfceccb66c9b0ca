"""What differs between the tokenizers of KerasHub that are understood here."""

import keras_hub
import tensorflow as tf


def is_byte_pair(tokenizer):
    """Whether a tokenizer keeps a table in its graph that grows with every word it meets."""
    return isinstance(tokenizer, keras_hub.tokenizers.BytePairTokenizer)


def start_and_end(tokenizer):
    """The ids put before and behind the pieces of a text."""
    if isinstance(tokenizer, keras_hub.tokenizers.CLIPTokenizer):
        return tokenizer.start_token_id, tokenizer.end_token_id
    return tokenizer.cls_token_id, tokenizer.sep_token_id


def pieces(tokenizer, text):
    """Ids of a batch of strings; lower-cased first for CLIP, whose tokenizer leaves that out."""
    if isinstance(tokenizer, keras_hub.tokenizers.CLIPTokenizer):
        text = tf.strings.lower(text, encoding="utf-8")
    return tokenizer(text)


def read_vocabulary(tokenizer):
    """All that a tokenizer has learned, as JSON values."""
    if is_byte_pair(tokenizer):
        return [dict(tokenizer.vocabulary), list(tokenizer.merges)]
    return tokenizer.get_vocabulary()


def write_vocabulary(tokenizer, vocabulary):
    """Gives a tokenizer what `read_vocabulary` returned."""
    if is_byte_pair(tokenizer):
        tokenizer.set_vocabulary_and_merges(*vocabulary)
    else:
        tokenizer.set_vocabulary(vocabulary)
