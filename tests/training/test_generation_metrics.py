"""BLEU, chrF and their intervals, by numbers worked out another way."""

import collections
import importlib
import json
import math

import numpy as np
import pytest

from tatl_keras import training

# `training` exports the function of this name.
module = importlib.import_module("tatl_keras.training.generation_metrics")
sacrebleu = pytest.importorskip("sacrebleu", reason="needs the extra `text`")

PREDICTIONS = ["the red cat sat on the mat", "a green apple", "", "two hearts", "big house"]
REFERENCES = [
    ["the red cat sat on a mat", "a red cat is sitting on the mat"],
    ["a green apple"],
    ["smiling face"],
    ["two red hearts", "two hearts in red"],
    ["a house that is big"],
]


def grams(items, n):
    return collections.Counter(tuple(items[i : i + n]) for i in range(len(items) - n + 1))


def bleu(predictions, references, order):
    """Without smoothing: every k must be right somewhere."""
    predicted, wanted, right, made = 0, 0, np.zeros(order), np.zeros(order)
    for text, accepted in zip(predictions, references, strict=True):
        words, others = text.split(), [other.split() for other in accepted]
        predicted += len(words)
        wanted += min((abs(len(o) - len(words)), len(o)) for o in others)[1]
        for n in range(1, order + 1):
            most = collections.Counter()
            for other in others:
                most |= grams(other, n)
            right[n - 1] += (grams(words, n) & most).total()
            made[n - 1] += grams(words, n).total()
    brevity = min(1.0, math.exp(1 - wanted / predicted))
    return 100 * brevity * np.prod(right / made) ** (1 / order)


def chrf(predictions, references):
    """Of one reference each."""
    right, made, wanted = np.zeros(6), np.zeros(6), np.zeros(6)
    for text, (other,) in zip(predictions, references, strict=True):
        one, two = ("".join(t.split()) for t in (text, other))
        for n in range(1, 7):
            right[n - 1] += (grams(one, n) & grams(two, n)).total()
            made[n - 1] += grams(one, n).total()
            wanted[n - 1] += grams(two, n).total()
    p, r = np.mean(right / made), np.mean(right / wanted)
    return 100 * 5 * p * r / (4 * p + r)


def test_by_hand():
    found = training.generation_metrics(PREDICTIONS, REFERENCES)
    assert found["bleu"]["value"] == pytest.approx(bleu(PREDICTIONS, REFERENCES, 4), rel=1e-12)
    firsts = [texts[:1] for texts in REFERENCES]
    single = training.generation_metrics(PREDICTIONS, [texts[0] for texts in firsts])
    assert single["chrf"]["value"] == pytest.approx(chrf(PREDICTIONS, firsts), rel=1e-12)
    assert found["exact_match"]["value"] == single["exact_match"]["value"] == 1 / 5
    assert (found["num_examples"], found["num_empty"], found["bleu_order"]) == (5, 1, 4)
    assert "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp" in single["signatures"]["bleu"]
    assert "nc:6|nw:0" in single["signatures"]["chrf"]
    assert json.loads(json.dumps(found)) == found


def test_what_sacrebleu_says_in_public():
    """The sums of counts that intervals rest on are not part of its public interface."""
    streams = [[texts[0] for texts in REFERENCES], [(t[1:] or [None])[0] for t in REFERENCES]]
    found = training.generation_metrics(PREDICTIONS, REFERENCES)
    expected = sacrebleu.corpus_bleu(PREDICTIONS, streams).score
    assert found["bleu"]["value"] == pytest.approx(expected, rel=1e-12)
    expected = sacrebleu.corpus_chrf(PREDICTIONS, streams).score
    assert found["chrf"]["value"] == pytest.approx(expected, rel=1e-12)


def test_short_references_have_no_four_grams():
    found = training.generation_metrics(["red apple", "heart"], ["red apple", "blue heart"])
    assert found["bleu_order"] == 2
    assert found["bleu"]["value"] == pytest.approx(100 * math.exp(1 - 4 / 3), rel=1e-12)
    perfect = training.generation_metrics(["heart"], ["heart"])
    assert [perfect[name]["value"] for name in module.SCORES] == pytest.approx([100, 100, 1])


