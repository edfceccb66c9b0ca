"""`fit`, `evaluate` and `predict` under every strategy."""

import keras
import tensorflow as tf
from keras import tree


class DistributedModel(keras.Model):
    """A `keras.Model` that also trains where Keras's own does not.

    Two mends, and nothing else, of Keras 3 under `tf.distribute`:

    - To build a model, Keras averages the first batch over the replicas, which neither strings nor
      booleans nor batches of different lengths allow, and hands on what several workers have as it
      is. Here the first replica's part of the batch is taken.
    - Under `MultiWorkerMirroredStrategy` Keras averages the logs of a step over their first axis,
      which numbers do not have. Here they get one.

    Models are made and compiled inside the strategy's scope, as in Keras.

    Example:

    >>> import numpy as np, tensorflow as tf
    >>> from tatl_keras import zoo
    >>> strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    >>> with strategy.scope():
    ...     model = zoo.build("test_efficientnet_lstm_concat", num_classes=2)
    >>> x = {"image": ["", ""], "text": ["a small cat", "a big dog"]}
    >>> history = model.fit(x, [0, 1], epochs=1, verbose=0)
    >>> model.predict(x, verbose=0).shape
    (2, 2)
    """

    def train_step(self, data):
        return self._with_axis(super().train_step(data))

    def test_step(self, data):
        return self._with_axis(super().test_step(data))

    def _with_axis(self, logs):
        if not isinstance(self.distribute_strategy, tf.distribute.MultiWorkerMirroredStrategy):
            return logs
        return tree.map_structure(lambda value: tf.reshape(value, [1]), logs)

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        if self._distribute_strategy is not None and iterator is not None:
            _, _, batches = next(iter(iterator))
            local = self.distribute_strategy.experimental_local_results
            data_batch = tree.map_structure(lambda value: local(value)[0], next(batches))
        super()._maybe_symbolic_build(data_batch=data_batch)
