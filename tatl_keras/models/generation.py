"""Texts that a model has written, and how it came to them."""

import dataclasses

import numpy as np
import tensorflow as tf

from tatl_keras.data.detokenize import pieces_of, texts_of, writable_ids
from tatl_keras.data.tokenizers import start_and_end


@dataclasses.dataclass(frozen=True)
class Generation:
    """A text that a model has written.

    Attributes:
        text: str; "" where there was nothing to write about.
        valid: bool, whether there was something to write about: a readable picture, a text.
        log_prob: float, sum of the log-probabilities of its tokens, the end token included; 0.0
            where there was nothing to write about, and so is `score`.
        score: float, what it was chosen by, see the sampler.
        finished: bool, whether it came to its end, and not to the limit of its length.
        tokens: tuple of str, the pieces it was written in, without the end token.
        attention: float array (len(tokens), S), how much the model looked at each token of its
            memory (a region of the picture, a piece of the source) when it wrote each piece; None
            where it was not asked for.
        grid: (rows, columns) of the regions, S = rows · columns; None for a source text.

    Example:

    >>> from tatl_keras import models
    >>> one = models.Generation("cats", True, -1.5, -1.5, True, ("cat", "##s"))
    >>> one.text, len(one.tokens)
    ('cats', 2)
    """

    text: str
    valid: bool
    log_prob: float
    score: float
    finished: bool
    tokens: tuple
    attention: np.ndarray | None = dataclasses.field(default=None, repr=False)
    grid: tuple | None = None


def write(model, features, sampler, length, attended, first_row=0):
    """Writes texts about features; tensors in, tensors out.

    Args:
        model: a `TextGenerator`.
        features: dict of the encoder's features, with B rows.
        sampler: a sampler.
        length: int, most tokens of a text, end token included.
        attended: bool, whether to record attention.
        first_row: the number of the first row, see `Sampler`.

    Returns:
        Dict of the sampler's results (B, N, …), and `valid` (B,): whether something of the memory
        is real; where it is not, log-probabilities and scores are 0. Without attention that entry
        is missing.
    """
    memory, mask = model.memory(features)
    tokenizer = model.target_preprocessor.tokenizer
    start, end = start_and_end(tokenizer)
    refused = tf.constant(~writable_ids(tokenizer, model.decoder.vocabulary_size))
    fixed, moving = model.decoder.start(memory, mask, length)
    fixed, moving = tf.nest.map_structure(
        lambda tensor: tf.repeat(tensor, sampler.beams, axis=0), (fixed, moving)
    )

    def step(token_ids, index, moving):
        logits, attention, moving = model.decoder.step(token_ids, index, fixed, moving)
        logits = tf.where(refused, -float("inf"), logits)
        return tf.nn.log_softmax(logits), attention, moving

    found = sampler(
        step, moving, tf.shape(memory)[0], start_id=start, end_id=end,
        pad_id=tokenizer.pad_token_id, length=length,
        attended=memory.shape[1] if attended else None, first_row=first_row,
    )  # fmt: skip
    found = {name: value for name, value in found._asdict().items() if value is not None}
    valid = tf.reduce_any(tf.cast(mask, tf.bool), axis=1)
    for name in ("log_probs", "scores"):
        found[name] = tf.where(valid[:, None], found[name], 0.0)
    return found | {"valid": valid}


def texts_written(model, found):
    """The texts (B, N) of `write`'s results, "" where a row is not valid; in the graph."""
    texts = texts_of(model.target_preprocessor.tokenizer, found["token_ids"])
    return tf.where(found["valid"][:, None], texts, "")


def generations(model, found, grid):
    """`write`'s results as lists of `Generation`s, one list a row.

    Args:
        model: a `TextGenerator`.
        found: dict of arrays.
        grid: (rows, columns) of the memory's regions, or None.
    """
    texts = texts_written(model, found).numpy()
    pieces = pieces_of(model.target_preprocessor.tokenizer, found["token_ids"])
    rows = []
    for b, valid in enumerate(found["valid"]):
        row = []
        for n, text in enumerate(texts[b]):
            count = int(found["lengths"][b, n]) - int(found["finished"][b, n])
            attention = found["attention"][b, n, :count] if "attention" in found else None
            row.append(
                Generation(
                    text.decode(),
                    bool(valid),
                    float(found["log_probs"][b, n]),
                    float(found["scores"][b, n]),
                    bool(found["finished"][b, n]),
                    tuple(pieces[b, n, :count]) if valid else (),
                    attention if valid else None,
                    grid,
                )
            )
        rows.append(row)
    return rows
