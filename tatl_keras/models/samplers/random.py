"""Tokens drawn at random."""

import numbers

import keras
import numpy as np
import tensorflow as tf

from tatl_keras.layers.checks import check_count
from tatl_keras.layers.seeds import derive_seed
from tatl_keras.models.samplers.base import Sampler
from tatl_keras.models.samplers.loop import IMPOSSIBLE

_FLOAT32 = np.finfo(np.float32)


@keras.saving.register_keras_serializable(package="tatl_keras")
class RandomSampler(Sampler):
    """Draws each token from the model's distribution, sharpened, and cut to the likeliest.

        q(v) ∝ exp(log p(v) / temperature)                            all tokens
        K    = the top_k tokens of the highest q                      Fan et al.
        P    = the fewest tokens of the highest q that together
               have a probability of at least top_p                   Holtzman et al.
        token_ids_t+1 ~ q restricted to K ∩ P

    A token is drawn as argmax_v (log q(v) - log(-log u_v)) with u_v uniform in (0, 1). The u are a
    function of the seed, the row, the sequence and the step alone: neither the number of rows, nor
    how they are batched or shared by replicas, nor what the others draw changes them. A temperature
    near 0 gives what `GreedySampler` gives.

    `log_probs` and `scores` are those of the model's own distribution p, neither tempered nor cut.

    Call arguments, shapes and what is returned are those of `Sampler`, with `beams` = `num_return`
    sequences of each row, drawn independently, in the order in which they were drawn.

    Args:
        temperature: number above 0; below 1 the likely tokens are drawn more often than p says,
            above 1 less often.
        top_k: integer of at least 1, or None for no such limit.
        top_p: number in (0, 1], or None for no such limit.
        num_return: N, sequences drawn for each row, integer of at least 1.
        seed: integer: each call draws the same; or None: each call draws anew.

    Raises:
        ValueError: an argument is out of its bounds; see also `Sampler`.

    Example:

    >>> import tensorflow as tf
    >>> from tatl_keras.models import samplers
    >>> def step(token_ids, index, moving):
    ...     return tf.tile(tf.math.log([[0.1, 0.2, 0.7]]), [tf.size(token_ids), 1]), None, moving
    >>> sampler = samplers.RandomSampler(top_p=0.8, num_return=1000, seed=3)
    >>> made = sampler(step, (), 1, start_id=0, end_id=0, pad_id=0, length=1)
    >>> shares = tf.math.bincount(tf.reshape(made.token_ids, [-1])) / 1000
    >>> shares.numpy().round(1)  # the first is outside of P; 0.2 / 0.9 and 0.7 / 0.9
    array([0. , 0.2, 0.8])

    Reference: Fan et al. 2018, "Hierarchical Neural Story Generation", section 5.1,
    https://arxiv.org/abs/1805.04833; Holtzman et al. 2020, "The Curious Case of Neural Text
    Degeneration", section 3.1, https://arxiv.org/abs/1904.09751.
    """

    def __init__(self, *, temperature=1.0, top_k=None, top_p=None, num_return=1, seed=None):
        if not _is_real(temperature) or not _FLOAT32.tiny <= temperature <= _FLOAT32.max:
            raise ValueError(
                "`temperature` must be a number above 0 that float32 can hold. "
                f"Received: temperature={temperature!r}"
            )
        if top_p is not None and (not _is_real(top_p) or not 0 < top_p <= 1):
            raise ValueError(
                f"`top_p` must be a number in (0, 1], or None. Received: top_p={top_p!r}"
            )
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, numbers.Integral)):
            raise ValueError(f"`seed` must be an integer, or None. Received: seed={seed!r}")
        self.temperature = float(temperature)
        self.top_k = None if top_k is None else check_count("top_k", top_k)
        self.top_p = None if top_p is None else float(top_p)
        self.num_return = self.beams = check_count("num_return", num_return)
        self.seed = None if seed is None else int(seed)

    def choose(self, index, log_probs, made):
        tempered = log_probs - tf.reduce_max(log_probs, axis=1, keepdims=True)
        tempered, candidates = self._cut(tempered / self.temperature)
        uniform = _uniform(tf.shape(tempered), self._words(index), made.rows, self.num_return)
        drawn = tf.argmax(tempered - tf.math.log(-tf.math.log(uniform)), 1, output_type=tf.int32)
        if candidates is not None:
            drawn = tf.gather(candidates, drawn, batch_dims=1)
        return None, drawn, made.log_probs + tf.gather(log_probs, drawn, batch_dims=1)

    def _cut(self, tempered):
        """`(log q, tokens)` of those that may be drawn; the tokens are None where all may."""
        if self.top_k is None and self.top_p is None:
            return tempered, None
        vocabulary_size = tempered.shape[1]
        values, token_ids = tf.math.top_k(
            tempered, min(self.top_k or vocabulary_size, vocabulary_size)
        )
        if self.top_p is not None:
            q = tf.exp(values - tf.reduce_logsumexp(tempered, axis=1, keepdims=True))
            values = tf.where(tf.cumsum(q, axis=1, exclusive=True) < self.top_p, values, IMPOSSIBLE)
        return values, token_ids

    def _words(self, index):
        """The seed of a step, int32 (2,)."""
        if self.seed is None:
            return tf.random.uniform([2], tf.int32.min, tf.int32.max, tf.int32)
        first, second = (derive_seed(self.seed, word) for word in range(2))
        return tf.stack([first, second ^ index])

    def get_config(self):
        return {
            "temperature": self.temperature,
            "top_k": self.top_k,
            "top_p": self.top_p,
            "num_return": self.num_return,
            "seed": self.seed,
        }


def _uniform(shape, seed, rows, num_return):
    """Uniform numbers (R, V), of each row the same whatever rows are with it.

    Philox makes four numbers for each value of a counter, which begins here where it would be if
    all rows before were there.
    """
    count = -(-shape[1] // 4)
    key, counter = tf.raw_ops.StatelessRandomGetKeyCounter(seed=seed)
    before = tf.cast(tf.reduce_min(rows), tf.uint64) * tf.cast(num_return * count, tf.uint64)
    found = tf.raw_ops.StatelessRandomUniformV2(
        shape=[shape[0], 4 * count], key=key, counter=counter + tf.stack([before, 0]), alg=1
    )
    return tf.maximum(found[:, : shape[1]], _FLOAT32.tiny)


def _is_real(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
