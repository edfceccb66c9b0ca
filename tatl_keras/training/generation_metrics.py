"""How good written texts are, with intervals, and beside what needs no model."""

import importlib.util

import numpy as np

from tatl_keras._paired import CONFIDENCE
from tatl_keras._units import units_of

SCORES = ("bleu", "chrf", "exact_match")
TOKENIZERS = ("13a", "intl", "char", "zh", "none")
_MOST_WORDS = 4  # n-grams of BLEU


def generation_metrics(
    predictions,
    references,
    *,
    baselines=None,
    groups=None,
    tokenize="13a",
    seed=0,
    resamples=1000,
):
    """BLEU, chrF and exact matches of a set of texts, each with its 95 % interval.

        BLEU  = 100 min(1, exp(1 - r / p)) (P_1 P_2 … P_n)^(1/n)      P_k: precision of k-grams
        chrF  = 100 · 5 P R / (4 P + R)             P, R: means over n-grams of 1 to 6 characters
        exact = share of predictions that equal one of their references, character by character

    p is the number of words predicted, r that of the references, of several the closest; counts are
    summed over all texts before they are divided. These are sacrebleu's numbers, with its smoothing
    where a P_k is 0. n is 4, or the number of words of the longest reference where that is less: of
    names of three words there is no 4-gram to be right about, and perfect predictions would score
    0. Of short texts chrF says more than BLEU.

    Intervals are percentiles over resamples of the examples, drawn with replacement; every baseline
    is scored on the same resamples, so that what is gained over it has an interval too: a paired
    one. Examples of one group, pictures of one thing or near duplicates, are drawn together.

    Texts are compared as they are. To lower-case them and to undo what a tokenizer did to blanks
    and punctuation, in predictions and references alike, is the caller's business.

    Args:
        predictions: list of N str. They may be empty, which is counted.
        references: list of N str, or of N lists of one or more str. None is empty.
        baselines: dict from name to a list of N str; see `generation_baselines`.
        groups: list of N keys, examples of one key being drawn together. `None` and "" bind
            nothing.
        tokenize: how BLEU finds words: "13a" (for languages with blanks), "intl", "char", "zh" or
            "none".
        seed: int.
        resamples: int, at least 100.

    Returns:
        A dict that `json` can write: `num_examples`, `num_groups` (what was drawn), `num_empty`,
        `bleu`, `chrf` (0 to 100) and `exact_match` (0 to 1), each a dict of `value`, `low` and
        `high`; `baselines` (name → the same three, and `gain`, the three differences to the
        predictions); `bleu_order` (n) and `signatures`, sacrebleu's, for `bleu` and `chrf`.

    Raises:
        ImportError: sacrebleu is not installed.
        ValueError: there is no example, the lists differ in length, or something in them is not as
            it must be.

    Example:

    >>> from tatl_keras import training
    >>> references = [["a red apple", "one red apple"], "two green hearts"]
    >>> found = training.generation_metrics(["a red apple", "two hearts"], references)
    >>> found["exact_match"]["value"], round(found["chrf"]["value"], 1), found["bleu_order"]
    (0.5, 61.9, 3)

    Reference: Papineni et al. 2002, "BLEU"; Popović 2015, "chrF"; Post 2018, "A Call for Clarity in
    Reporting BLEU Scores", https://arxiv.org/abs/1804.08771; Koehn 2004, "Statistical Significance
    Tests for Machine Translation Evaluation", https://aclanthology.org/W04-3250.
    """
    references = _check_references(references)
    systems = {f"baselines[{name!r}]": texts for name, texts in (baselines or {}).items()}
    systems = {"predictions": predictions, **systems}
    systems = {n: _check_texts(n, texts, len(references)) for n, texts in systems.items()}
    _check_numbers(tokenize, resamples)
    scorer = _Scorer(references, tokenize)
    units = _units(groups, len(references))
    counts = [_sum_by(units, scorer.counts(texts)) for texts in systems.values()]
    values = np.array([scorer.scores(each.sum(axis=0)) for each in counts])
    drawn = _resample(counts, scorer.scores, np.random.default_rng(seed), resamples)
    own, *others = (_describe(*each) for each in zip(values, drawn, strict=True))
    gains = [_describe(values[0] - v, drawn[0] - d) for v, d in zip(values, drawn, strict=True)]
    return {
        "num_examples": len(references),
        "num_groups": len(counts[0]),
        "num_empty": sum(not text.strip() for text in systems["predictions"]),
        **own,
        "baselines": {
            name: {**other, "gain": gain}
            for name, other, gain in zip(baselines or {}, others, gains[1:], strict=True)
        },
        "bleu_order": scorer.bleu.max_ngram_order,
        "signatures": scorer.signatures(),
    }


