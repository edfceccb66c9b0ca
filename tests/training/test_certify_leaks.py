"""The leak alarm: false alarms and power over 200 simulations each, and signs one by one."""

import numpy as np
import pytest
from scipy import stats

from tatl_keras.training.class_words import mask_class_words
from tatl_keras.training.leaks import ALPHA, _upper_tail, find_leaks

SIMULATIONS = 200
NAMES = [f"kind{letter} thing" for letter in "abcdefgh"]


def honest_texts(rng, labels):
    """Texts that help: common words, words typical of a class, now and then words of any name.

    Of its class's twelve typical words a text has two, so each is in a sixth of the class's texts
    and hardly elsewhere; one word, on the border of what is allowed, is in half of them.
    """
    texts = []
    for label in labels:
        words = [f"common{n}" for n in rng.integers(0, 40, 4)]
        words += [f"typical{label}x{n}" for n in rng.choice(12, 2, replace=False)]
        if rng.random() < 0.5:
            words.append(f"half{label}")
        if rng.random() < 0.1:
            words.append(NAMES[rng.integers(len(NAMES))].split()[0])
        texts.append(" ".join(rng.permutation(words)))
    return texts


def draw_labels(rng, count=480):
    shares = rng.dirichlet(np.full(len(NAMES), 20.0))
    return rng.choice(len(NAMES), count, p=shares)


def test_false_alarms_are_rare():
    """No planted leak: at most 5 %, up to what chance adds to 200 draws of 5 %."""
    rng, alarms = np.random.default_rng(1), 0
    for seed in range(SIMULATIONS):
        labels = draw_labels(rng)
        found = find_leaks(honest_texts(rng, labels), labels, NAMES, seed=seed)
        alarms += bool(found["alarms"])
    assert alarms <= stats.binom.ppf(0.975, SIMULATIONS, ALPHA)


@pytest.mark.parametrize(
    ("sign", "plant"),
    [
        ("words", lambda rng, text, label: f"{text} id{7 * label}" if rng.random() < 0.9 else text),
        ("words", lambda rng, text, label: f"img{label}_{rng.integers(10**6):06d} {text}"),
        (
            "names",
            lambda rng, text, label: f"{NAMES[label]} {text}" if rng.random() < 0.1 else text,
        ),
    ],
    ids=["a code of the class", "a file name that starts with it", "the name in a tenth"],
)
def test_planted_leaks_are_found(sign, plant):
    rng, found = np.random.default_rng(2), 0
    for seed in range(SIMULATIONS):
        labels = draw_labels(rng)
        texts = honest_texts(rng, labels)
        texts = [plant(rng, text, int(label)) for text, label in zip(texts, labels, strict=True)]
        found += sign in find_leaks(texts, labels, NAMES, seed=seed)["alarms"]
    assert found >= 0.95 * SIMULATIONS


def test_names_are_counted():
    texts = ["a cat", "dogs run", "a dog", "nothing", "cats and dogs", ""]
    names = find_leaks(texts, [0, 1, 0, 1, 0, 1], ["cat", "dog"])["names"]
    assert names["share"] == pytest.approx(3 / 6)
    # Each class has half of the rows: five hits, half of which are right by chance.
    assert names["by_chance"] == pytest.approx(5 / 2 / 6)


def test_a_word_of_the_most_frequent_class_is_no_leak():
    labels = np.repeat([0, 1], [950, 50])
    texts = ["the"] * 1000
    assert find_leaks(texts, labels, ["a cat", "a dog"])["alarms"] == []


def test_the_text_of_a_class_is_a_leak():
    texts = ["striped animal"] * 60 + ["spotted animal"] * 60
    words = find_leaks(texts, [0] * 60 + [1] * 60, ["x", "y"])["words"]
    found = [(row["word"], row["class"], row["precision"], row["recall"]) for row in words]
    assert found == [("spotted", "y", 1.0, 1.0), ("striped", "x", 1.0, 1.0)]
    # 3 words and 2 classes; precision is the less sure of the two: three quarters to the 60th.
    assert words[0]["p_value"] == pytest.approx(6 * 0.75**60, rel=1e-9)


@pytest.mark.parametrize(("count", "total", "share"), [(0, 5, 0.5), (7, 10, 0.75), (90, 100, 0.8)])
def test_binomial_tails(count, total, share):
    assert _upper_tail(count, total, share) == pytest.approx(
        stats.binom.sf(count - 1, total, share), rel=1e-9
    )


def test_pictures_and_groups_across_splits():
    pictures = ["p", "p", "q", "q", None, None]
    groups = ["g", "h", "g", "", "", None]
    splits = ["train", "test", "train", "train", "test", "train"]
    found = find_leaks(
        [""] * 6, [0, 1, 0, 0, 1, 1], "ab", pictures=pictures, groups=groups, splits=splits
    )
    assert found["alarms"] == ["pictures"]
    assert (found["pictures"], found["groups"]) == (1, 0)
    assert (found["repeated_pictures"], found["contradicting_pictures"]) == (2, 1)
    splits[2] = "test"
    found = find_leaks(
        [""] * 6, [0, 1, 0, 0, 1, 1], "ab", pictures=pictures, groups=groups, splits=splits
    )
    assert found["alarms"] == ["pictures", "groups"] and found["groups"] == 1
    found = find_leaks([""] * 6, [0, 1, 0, 0, 1, 1], "ab", pictures=pictures)
    assert found["alarms"] == [] and found["pictures"] is None


def test_masking_does_not_tell_the_class():
    names = ["flags", "food-drink"]
    texts = ["Flag: Chad", "a drink, FOOD!", "flagship", "drinks", "no-one's"]
    assert mask_class_words(texts, names) == ["Chad", "a", "flagship", "", "no-one's"]
