"""The leak alarm: does text give the label away?"""

import collections
import math

import numpy as np

from tatl_keras.training.class_words import class_words, words_of

ALPHA = 0.05  # of all false alarms together; half of it for each of the two tests
LEAST_SHARE = 0.01
PRECISION, RECALL = 0.75, 0.5
_PERMUTATIONS = 399


def find_leaks(texts, labels, class_names, *, pictures=None, groups=None, splits=None, seed=0):
    """Looks for what tells the label without looking at the example.

    Four signs, two of them statistical. Together these two raise a false alarm in at most 5 % of
    the data sets that have no leak, at 2.5 % each:

    1. names: texts hold words of their own class's name more often than if labels were dealt out
       anew (399 permutations), and by at least one text in a hundred.
    2. words: a word names a class almost by itself. It is in more than half of the class's texts,
       and of the texts with it more than three quarters are of the class (for a class with share
       s of all texts, more than (1 + s) / 2 if that is higher). Both must be sure: exact binomial
       tests, the larger p-value of the two times the number of words times classes. Words that are
       merely typical of a class, as those of honest texts are, stay below these bounds.
    3. pictures: the same picture in two of the given splits.
    4. groups: rows of one group in two of the given splits.

    Args:
        texts: list of str, N; empty where there is none.
        labels: ints (N,), from 0.
        class_names: list of str.
        pictures: list of N keys, equal for equal pictures, `None` for none.
        groups: list of N keys of what belongs together, `None` or "" for none.
        splits: list of N names of splits that are given, or `None`.
        seed: int, of the permutations.

    Returns:
        A dict: `alarms`, the names of the signs that were found; `names` (`share` of the texts
        that hold a word of their own class's name, `by_chance`, `p_value`); `words` (list of
        `word`, `class`, `precision`, `recall`, `p_value`, surest first); `pictures` and `groups`
        (how many are in two splits, `None` without splits); `repeated_pictures`,
        `contradicting_pictures` (how many rows have another row's picture, and of these, one with
        another label).

    Example:

    >>> texts = ["small x0 cat", "x0 big one", "x0 old"] * 20
    >>> texts += ["x1 small", "old x1", "x1 fat"] * 20
    >>> found = find_leaks(texts, [0] * 60 + [1] * 60, ["cat", "dog"])
    >>> found["alarms"], [word["word"] for word in found["words"]]
    (['names', 'words'], ['x0', 'x1'])
    >>> round(found["names"]["share"], 3), round(found["names"]["by_chance"], 3)
    (0.167, 0.083)
    """
    labels = np.asarray(labels)
    words = [set(words_of(text)) for text in texts]
    names = _names(words, labels, class_names, seed)
    telling = _telling_words(words, labels, class_names)
    repeated, contradicting = _repeats(pictures, labels)
    torn = {"pictures": _torn(pictures, splits), "groups": _torn(groups, splits)}
    excess = names["share"] - names["by_chance"]
    found = {
        "names": names["p_value"] <= ALPHA / 2 and excess >= LEAST_SHARE,
        "words": bool(telling),
        "pictures": bool(torn["pictures"]),
        "groups": bool(torn["groups"]),
    }
    return {
        "alarms": [sign for sign, there in found.items() if there],
        "names": names,
        "words": telling,
        **torn,
        "repeated_pictures": repeated,
        "contradicting_pictures": contradicting,
    }


def _names(words, labels, class_names, seed):
    """How many texts hold a word of their own class's name, and how many would by chance."""
    named = class_words(class_names)
    holds = np.array([[bool(of_class & text) for of_class in named] for text in words])
    rows = np.flatnonzero(holds.any(axis=1))
    count = int(holds[np.arange(len(labels)), labels].sum())
    shares = np.bincount(labels, minlength=len(class_names)) / len(labels)
    chance = float((holds @ shares).mean())
    rng, p_value = np.random.default_rng(seed), 1.0
    if len(rows):
        dealt = [rng.permutation(labels)[: len(rows)] for _ in range(_PERMUTATIONS)]
        by_chance = np.array([holds[rows, given].sum() for given in dealt])
        p_value = float((1 + (by_chance >= count).sum()) / (1 + _PERMUTATIONS))
    return {"share": count / len(labels), "by_chance": chance, "p_value": p_value}


def _telling_words(words, labels, class_names):
    """Words that name a class almost by themselves, the surest first."""
    counts = np.bincount(labels, minlength=len(class_names))
    seen = collections.Counter(word for text in words for word in text)
    pairs = collections.Counter(
        (word, label) for text, label in zip(words, labels.tolist(), strict=True) for word in text
    )
    tests, found = len(seen) * len(class_names), []
    for (word, label), both in pairs.items():
        precision, recall = both / seen[word], both / counts[label]
        least = max(PRECISION, (1 + counts[label] / len(labels)) / 2)
        if precision <= least or recall <= RECALL:
            continue
        p_value = tests * max(
            _upper_tail(both, seen[word], least), _upper_tail(both, int(counts[label]), RECALL)
        )
        if p_value <= ALPHA / 2:
            row = {"word": word, "class": class_names[label], "precision": precision}
            found.append(row | {"recall": recall, "p_value": p_value})
    return sorted(found, key=lambda row: (row["p_value"], row["word"]))


def _upper_tail(count, total, share):
    """P(X ≥ count) of a binomial X, `total` draws of a chance `share`."""
    logs = [
        math.lgamma(total + 1) - math.lgamma(k + 1) - math.lgamma(total - k + 1)
        + k * math.log(share) + (total - k) * math.log1p(-share)
        for k in range(count, total + 1)
    ]  # fmt: skip
    return min(sum(map(math.exp, logs)), 1.0)


def _repeats(pictures, labels):
    """How many rows have a picture seen before, and how many of these with another label."""
    first: dict = {}
    repeated = contradicting = 0
    for picture, label in zip(pictures or [], labels.tolist(), strict=False):
        if picture is not None:
            repeated += picture in first
            contradicting += first.setdefault(picture, label) != label
    return repeated, contradicting


def _torn(keys, splits):
    """How many keys are in two splits; `None` where either is not given."""
    if keys is None or splits is None:
        return None
    homes: dict = {}
    for key, split in zip(keys, splits, strict=True):
        if key not in (None, "") and split not in (None, ""):
            homes.setdefault(key, set()).add(split)
    return sum(len(names) > 1 for names in homes.values())
