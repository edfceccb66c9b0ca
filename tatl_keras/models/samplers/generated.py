"""What a sampler returns."""

from typing import NamedTuple

import tensorflow as tf


class Generated(NamedTuple):
    """Sequences of tokens, and what is known of them.

    Shape letters: B rows, N sequences of each row (the sampler's `num_return`), L most tokens, S
    attended positions.

    Args:
        token_ids: int32 (B, N, L), without the start token, with the end token where one was made,
            and the padding token after it.
        log_probs: float32 (B, N), the sum over the tokens made, the end token among them; -inf
            where no sequence can be made: then there is no token either.
        scores: float32 (B, N), what the sampler ranks by.
        lengths: int32 (B, N), how many tokens were made, the end token among them.
        finished: bool (B, N), whether an end token was made.
        attention: float32 (B, N, L, S), what was attended to when each token was made, zeros after
            the last; None where it was not recorded.

    Example:

    >>> import tensorflow as tf
    >>> from tatl_keras.models import samplers
    >>> def step(token_ids, index, moving):
    ...     return tf.tile(tf.math.log([[0.1, 0.2, 0.7]]), [tf.size(token_ids), 1]), None, moving
    >>> made = samplers.GreedySampler()(step, (), 1, start_id=0, end_id=1, pad_id=0, length=2)
    >>> made.token_ids.numpy().tolist(), made.finished.numpy().tolist()
    ([[[2, 2]]], [[False]])
    """

    token_ids: tf.Tensor
    log_probs: tf.Tensor
    scores: tf.Tensor
    lengths: tf.Tensor
    finished: tf.Tensor
    attention: tf.Tensor | None
