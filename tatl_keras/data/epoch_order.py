"""The order of the examples in each epoch: a function of a seed and the epoch's number."""

import numpy as np
import tensorflow as tf

_GRAPH_SEED = 1  # so that TensorFlow's global seed has no say


class EpochOrder:
    """Shuffles data sets anew for each epoch, and again the same way for the same one.

        order of epoch e = shuffle by SeedSequence([seed, e])

    So training that goes on from a checkpoint sees what it would have seen.

    Args:
        seed: int; a random one if `None`.

    Attributes:
        seed: int; may be set until the data set is read.
        epoch: int, which epoch is read; `None`, the initial value, for the next one each time.
        size: int, number of elements of what was shuffled; `None` before.

    Example:

    >>> import tensorflow as tf
    >>> order = EpochOrder(seed=0)
    >>> rows = order.shuffle(tf.data.Dataset.range(5), 5)
    >>> order.epoch = 3
    >>> [int(row) for row in rows] == order.rows(3).tolist()
    True
    """

    def __init__(self, seed=None):
        self.seed = int(np.random.randint(2**31) if seed is None else seed)
        self.epoch = self.size = None
        self._next = 0

    @classmethod
    def get(cls, seed):
        """The order itself, or one of an int or `None`."""
        return seed if isinstance(seed, cls) else cls(seed)

    def shuffle(self, dataset, size):
        """All `size` elements of a `tf.data.Dataset` in the order of the epoch that is read."""
        return self.each_epoch(lambda seed: _shuffled(dataset, size, seed), size)

    def each_epoch(self, make, size):
        """A `tf.data.Dataset` that is made anew for each epoch.

        Args:
            make: function from the epoch's seed, an int64 tensor, to a `tf.data.Dataset`.
            size: int, its number of elements.
        """

        def made(_):
            tf.random.set_seed(_GRAPH_SEED)  # of this function's graph
            seed = tf.numpy_function(self._seed_of_reading, [], tf.int64)
            return make(tf.ensure_shape(seed, ()))

        self.size = size
        epochs = tf.data.Dataset.range(1).flat_map(made)
        return epochs.apply(tf.data.experimental.assert_cardinality(size))

    def rows(self, epoch):
        """Int array (size,): which rows come in an epoch, one after the other."""
        size = self.size

        def made(seed):
            tf.random.set_seed(_GRAPH_SEED)
            return _shuffled(tf.data.Dataset.range(size), size, seed)

        seeds = tf.data.Dataset.from_tensors(np.int64(self._seed_of(epoch)))
        return np.fromiter(seeds.flat_map(made).as_numpy_iterator(), np.int64, size)

    def _seed_of_reading(self):
        epoch = self.epoch
        if epoch is None:
            epoch, self._next = self._next, self._next + 1
        return np.int64(self._seed_of(epoch))

    def _seed_of(self, epoch):
        return np.random.SeedSequence([self.seed, epoch]).generate_state(1, np.uint64)[0] >> 1


def _shuffled(dataset, size, seed):
    return dataset.shuffle(max(size, 1), seed, reshuffle_each_iteration=False)
