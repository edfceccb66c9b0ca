"""From token ids back to texts: what WordPiece forgets is guessed where a guess is good."""

import string

import keras_hub
import pytest
import tensorflow as tf

from tatl_keras.data.detokenize import texts_of

LETTERS = [*string.ascii_lowercase, *string.digits]
SIGNS = [*string.punctuation, "€", "£", "’", "“", "”", "–"]


@pytest.fixture(scope="module")
def tokenizer():
    """Every letter and digit, at the start of a word and inside one."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *SIGNS, *LETTERS]
    return keras_hub.models.BertTokenizer([*words, *(f"##{letter}" for letter in LETTERS)])


@pytest.mark.parametrize(
    "text",
    [
        "rock-n-roll and state-of-the-art",
        "a-b-c-d-e",
        "covid-19, 7-up and 2019-05-03",
        "either/or, 1/2",
        "version 1.2.3 of 3.14",
        "at 3:30, or 12:05:59",
        "1,000,000 cats",
        "in 2019, 5 cats, 20 dogs",
        "$5, £3.50 and #1",
        "€5",
        "5% off!",
        "don't (ever) say “no”; or don’t?",
        "a, b: c. d",
    ],
)
def test_texts_come_back_in_a_graph(tokenizer, text):
    written = tf.function(lambda ids: texts_of(tokenizer, ids))
    assert written(tf.constant(tokenizer([text]))).numpy().tolist() == [text.encode()]


def test_a_text_may_begin_inside_a_word(tokenizer):
    ids = [[tokenizer.token_to_id(piece) for piece in pieces] for pieces in (
        ("##a", "##b", "c"), ("#", "#", "a"), ("a", "#", "##b"))]  # fmt: skip
    assert texts_of(tokenizer, tf.constant(ids)).numpy().tolist() == [b"ab c", b"# # a", b"a #b"]
