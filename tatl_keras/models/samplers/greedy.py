"""The likeliest token, step by step."""

import keras
import tensorflow as tf

from tatl_keras.models.samplers.base import Sampler


@keras.saving.register_keras_serializable(package="tatl_keras")
class GreedySampler(Sampler):
    """Takes the likeliest token at each step; the first of those that are equally likely.

        token_ids_t+1 = argmax_v log p(v | token_ids_0 … token_ids_t)
        scores = log_probs = sum of the log p taken

    The sequence is not always the likeliest one: see `BeamSampler`. Call arguments, shapes and what
    is returned, with N = 1, are those of `Sampler`.

    Raises:
        ValueError: see `Sampler`.

    Example:

    >>> import tensorflow as tf
    >>> from tatl_keras.models import samplers
    >>> start, end, a, b = range(4)
    >>> table = tf.math.log([[0, 0, 0.6, 0.4], [0, 1, 0, 0], [0, 0.4, 0.3, 0.3], [0, 1, 0, 0]])
    >>> def step(token_ids, index, moving):
    ...     return tf.gather(table, token_ids), None, moving
    >>> made = samplers.GreedySampler()(
    ...     step, (), 1, start_id=start, end_id=end, pad_id=start, length=4
    ... )
    >>> made.token_ids.numpy().tolist()
    [[[2, 1, 0, 0]]]
    >>> tf.exp(made.log_probs).numpy().round(2)
    array([[0.24]], dtype=float32)

    Reference: Sutskever et al. 2014, "Sequence to Sequence Learning with Neural Networks", section
    3.2 (a beam of one), https://arxiv.org/abs/1409.3215.
    """

    def choose(self, index, log_probs, made):
        token_ids = tf.argmax(log_probs, axis=1, output_type=tf.int32)
        return None, token_ids, made.log_probs + tf.reduce_max(log_probs, axis=1)
