"""A small made-up model whose next token depends on the last one, the place, and all before."""

import numpy as np
import tensorflow as tf

from tests.models.samplers import sequences

PAD, END, START = 0, 1, 2


class Markov:
    """Logits from tables, and from what `moving` remembers of a row and its tokens.

        logits    = table[t, token] + memory @ mixing + context
        memory'   = memory / 2 + one_hot(token)

    Args:
        vocabulary_size: V.
        length: the most steps.
        rows: B, each with a context of its own.
        attended: S.
        seed: decides all tables.
        sharpness: scale of the logits.
    """

    def __init__(self, vocabulary_size, length, rows, *, attended=7, seed=0, sharpness=1.0):
        rng = np.random.default_rng(seed)
        self.vocabulary_size, self.length, self.attended = vocabulary_size, length, attended
        table = rng.normal(size=(length, vocabulary_size, vocabulary_size)) * sharpness
        self.table = table.astype("float32")
        self.mixing = rng.normal(size=(vocabulary_size, vocabulary_size)).astype("float32")
        self.context = rng.normal(size=(rows, vocabulary_size)).astype("float32") * sharpness
        self.looks = rng.normal(size=(vocabulary_size, attended)).astype("float32")

    def moving(self, beams=1, rows=slice(None)):
        """What `step` starts from, nested, with each row `beams` times."""
        context = np.repeat(self.context[rows], beams, axis=0)
        memory = np.zeros((len(context), self.vocabulary_size), "float32")
        return {"memory": tf.constant(memory), "of_rows": [tf.constant(context)]}

    def step(self, token_ids, index, moving):
        """As a `Sampler` calls it."""
        memory, (context,) = moving["memory"], moving["of_rows"]
        logits = tf.gather(tf.constant(self.table)[index], token_ids)
        logits = logits + memory @ self.mixing + context
        memory = memory / 2 + tf.one_hot(token_ids, self.vocabulary_size)
        attention = tf.nn.softmax(memory @ self.looks)
        return tf.nn.log_softmax(logits), attention, {"memory": memory, "of_rows": [context]}

    def log_probs(self, row, made):
        """The same in float64, for one row and the tokens made so far, from the first on."""
        memory = self._memory(made[:-1] if made else None)
        last = made[-1] if made else START
        logits = self.table[len(made), last] + memory @ self.mixing + self.context[row]
        return logits - np.logaddexp.reduce(logits)

    def attention(self, made):
        """What is attended to when the token behind `made` is made."""
        logits = self._memory(made) @ self.looks.astype("float64")
        return np.exp(logits - np.logaddexp.reduce(logits))

    def _memory(self, made):
        """After the start token and these; nothing at all where they are None."""
        memory = np.zeros(self.vocabulary_size)
        for token in () if made is None else (START, *made):
            memory = memory / 2 + np.eye(self.vocabulary_size)[token]
        return memory

    def sequence(self, row, token_ids):
        """The `sequences.Sequence` of tokens up to the end."""
        total = sum(
            self.log_probs(row, token_ids[:place])[token] for place, token in enumerate(token_ids)
        )
        return sequences.Sequence(tuple(token_ids), total, END)

    def run(self, sampler, rows=slice(None), **options):
        """What a sampler makes of the rows, as arrays."""
        moving = self.moving(sampler.beams, rows)
        made = sampler(
            self.step, moving, len(self.context[rows]),
            start_id=START, end_id=END, pad_id=PAD, length=self.length, **options,
        )  # fmt: skip
        return type(made)(*(None if x is None else x.numpy() for x in made))

    def check(self, made, wanted, length_penalty=0.0):
        """Compares all that a sampler made with N `sequences.Sequence` for each row."""
        for place in np.ndindex(made.log_probs.shape):
            sequence = wanted[place[0]][place[1]]
            count = len(sequence.token_ids)
            padding = (PAD,) * (self.length - count)
            assert tuple(made.token_ids[place]) == sequence.token_ids + padding
            assert made.lengths[place] == count
            assert made.finished[place] == sequence.finished
            np.testing.assert_allclose(made.log_probs[place], sequence.log_prob, rtol=1e-5)
            score = sequence.score(length_penalty)
            np.testing.assert_allclose(made.scores[place], score, rtol=1e-5)
            if made.attention is not None:
                looks = [self.attention(sequence.token_ids[:t]) for t in range(count)]
                np.testing.assert_allclose(made.attention[place][:count], looks, atol=1e-6)
                assert not made.attention[place][count:].any()
