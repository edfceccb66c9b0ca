"""The words of a text that a model has written, and where it looked for each."""

import dataclasses

import numpy as np

_INSIDE = "##"  # how WordPiece marks a piece inside a word
_SPACE = "▁"  # how SentencePiece marks the beginning of one


@dataclasses.dataclass(frozen=True)
class AttendedWord:
    """A word as it was written.

    Attributes:
        text: str.
        tokens: tuple of str, the pieces it was written in.
        attention: floats (S,), how much the model looked at each token of its memory.
    """

    text: str
    tokens: tuple
    attention: np.ndarray = dataclasses.field(repr=False)


def attended_words(generation):
    """Joins the pieces that a text was written in to the words between its spaces.

        attention(word) = mean over its pieces of attention(piece)                  (S,)

    A piece belongs to the word that it begins in. Pieces that do not spell the text, such as bytes
    of a letter that the vocabulary lacks, stand for themselves.

    Args:
        generation: a `models.Generation` with attention.

    Returns:
        List of `AttendedWord`; empty where nothing was written.

    Raises:
        ValueError: `generation` has no attention though something was written.

    Example:

    >>> import numpy as np
    >>> from tatl_keras import models
    >>> attention = np.array([[0.5, 0.5], [0.0, 1.0], [0.5, 0.5]])
    >>> written = models.Generation(
    ...     "red cats", True, -1.0, -1.0, True, ("red", "cat", "##s"), attention, (1, 2))
    >>> [(word.text, word.attention.tolist()) for word in attended_words(written)]
    [('red', [0.5, 0.5]), ('cats', [0.25, 0.75])]
    """
    tokens = generation.tokens
    if not tokens:
        return []
    attention = attention_of(generation)
    spelled = [_letters(token) for token in tokens]
    words = generation.text.split()
    if "".join(spelled) != "".join(words):
        spelled = words = [letters or token for letters, token in zip(spelled, tokens, strict=True)]
    ends = np.cumsum([len(word) for word in words])
    starts = np.cumsum([0, *(len(letters) for letters in spelled[:-1])])
    begun = np.minimum(np.searchsorted(ends, starts, side="right"), len(words) - 1)
    firsts = [*np.unique(begun).tolist(), len(words)]
    found = []
    for first, after in zip(firsts, firsts[1:], strict=False):  # a piece may reach over a space
        pieces = np.flatnonzero(begun == first)
        text = " ".join(words[first:after])
        found.append(
            AttendedWord(text, tuple(tokens[i] for i in pieces), attention[pieces].mean(axis=0))
        )
    return found


def attention_of(generation):
    """The attention (len(tokens), S) of a generation, in float64, or a ValueError."""
    if generation.attention is None:
        raise ValueError(
            "`generation` must hold attention. Received: generation.attention=None. "
            "`generate(..., return_details=True)` records it."
        )
    return np.asarray(generation.attention, np.float64)


def _letters(token):
    """What a piece adds to the letters of the text."""
    return token.removeprefix(_INSIDE).replace(_SPACE, "")
