"""Texts of a request are tokenised by themselves, whatever bytes they hold."""

import numpy as np
import pytest
import tensorflow as tf

from tests.data import nasty


@pytest.fixture(scope="module")
def tokenise(model):
    """The graph of a server: from texts to ids, with 0 behind them."""
    graph = tf.function(
        model.preprocessor.text_tensors, input_signature=[tf.TensorSpec([None], tf.string)]
    )

    def ask(texts):
        found = {name: value.numpy() for name, value in graph(tf.constant(texts)).items()}
        padding = found["padding_mask"]
        assert set(np.unique(padding)) <= {0, 1} and (np.diff(padding) <= 0).all()
        np.testing.assert_array_equal(padding.any(axis=1), found["has_text"])
        return found["token_ids"]

    return ask


@pytest.mark.parametrize(
    ("requests", "rows"), [(3, 50), pytest.param(100, 100, marks=pytest.mark.large)]
)
def test_mutated_texts_leave_the_others_alone(model, tokenise, requests, rows):
    good = list(nasty.TEXTS)
    expected = tokenise(good)
    size = model.preprocessor.tokenizer.vocabulary_size()
    assert len(np.unique(expected, axis=0)) > 8
    for seed in range(requests):
        texts = nasty.mutated_texts(rows, seed)
        ids = tokenise(texts + good)
        np.testing.assert_array_equal(ids[rows:], expected)
        assert 0 <= ids.min() and ids.max() < size
        np.testing.assert_array_equal(tokenise(texts[:1])[0], ids[0])
        replaced = [text.decode("utf-8", "replace").encode() for text in texts]
        np.testing.assert_array_equal(tokenise(replaced), ids[:rows])
