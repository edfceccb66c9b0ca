"""What texts without a model would be: the numbers that stand beside every other."""

import collections

import numpy as np

_ROWS = 1024  # compared with all training rows at once


def generation_baselines(
    train_targets, num_examples, *, train_features=None, features=None, sources=None
):
    """Texts that four rules without any training write, for `generation_metrics`.

        most_common   the training target that is there most often, for every example
        unigram       the k most frequent training words, most frequent first, for every example;
                      k is the mean number of words of a training target, rounded
        nearest       the target of the training example whose features have the largest cosine
                      with the example's: retrieval
        copy          the source itself, as names and loanwords are translated

    Words are what blanks divide. Among equals the first in alphabetical order counts; in "nearest"
    the first training example does. Features that are all zero, of a picture or text that is not
    there, are near to nothing: their example gets the most common target.

    Shape letters: M training examples, N examples, D channels.

    Args:
        train_targets: list of M str, not empty.
        num_examples: int, N, at least 1.
        train_features: floats (M, D), pooled features of pictures or of source texts, or `None` for
            no retrieval.
        features: floats (N, D), those of the examples.
        sources: list of N str, the texts to translate, or `None` for no copies.

    Returns:
        A dict from the names above to lists of N str.

    Raises:
        ValueError: there is no target, or shapes do not fit.

    Example:

    >>> from tatl_keras import training
    >>> targets = ["red heart", "red apple", "green apple", "red apple"]
    >>> keys = [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, 1.0]]
    >>> training.generation_baselines(targets, 1, train_features=keys, features=[[3.0, 1.0]])
    {'most_common': ['red apple'], 'unigram': ['apple red'], 'nearest': ['red heart']}
    """
    targets = list(train_targets)
    if not targets or num_examples < 1:
        raise ValueError(
            "`train_targets` must have at least one text and `num_examples` be positive. Received: "
            f"{len(targets)} targets, {num_examples=}"
        )
    words = [target.split() for target in targets]
    length = round(sum(map(len, words)) / len(words))
    common = _most_frequent(targets, 1)[0]
    frequent = _most_frequent([word for some in words for word in some], length)
    found = {
        "most_common": [common] * num_examples,
        "unigram": [" ".join(frequent)] * num_examples,
    }
    if (features is None) != (train_features is None):
        raise ValueError(
            "`features` and `train_features` must be given together. Received: "
            f"{'train_' if features is None else ''}features alone"
        )
    if features is not None:
        nearest = _nearest(features, num_examples, train_features, len(targets))
        found["nearest"] = [common if row < 0 else targets[row] for row in nearest]
    if sources is not None:
        if len(sources) != num_examples:
            raise ValueError(
                f"`sources` must be {num_examples} texts. Received: {len(sources)} texts"
            )
        found["copy"] = list(sources)
    return found


def unigram_perplexity(train_tokens, tokens, vocabulary_size=None):
    """The perplexity a token of a model that knows only how frequent tokens are.

        p(w) = (count(w) + 1) / (training tokens + V)        add-one smoothing
        perplexity = exp(-mean(log p(w)))                    over all tokens of all sequences

    To stand beside a model's perplexity the tokens must be the model's, its end token included.

    Args:
        train_tokens: list of sequences of ids, or of str.
        tokens: list of sequences, of what is held out.
        vocabulary_size: int, V. By default one more than there are different training tokens:
            whatever is not among these counts as one unknown token.

    Returns:
        A float.

    Raises:
        ValueError: nothing is held out, or `vocabulary_size` is below the number of different
            training tokens.

    Example:

    >>> from tatl_keras import training
    >>> training.unigram_perplexity([["a", "b", "a"]], [["a", "a"]])
    2.0
    """
    counts = collections.Counter(token for sequence in train_tokens for token in sequence)
    held_out = [token for sequence in tokens for token in sequence]
    size = len(counts) + 1 if vocabulary_size is None else vocabulary_size
    if size < len(counts) or not held_out:
        raise ValueError(
            f"`vocabulary_size` must be at least {len(counts)}, the different training tokens, and "
            f"`tokens` hold a token. Received: {vocabulary_size=} and {len(held_out)} tokens"
        )
    shares = np.array([counts[token] + 1 for token in held_out]) / (sum(counts.values()) + size)
    return float(np.exp(-np.log(shares).mean()))


def _most_frequent(values, number):
    counted = collections.Counter(values)
    return sorted(counted, key=lambda value: (-counted[value], value))[:number]


def _nearest(features, count, train_features, train_count):
    """For each row the training row of the largest cosine, -1 for a row of zeros."""
    rows, keys = np.asarray(features, np.float64), np.asarray(train_features, np.float64)
    if rows.ndim != 2 or keys.shape != (train_count, rows.shape[1]) or len(rows) != count:
        raise ValueError(
            f"`features` must have shape ({count}, D) and `train_features` ({train_count}, D). "
            f"Received: features.shape={rows.shape}, train_features.shape={keys.shape}"
        )
    lengths = np.linalg.norm(keys, axis=1, keepdims=True)
    keys = np.divide(keys, lengths, out=np.zeros_like(keys), where=lengths > 0)
    parts = [rows[first : first + _ROWS] for first in range(0, count, _ROWS)]
    best = np.concatenate([(part @ keys.T).argmax(axis=1) for part in parts])
    return np.where(rows.any(axis=1), best, -1).tolist()
