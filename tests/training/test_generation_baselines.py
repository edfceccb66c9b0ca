"""Rules that write texts without a model, by hand and by brute force."""

import math

import numpy as np
import pytest

from tatl_keras import training

TARGETS = ["red apple", "a red heart", "green apple", "face", "red apple", "face"]


def test_constant_texts():
    found = training.generation_baselines(TARGETS, 3)
    # "face" and "red apple" are there twice, "apple" and "red" three times; 11 words in 6 texts.
    assert found == {"most_common": ["face"] * 3, "unigram": ["apple red"] * 3}


def test_nearest_is_the_largest_cosine():
    rng = np.random.default_rng(0)
    keys, rows = rng.normal(size=(7, 5)), rng.normal(size=(1031, 5)).astype(np.float32)
    keys[3], rows[2], rows[1030] = 0, 0, 0
    targets = [f"t{n}" for n in range(6)] + ["t0"]
    found = training.generation_baselines(targets, 1031, train_features=keys, features=rows)
    for row, text in zip(rows.astype(float), found["nearest"], strict=True):
        if not row.any():
            assert text == "t0"
            continue
        cosines = [
            0.0 if not key.any() else row @ key / math.sqrt((row @ row) * (key @ key))
            for key in keys
        ]
        best = max(cosines)
        assert text == targets[cosines.index(best)]


def test_copies():
    found = training.generation_baselines(TARGETS, 2, sources=["piñata", "taco"])
    assert found["copy"] == ["piñata", "taco"] and "nearest" not in found


def test_perplexity_by_hand():
    train = [[5, 7, 5, 1], [7, 5, 1]]  # 5: 3 times, 7: 2, 1: 2
    held_out = [[5, 9, 1], [1]]
    shares = [4 / 17, 1 / 17, 3 / 17, 3 / 17]
    expected = math.prod(shares) ** (-1 / 4)
    found = training.unigram_perplexity(train, held_out, vocabulary_size=10)
    assert found == pytest.approx(expected, rel=1e-12)
    shares = [4 / 11, 1 / 11, 3 / 11, 3 / 11]  # three tokens and an unknown one
    expected = math.prod(shares) ** (-1 / 4)
    assert training.unigram_perplexity(train, held_out) == pytest.approx(expected, rel=1e-12)


def test_perplexity_of_a_uniform_vocabulary_is_its_size():
    assert training.unigram_perplexity([[0, 1, 2]], [[2, 1]], 3) == pytest.approx(3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(train_targets=[], num_examples=1), "`train_targets` must have .*0 targets"),
        (dict(train_targets=["a"], num_examples=0), "num_examples=0"),
        (dict(train_targets=["a"], num_examples=1, features=[[1]]), "together. .*: features alone"),
        (
            dict(train_targets=["a"], num_examples=1, features=[[1, 2]], train_features=[[1]]),
            r"`features` must have shape \(1, D\).*shape=\(1, 2\), train_features.shape=\(1, 1\)",
        ),
        (dict(train_targets=["a"], num_examples=2, sources=["b"]), "must be 2 texts.*1 texts"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        training.generation_baselines(**arguments)


def test_wrong_tokens():
    with pytest.raises(ValueError, match="at least 2, the diff.*vocabulary_size=1"):
        training.unigram_perplexity([[0, 1]], [[0]], 1)
    with pytest.raises(ValueError, match="hold a token.*0 tokens"):
        training.unigram_perplexity([[0, 1]], [[]])
