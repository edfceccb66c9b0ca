"""The definitions of greedy and beam search in plain Python, one row at a time, in float64."""

import itertools
from typing import NamedTuple

import numpy as np


class Sequence(NamedTuple):
    """Tokens, the sum of their log-probabilities, and which token ends."""

    token_ids: tuple
    log_prob: float
    end_id: int

    @property
    def finished(self):
        return self.end_id in self.token_ids

    def score(self, length_penalty):
        """Wu et al. 2016, equation 14, without coverage."""
        return self.log_prob / ((5 + len(self.token_ids)) / 6) ** length_penalty


def greedy(log_probs, length, end_id):
    """The likeliest token at each step; `log_probs` is a function of the tokens so far."""
    made = Sequence((), 0.0, end_id)
    while len(made.token_ids) < length and not made.finished:
        made = max(extended(made, log_probs), key=lambda s: s.log_prob)
    return made


def beam(log_probs, length, end_id, num_beams, length_penalty):
    """The `num_beams` best, best first."""
    kept = [Sequence((), 0.0, end_id)]
    for _ in range(length):
        candidates = []
        for sequence in kept:
            candidates += [sequence] if sequence.finished else extended(sequence, log_probs)
        candidates.sort(key=lambda s: -s.score(length_penalty))
        kept = candidates[:num_beams]
    return kept


def extended(sequence, log_probs):
    """The sequence with each possible token behind it."""
    for token, log_prob in enumerate(log_probs(sequence.token_ids)):
        if np.isfinite(log_prob):
            yield Sequence(
                (*sequence.token_ids, token), sequence.log_prob + log_prob, sequence.end_id
            )


def every(vocabulary_size, length, end_id):
    """All tuples of tokens that end with the end token, or are as long as allowed."""
    others = [token for token in range(vocabulary_size) if token != end_id]
    for size in range(length):
        for before in itertools.product(others, repeat=size):
            yield (*before, end_id)
    yield from itertools.product(others, repeat=length)
