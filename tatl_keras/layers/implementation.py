"""Which execution of attention runs where, and what all of them return."""

import math
from typing import NamedTuple

import keras

IMPLEMENTATIONS = ("auto", "dense", "chunked")

# "auto" tiles what has more scores than this (64 MB of them): up to there both ways take about the
# same time, see benchmarks/results/attention.csv.
LARGEST_DENSE = 2**24


class Attended(NamedTuple):
    """What attention returns.

    Attributes:
        outputs: Y (…, T, Dv) in the dtype of the values.
        scores: A (…, T, S), or None if they were not asked for.
        log_sum_exp: L (…, T), or None if it was not asked for; the lowest finite number in rows
            with nothing to attend.
    """

    outputs: object
    scores: object = None
    log_sum_exp: object = None


def attention_spec(dtype, shape, scores_shape, return_attention_scores, implementation="auto"):
    """The symbolic result of attention that runs in `dtype`: Y, or the pair Y, A."""
    _check_implementation(implementation, return_attention_scores)
    outputs = keras.KerasTensor(shape, dtype=dtype)
    if not return_attention_scores:
        return outputs
    precise = keras.backend.result_type(dtype, "float32")
    return outputs, keras.KerasTensor(scores_shape, dtype=precise)


def _check_implementation(implementation, return_attention_scores):
    if implementation == "chunked" and return_attention_scores:
        raise ValueError(
            '`implementation` must be "dense" or "auto" where attention scores are returned. '
            'Received: implementation="chunked", return_attention_scores=True. "chunked" never '
            "holds the scores."
        )
    if implementation == "chunked" and keras.backend.backend() != "tensorflow":
        raise ValueError(
            '`implementation` must be "dense" or "auto" under this backend. Received: '
            f'implementation="chunked", backend={keras.backend.backend()!r}. "chunked" runs on '
            "TensorFlow."
        )


def is_tiled(implementation, query, key, return_attention_scores):
    """Whether attention of `query` to `key` runs in tiles; raises where it cannot."""
    _check_implementation(implementation, return_attention_scores)
    if implementation != "auto":
        return implementation == "chunked"
    if return_attention_scores or keras.backend.backend() != "tensorflow":
        return False
    sizes = (*query.shape[:-1], key.shape[-2])
    return None in sizes or math.prod(sizes) > LARGEST_DENSE


def in_tiles_if_possible(implementation, return_attention_scores):
    """What "auto" stands for where tiles win at every size: many small attentions at once."""
    possible = keras.backend.backend() == "tensorflow" and not return_attention_scores
    return "chunked" if implementation == "auto" and possible else implementation
