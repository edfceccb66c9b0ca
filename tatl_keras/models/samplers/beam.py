"""The likeliest sequences, several under way at once."""

import math
import numbers

import keras
import tensorflow as tf

from tatl_keras.layers.checks import check_count
from tatl_keras.models.samplers.base import Sampler
from tatl_keras.models.samplers.loop import IMPOSSIBLE


@keras.saving.register_keras_serializable(package="tatl_keras")
class BeamSampler(Sampler):
    """Keeps the best sequences of each row while they grow, and returns the best.

        scores = log_probs / ((5 + lengths) / 6) ** length_penalty

    At each step each unfinished sequence of a row is a candidate with each of the V tokens behind
    it, and each finished one as it is; the `num_beams` candidates of the highest score stay, the
    first where two are equal. So a finished sequence is kept as long as it is among the best. The
    search ends when all that is kept is finished, or after `length` tokens; what is unfinished then
    is ranked with the others. With `num_beams=1` it is `GreedySampler`; with V ** (length - 1) or
    more it finds the best of all sequences.

    Call arguments, shapes and what is returned are those of `Sampler`, with `beams` = `num_beams`
    and the N sequences of a row in the order of their scores, best first. Where fewer than N
    sequences are possible, the others have a score of -inf.

    Args:
        num_beams: sequences kept for each row, integer of at least 1.
        length_penalty: number of at least 0; the larger, the longer are the sequences that win. 0
            ranks by log-probability. 0.6 to 0.7 is what Wu et al. found best for translation.
        num_return: N, sequences returned for each row, integer in [1, num_beams].

    Raises:
        ValueError: an argument is out of its bounds; see also `Sampler`.

    Example:

    >>> import tensorflow as tf
    >>> from tatl_keras.models import samplers
    >>> start, end, a, b = range(4)
    >>> table = tf.math.log([[0, 0, 0.6, 0.4], [0, 1, 0, 0], [0, 0.4, 0.3, 0.3], [0, 1, 0, 0]])
    >>> def step(token_ids, index, moving):
    ...     return tf.gather(table, token_ids), None, moving
    >>> made = samplers.BeamSampler(num_beams=2, num_return=2)(
    ...     step, (), 1, start_id=start, end_id=end, pad_id=start, length=4
    ... )
    >>> made.token_ids.numpy().tolist()
    [[[3, 1, 0, 0], [2, 1, 0, 0]]]
    >>> tf.exp(made.log_probs).numpy().round(2)
    array([[0.4 , 0.24]], dtype=float32)

    Reference: Wu et al. 2016, "Google's Neural Machine Translation System", section 7, equation 14
    (without its coverage penalty), https://arxiv.org/abs/1609.08144.
    """

    def __init__(self, num_beams=5, *, length_penalty=0.6, num_return=1):
        self.num_beams = self.beams = check_count("num_beams", num_beams)
        if (
            isinstance(length_penalty, bool)
            or not isinstance(length_penalty, numbers.Real)
            or not 0 <= length_penalty < math.inf
        ):
            raise ValueError(
                "`length_penalty` must be a number of at least 0. "
                f"Received: length_penalty={length_penalty!r}"
            )
        self.length_penalty = float(length_penalty)
        self.num_return = check_count("num_return", num_return)
        if self.num_return > self.num_beams:
            raise ValueError(
                f"`num_return` must be at most num_beams={self.num_beams}. "
                f"Received: num_return={num_return!r}"
            )

    def choose(self, index, log_probs, made):
        beams, vocabulary_size = self.num_beams, log_probs.shape[1]
        # Before the first token all sequences of a row are alike, so one is enough.
        first = tf.range(tf.size(made.lengths)) % beams == 0
        sums = tf.where((index > 0) | first, made.log_probs, IMPOSSIBLE)[:, None] + log_probs
        lengths = tf.where(made.finished, made.lengths, index + 1)
        scores = self.score(sums, lengths[:, None])
        sums, scores = (tf.reshape(x, [-1, beams * vocabulary_size]) for x in (sums, scores))
        places = tf.math.top_k(scores, beams).indices
        parents = places // vocabulary_size + beams * tf.range(tf.shape(places)[0])[:, None]
        sums = tf.gather(sums, places, batch_dims=1)
        return tuple(tf.reshape(x, [-1]) for x in (parents, places % vocabulary_size, sums))

    def score(self, log_probs, lengths):
        return log_probs / ((5 + tf.cast(lengths, tf.float32)) / 6) ** self.length_penalty

    def get_config(self):
        return {
            "num_beams": self.num_beams,
            "length_penalty": self.length_penalty,
            "num_return": self.num_return,
        }