class _Scorer:
    """What sacrebleu counts of each text, and its scores of sums of these counts.

    These two steps are not part of sacrebleu's public interface; a test compares what they give
    with its public `corpus_score`.
    """

    def __init__(self, references, tokenize):
        metrics = _sacrebleu()
        words = metrics.BLEU(tokenize=tokenize).tokenizer
        longest = max(len(words(text).split()) for texts in references for text in texts)
        self.bleu = metrics.BLEU(
            tokenize=tokenize, max_ngram_order=max(1, min(_MOST_WORDS, longest)), force=True
        )
        self.chrf = metrics.CHRF()
        self.references = references
        most = max(map(len, references))
        padded = [[*texts, *[None] * (most - len(texts))] for texts in references]
        self.streams = [list(stream) for stream in zip(*padded, strict=True)]

    def counts(self, texts):
        """Floats (N, counts): those of BLEU, those of chrF, matches and examples."""
        both = zip(texts, self.references, strict=True)
        exact = [[text in accepted, 1] for text, accepted in both]
        bleu, chrf = (
            metric._extract_corpus_statistics(texts, self.streams)
            for metric in (self.bleu, self.chrf)
        )
        self.split_at = len(bleu[0])
        return np.concatenate([bleu, chrf, exact], axis=1, dtype=np.float64)

    def scores(self, sums):
        """The three scores of summed counts."""
        sums = sums.tolist()
        bleu = self.bleu._compute_score_from_stats(sums[: self.split_at]).score
        chrf = self.chrf._compute_score_from_stats(sums[self.split_at : -2]).score
        return bleu, chrf, sums[-2] / sums[-1]

    def signatures(self):
        return {"bleu": str(self.bleu.get_signature()), "chrf": str(self.chrf.get_signature())}


def _sacrebleu():
    if importlib.util.find_spec("sacrebleu") is None:
        raise ImportError(
            "training.generation_metrics needs the package sacrebleu: "
            "pip install 'tatl_keras[text]'"
        )
    import sacrebleu.metrics

    return sacrebleu.metrics


def _units(groups, count):
    """Ints (count,), from 0 without gaps: what is drawn together."""
    if groups is None:
        return np.arange(count)
    groups = list(groups)
    if len(groups) != count:
        raise ValueError(
            f"`groups` must have a key for each example. Received: {len(groups)} keys for {count} "
            "examples"
        )
    return np.unique(units_of(count, groups), return_inverse=True)[1]


def _sum_by(units, counts):
    summed = np.zeros((units.max() + 1, counts.shape[1]))
    np.add.at(summed, units, counts)
    return summed


def _resample(counts, scores, rng, resamples):
    """Floats (systems, resamples, scores), of all systems on the same draws."""
    units = len(counts[0])
    drawn = np.zeros((len(counts), resamples, len(SCORES)))
    for number in range(resamples):
        times = rng.multinomial(units, np.full(units, 1 / units))
        for system, each in enumerate(counts):
            drawn[system, number] = scores(times @ each)
    return drawn


def _describe(values, drawn):
    """Each score with its interval."""
    outside = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [outside, 1 - outside], axis=0)
    return {
        name: {"value": float(v), "low": float(a), "high": float(b)}
        for name, v, a, b in zip(SCORES, values, low, high, strict=True)
    }


def _check_references(references):
    if isinstance(references, (str, bytes)) or not len(references):
        raise ValueError(
            "`references` must be a list of str, or of lists of str, with at least one. Received: "
            f"references={references!r}"
        )
    found = [[one] if isinstance(one, str) else list(one) for one in references]
    for place, texts in enumerate(found):
        if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
            raise ValueError(
                "`references` must have one or more texts that are not empty for each example. "
                f"Received: references[{place}]={references[place]!r}"
            )
    return found


def _check_texts(name, texts, count):
    wrong = [] if isinstance(texts, (str, bytes)) else [t for t in texts if not isinstance(t, str)]
    if isinstance(texts, (str, bytes)) or len(texts) != count or wrong:
        got = f"{wrong[0]!r} among them" if wrong else f"{len(texts)} in a {type(texts).__name__}"
        raise ValueError(
            f"`{name}` must be a list of str, one for each of {count} references; bytes are to be "
            f"decoded. Received: {got}"
        )
    return list(texts)


def _check_numbers(tokenize, resamples):
    if tokenize not in TOKENIZERS:
        raise ValueError(f"`tokenize` must be one of {TOKENIZERS}. Received: {tokenize=}")
    if resamples < 100:
        raise ValueError(f"`resamples` must be at least 100. Received: {resamples=}")
