"""The one loop of all samplers: a step of the model, a choice, one token more for each sequence."""

from typing import NamedTuple

import tensorflow as tf

IMPOSSIBLE = float("-inf")


class Made(NamedTuple):
    """What R sequences are so far, with room for L tokens.

    Args:
        rows: int32 (R,), the number of the row that a sequence is one of.
        token_ids: int32 (R, L), the padding token where none was made.
        log_probs: float32 (R,), -inf where there is no such sequence.
        lengths: int32 (R,), tokens made.
        finished: bool (R,), whether the end token was made.
        attention: float32 (R, L, S), or () where it is not recorded.
    """

    rows: tf.Tensor
    token_ids: tf.Tensor
    log_probs: tf.Tensor
    lengths: tf.Tensor
    finished: tf.Tensor
    attention: tf.Tensor | tuple

    @property
    def possible(self):
        """bool (R,): whether there is such a sequence."""
        return self.log_probs > IMPOSSIBLE

    @property
    def ended(self):
        """bool (R,): whether no token comes any more."""
        return self.finished | ~self.possible


def empty(rows, *, pad_id, length, attended):
    """`Made` of a sequence without a token for each of `rows`; `attended` is S, or None."""
    count = tf.size(rows)
    return Made(
        rows=rows,
        token_ids=tf.fill([count, length], pad_id),
        log_probs=tf.zeros([count]),
        lengths=tf.zeros([count], tf.int32),
        finished=tf.zeros([count], tf.bool),
        attention=() if attended is None else tf.zeros([count, length, attended]),
    )


def run(choose, step, moving, made, *, start_id, end_id, pad_id):
    """Makes tokens until all sequences have ended, or there is no room.

    A sequence that has ended goes on with the padding token, at probability 1, whatever `step`
    says of it. So none depends on how long the others take.

    Args:
        choose: see `Sampler.choose`.
        step: see `Sampler`.
        moving: nested structure of tensors (R, …).
        made: `Made`, empty.
        start_id, end_id, pad_id: ints.

    Returns:
        `Made`, without a token where a sequence is impossible.
    """
    length = made.token_ids.shape[1]
    ids = {"start_id": start_id, "end_id": end_id, "pad_id": pad_id}
    moving = tf.nest.map_structure(tf.convert_to_tensor, moving)

    def goes_on(index, token_ids, made, moving):
        return (index < length) & ~tf.reduce_all(made.ended)

    def body(index, token_ids, made, moving):
        shapes = tf.nest.map_structure(lambda x: x.shape, moving)
        log_probs, attention, moving = step(token_ids, index, moving)
        log_probs = _checked_log_probs(log_probs, ids)
        attention = _checked_attention(attention, made)
        padding = tf.one_hot(pad_id, log_probs.shape[1], 0.0, IMPOSSIBLE)
        log_probs = tf.where(made.ended[:, None], padding, log_probs)
        parents, token_ids, sums = choose(index, log_probs, made)
        if parents is not None:
            made, attention, moving = tf.nest.map_structure(
                lambda x: tf.gather(x, parents), (made, attention, moving)
            )
        moving = tf.nest.map_structure(tf.ensure_shape, moving, shapes)
        made, token_ids = _longer(made, index, token_ids, sums, attention, end_id, pad_id)
        return index + 1, token_ids, made, moving

    token_ids = tf.fill(tf.shape(made.lengths), start_id)
    made = tf.while_loop(goes_on, body, (tf.constant(0), token_ids, made, moving))[2]
    return _without_impossible(made, pad_id)


def _longer(made, index, token_ids, sums, attention, end_id, pad_id):
    """`made` with the tokens of one step, and these tokens, padding where none was made."""
    written = ~made.ended & (sums > IMPOSSIBLE)
    token_ids = tf.where(written, token_ids, pad_id)
    here = written[:, None] & (tf.range(made.token_ids.shape[1]) == index)
    if not isinstance(attention, tuple):
        attention = tf.where(here[:, :, None], attention[:, None], made.attention)
    made = Made(
        rows=made.rows,
        token_ids=tf.where(here, token_ids[:, None], made.token_ids),
        log_probs=sums,
        lengths=made.lengths + tf.cast(written, tf.int32),
        finished=made.finished | (written & (token_ids == end_id)),
        attention=attention,
    )
    return made, token_ids


def _without_impossible(made, pad_id):
    """`made` with nothing but the log-probability left of sequences that are impossible."""
    possible = made.possible
    attention = made.attention
    if not isinstance(attention, tuple):
        attention = tf.where(possible[:, None, None], attention, 0)
    return Made(
        rows=made.rows,
        token_ids=tf.where(possible[:, None], made.token_ids, pad_id),
        log_probs=made.log_probs,
        lengths=tf.where(possible, made.lengths, 0),
        finished=made.finished & possible,
        attention=attention,
    )


def _checked_log_probs(log_probs, ids):
    """The log-probabilities as float32, or a ValueError where an id is outside of them."""
    shape = tuple(log_probs.shape)
    if len(shape) != 2 or shape[1] is None:
        raise ValueError(
            "`step` must return log-probabilities of shape (R, V) with a known V. "
            f"Received: log_probs.shape={shape}"
        )
    for name, value in ids.items():
        if value >= shape[1]:
            raise ValueError(
                f"`{name}` must be below the number of tokens, {shape[1]}. Received: {name}={value}"
            )
    return tf.cast(log_probs, tf.float32)


def _checked_attention(attention, made):
    """The step's attention as float32, () where it is not recorded."""
    if isinstance(made.attention, tuple):
        return ()
    attended = made.attention.shape[2]
    shape = None if attention is None else tuple(attention.shape)
    if shape is None or len(shape) != 2 or shape[1] not in (None, attended):
        raise ValueError(
            f"`step` must return attention of shape (R, {attended}), as `attended` says. "
            f"Received: attention.shape={shape}"
        )
    return tf.cast(attention, tf.float32)
