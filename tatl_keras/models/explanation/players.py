"""The regions of a picture and the words of a text, and pictures and texts with some left out."""

import re

import numpy as np
import tensorflow as tf

from tatl_keras.data.preprocessing import CHARACTERS_PER_TOKEN
from tatl_keras.data.tokenizers import pieces, start_and_end

# Ideographs stand for themselves; of the rest, what no space or control character interrupts.
_IDEOGRAPH = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_SPACE = r"\s\x00-\x1f\x7f"
_WORD = re.compile(f"[{_IDEOGRAPH}]|[^{_SPACE}{_IDEOGRAPH}]+")


class Picture:
    """A picture as the model sees it, cut into a grid of regions.

    A region that is left out gets the mean colour of the picture, which tells nothing of where
    anything is. A picture without any region is missing.

    Args:
        image: floats (H, W, C), or `None` where there is none.
        grid: (rows, columns).
    """

    def __init__(self, image, grid):
        self.image, self.grid = image, grid
        self.count = 0 if image is None else grid[0] * grid[1]
        if image is not None:
            self._places = region_places(image.shape[:2], grid)
            self._mean = image.mean(axis=(0, 1), dtype=np.float64).astype(image.dtype)

    def inputs(self, members, shape):
        """Pictures (K, H, W, C) of the regions that `members`, bools (K, n), name."""
        if self.image is None:
            return np.zeros((len(members), *shape), np.float32)
        shown = members[:, self._places][..., None]
        found = np.where(shown, self.image, self._mean)
        return found * members.any(axis=1)[:, None, None, None]

    def variants(self):
        """Pictures (6, H, W, C) that mean the same: see `Explanation.probability_error`."""
        height, width = self.image.shape[:2]
        rows, columns = max(height // 32, 1), max(width // 32, 1)
        padded = np.pad(self.image, [(rows, rows), (columns, columns), (0, 0)], mode="edge")
        offsets = [(0, columns), (2 * rows, columns), (rows, 0), (rows, 2 * columns)]
        moved = [padded[y : y + height, x : x + width] for y, x in offsets]
        return np.stack([self.image, self.image[:, ::-1], *moved])


class Text:
    """A text as the model reads it, cut into words.

    A word that is left out is taken out of the tokens, and those behind it move up: the encoder
    sees the text as if it had been written without the word. A text without any word is missing.

    Args:
        text: string, perhaps empty.
        token_ids, padding_mask: ints (L,), what the preprocessor makes of it.
        preprocessor: a `tatl_keras.data.Preprocessor`, or `None` where no text is read.
    """

    def __init__(self, text, token_ids, padding_mask, preprocessor):
        self.words, self._tokens = [], []
        self.token_ids, self.padding_mask = np.asarray(token_ids), np.asarray(padding_mask)
        if preprocessor is not None and self.padding_mask.any():
            self._pad = preprocessor.tokenizer.pad_token_id
            self.words, self._tokens = _words_and_tokens(text, preprocessor)
        self.count = len(self.words)

    @property
    def tokens(self):
        """List of int arrays, the places of each word's tokens."""
        return self._tokens

    def inputs(self, members):
        """Dict of token_ids and padding_mask (K, L of the text) of the words `members` name."""
        ids = np.tile(self.token_ids, (len(members), 1))
        mask = np.tile(self.padding_mask, (len(members), 1))
        for row, kept in enumerate(members):
            if kept.all() and self.count:
                continue
            gone = [self._tokens[word] for word in np.flatnonzero(~kept)]
            stays = np.ones(len(self.token_ids), bool)
            stays[np.concatenate([*gone, np.zeros(0, int)]).astype(int)] = False
            count = int(stays.sum())
            if self.count:
                ids[row, :count], mask[row, :count] = self.token_ids[stays], mask[row, stays]
                ids[row, count:], mask[row, count:] = self._pad, 0
            mask[row] *= bool(kept.any())
        longest = max(int(self.padding_mask.sum()), 1)
        return {"token_ids": ids[:, :longest], "padding_mask": mask[:, :longest]}


def region_places(shape, grid):
    """The region's number (H, W) of each pixel, for shape (H, W), row by row."""
    rows, columns = (
        np.minimum(np.arange(size) * parts // size, parts - 1)
        for size, parts in zip(shape, grid, strict=True)
    )
    return rows[:, None] * grid[1] + columns[None]


def region_means(values, grid):
    """Means (rows · columns,) of a map (h, w) over the regions of a grid, by the area shared."""
    shares = [_overlap(size, parts) for size, parts in zip(values.shape, grid, strict=True)]
    return (shares[0] @ values @ shares[1].T).reshape(-1)


def _overlap(size, parts):
    """Share (parts, size) of each part of the unit interval that each of `size` cells covers."""
    cells, cuts = np.arange(size + 1) / size, np.arange(parts + 1) / parts
    low = np.maximum(cuts[:-1, None], cells[None, :-1])
    high = np.minimum(cuts[1:, None], cells[None, 1:])
    return np.maximum(high - low, 0.0) * parts


def _words_and_tokens(text, preprocessor):
    """Words of a text that are read, and the places of their tokens.

    A word's tokens are those by which the text up to its end has more than up to its beginning.
    """
    longest = preprocessor.sequence_length * CHARACTERS_PER_TOKEN
    found = [match for match in _WORD.finditer(text) if match.start() < longest]
    cleaned = re.sub(r"[\x00-\x1f\x7f]", " ", text[:longest])
    begun = [cleaned[: match.end()].strip() for match in found]
    count = np.array([len(one) for one in pieces(preprocessor.tokenizer, tf.constant(begun))])
    start, end = start_and_end(preprocessor.tokenizer)
    room = preprocessor.sequence_length - (start is not None) - (end is not None)
    ends = np.minimum(np.maximum.accumulate(count), room)
    starts = np.concatenate([[0], ends[:-1]])
    places = [np.arange(a, b) + (start is not None) for a, b in zip(starts, ends, strict=True)]
    kept = [i for i, some in enumerate(places) if len(some)]
    words = [
        {"text": found[i].group(), "start": found[i].start(), "end": found[i].end()} for i in kept
    ]
    if words:
        return words, [places[i] for i in kept]
    whole = text.strip()  # a text of which nothing is known to the tokenizer is one word
    begin = text.index(whole)
    return [{"text": whole, "start": begin, "end": begin + len(whole)}], [np.zeros(0, int)]