def test_intervals_are_those_of_scoring_every_resample():
    rng = np.random.default_rng(7)
    words = "a red green big apple heart face".split()
    references = [" ".join(rng.choice(words, 5)) for _ in range(13)]
    predictions = [" ".join(w for w in text.split() if rng.random() < 0.8) for text in references]
    found = training.generation_metrics(predictions, references, seed=5, resamples=100)
    draws, scores = np.random.default_rng(5), []
    for _ in range(100):
        times = draws.multinomial(13, np.full(13, 1 / 13))
        rows = np.repeat(np.arange(13), times)
        p, r = ([texts[row] for row in rows] for texts in (predictions, references))
        exact = np.mean([one == other for one, other in zip(p, r, strict=True)])
        scores.append(
            [sacrebleu.corpus_bleu(p, [r]).score, sacrebleu.corpus_chrf(p, [r]).score, exact]
        )
    low, high = np.quantile(scores, [0.025, 0.975], axis=0)
    for place, name in enumerate(module.SCORES):
        assert found[name]["low"] == pytest.approx(low[place], rel=1e-12)
        assert found[name]["high"] == pytest.approx(high[place], rel=1e-12)


def test_gains_are_paired():
    """Both are wrong about the same examples but one: far surer than the two intervals apart."""
    references = [f"word{n} and word{n + 1} here" for n in range(40)]
    worse = [text if n % 2 else "no" for n, text in enumerate(references)]
    better = ["no" if n == 1 else text for n, text in enumerate(worse)]
    found = training.generation_metrics(
        worse, references, baselines={"better": better, "same": worse, "right": references}
    )
    assert list(found["baselines"]) == ["better", "same", "right"]
    gain = found["baselines"]["better"]["gain"]["exact_match"]
    assert gain["value"] == pytest.approx(1 / 40) and 0 <= gain["low"] and gain["high"] < 0.1
    assert found["exact_match"]["high"] - found["exact_match"]["low"] > 0.2
    same = found["baselines"]["same"]
    for name in module.SCORES:
        assert same[name] == found[name]
        assert same["gain"][name] == {"value": 0, "low": 0, "high": 0}
    assert found["baselines"]["right"]["gain"]["chrf"]["high"] < 0


def test_groups_are_drawn_together():
    """Three copies of every example tell no more than one."""
    references = [f"name {n} of it" for n in range(20)]
    predictions = [text if n % 3 else "none" for n, text in enumerate(references)]
    once = training.generation_metrics(predictions, references, seed=2, resamples=200)
    thrice = training.generation_metrics(
        predictions * 3, references * 3, groups=[*range(20)] * 3, seed=2, resamples=200
    )
    assert (once["num_groups"], thrice["num_groups"], thrice["num_examples"]) == (20, 20, 60)
    for name in module.SCORES:
        assert thrice[name] == pytest.approx(once[name])
    loose = training.generation_metrics(predictions * 3, references * 3, groups=[""] * 60)
    assert loose["num_groups"] == 60


def test_seeds():
    one, same, other = (
        training.generation_metrics(PREDICTIONS, REFERENCES, seed=s, resamples=100)
        for s in (0, 0, 1)
    )
    assert one == same != other


@pytest.mark.parametrize(
    ("predictions", "references", "named", "message"),
    [
        ([], [], {}, r"`references` must be .*references=\[\]"),
        ("red", "red", {}, "`references` must be .*references='red'"),
        (["a"], [[]], {}, r"`references` must have one.*references\[0\]=\[\]"),
        (["a", "b"], ["a", ["b", " "]], {}, r"references\[1\]=\['b', ' '\]"),
        (["a"], ["a", "b"], {}, "`predictions` must be .* 2 references.*1 in a list"),
        ([b"a"], ["a"], {}, "`predictions` must be .*bytes are to be decoded.*b'a'"),
        (["a"], ["a"], {"baselines": {"x": [None]}}, r"`baselines\['x'\]` must.*None among"),
        (["a"], ["a"], {"groups": [1, 2]}, "`groups` must have .*2 keys for 1 "),
        (["a"], ["a"], {"tokenize": "14a"}, "`tokenize` must be one of.*tokenize='14a'"),
        (["a"], ["a"], {"resamples": 9}, "`resamples` must be at least 100.*resamples=9"),
    ],
)
def test_wrong_arguments(predictions, references, named, message):
    with pytest.raises(ValueError, match=message):
        training.generation_metrics(predictions, references, **named)


def test_without_sacrebleu(monkeypatch):
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        ImportError, match=r"needs the package sacrebleu: pip install 'tatl_keras.t"
    ):
        training.generation_metrics(["a"], ["a"])
