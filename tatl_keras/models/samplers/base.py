"""The interface of all samplers."""

import numbers

import tensorflow as tf

from tatl_keras.layers.checks import check_count
from tatl_keras.models.samplers import loop
from tatl_keras.models.samplers.generated import Generated


class Sampler:
    """Makes sequences token by token, from a step of a model that says what may come next.

        token_ids_0 = start_id
        log_probs, attention, moving = step(token_ids_t, t, moving)      t = 0 … L - 1
        token_ids_t+1 = choose(log_probs)

    The loop ends when all sequences have ended, or after L tokens. What a sequence becomes does not
    depend on the other rows: one that has ended stays as it is. All is plain TensorFlow, so it runs
    eagerly, in a `tf.function` with an unknown number of rows, and in a SavedModel.

    Shape letters: B rows, R = B · `beams` sequences under way, those of a row beside each other; N
    = `num_return`, L most tokens, V vocabulary, S attended positions.

    Subclasses implement `choose`, and `score` where they do not rank by log-probability.

    Attributes:
        beams: int, sequences under way for each row.
        num_return: int of at most `beams`, sequences returned for each row.

    Call arguments:
        step: function of the tokens before, int32 (R,); their place t, int32 without axes; and
            `moving`. It returns log-probabilities of the next token (R, V), a log-softmax with -inf
            where a token may not be made; attention (R, S), or None where it is not recorded; and
            `moving` for the next step.
        moving: nested structure of tensors (R, …), what a step hands on; () for nothing.
        rows: B, int or integer tensor without axes.
        start_id, end_id, pad_id: ints in [0, V): the token before the first, the one that ends a
            sequence, and the one behind that.
        length: L, int of at least 1; the end token counts.
        first_row: int32 without axes, the number of the first row where these are some of more.
        attended: S, int of at least 1, if attention is to be recorded; None for not.

    Returns:
        `Generated`.

    Raises:
        ValueError: an argument is out of its bounds, or `step` returns something of another shape.

    Example:

    >>> import tensorflow as tf
    >>> from tatl_keras.models import samplers
    >>> class Last(samplers.Sampler):
    ...     def choose(self, index, log_probs, made):
    ...         last = tf.fill(tf.shape(made.lengths), log_probs.shape[1] - 1)
    ...         return None, last, made.log_probs + log_probs[:, -1]
    >>> def step(token_ids, index, moving):
    ...     return tf.tile(tf.math.log([[0.1, 0.2, 0.7]]), [tf.size(token_ids), 1]), None, moving
    >>> made = Last()(step, (), 1, start_id=0, end_id=2, pad_id=0, length=3)
    >>> made.token_ids.numpy().tolist(), made.lengths.numpy().tolist()
    ([[[2, 0, 0]]], [[1]])
    """

    beams = 1
    num_return = 1

    def __call__(
        self, step, moving, rows, *, start_id, end_id, pad_id, length, attended=None, first_row=0
    ):  # fmt: skip
        ids = {"start_id": start_id, "end_id": end_id, "pad_id": pad_id}
        ids = {name: _check_id(name, value) for name, value in ids.items()}
        length = check_count("length", length)
        attended = None if attended is None else check_count("attended", attended)
        rows = _check_rows(rows)
        of = tf.repeat(first_row + tf.range(rows), self.beams)
        made = loop.empty(of, pad_id=ids["pad_id"], length=length, attended=attended)
        made = loop.run(self.choose, step, moving, made, **ids)

        def returned(x):
            x = tf.reshape(x, [rows, self.beams, *x.shape[1:]])
            return x[:, : self.num_return]

        return Generated(
            token_ids=returned(made.token_ids),
            log_probs=returned(made.log_probs),
            scores=returned(self.score(made.log_probs, made.lengths)),
            lengths=returned(made.lengths),
            finished=returned(made.finished),
            attention=None if attended is None else returned(made.attention),
        )

    def choose(self, index, log_probs, made):
        """Which token comes next.

        Args:
            index: int32 without axes, the step.
            log_probs: float32 (R, V); of sequences that have ended, 0 for padding and -inf else.
            made: what the R sequences are so far, with `rows`, `log_probs`, `lengths` and
                `finished` (R,).

        Returns:
            `(parents, token_ids, log_probs)` for R sequences: which sequence each of them
            continues, int32 (R,), or None where each continues itself; its next token, int32 (R,);
            and the sum of its log-probabilities with that token, float32 (R,).
        """
        raise NotImplementedError

    def score(self, log_probs, lengths):
        """What sequences are ranked by, from the sums of log-probabilities and the lengths."""
        return log_probs

    def get_config(self):
        """The arguments of the constructor, as a dict."""
        return {}

    @classmethod
    def from_config(cls, config):
        """A sampler of what `get_config` returned."""
        return cls(**config)


def _check_id(name, value):
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 0:
        raise ValueError(
            f"`{name}` must be an integer of at least 0. Received: {name}={value!r}. "
            "It is the number of a token."
        )
    return int(value)


def _check_rows(rows):
    fits = not isinstance(rows, bool) and isinstance(rows, numbers.Integral) and rows >= 0
    if tf.is_tensor(rows):
        fits = rows.dtype.is_integer and rows.shape.rank == 0
    if not fits:
        raise ValueError(
            "`rows` must be an integer of at least 0, or an integer tensor without axes. "
            f"Received: rows={rows!r}"
        )
    return tf.cast(rows, tf.int32) if tf.is_tensor(rows) else int(rows)
