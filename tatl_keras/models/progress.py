"""What a `fit` that is under way goes by, for callbacks that resume or stop it."""

import keras
import numpy as np
from keras import tree


class Progress(keras.callbacks.Callback):
    """The order of the examples, whose they are, and the other callbacks, as `model.progress`.

    It tells the order which epoch begins, puts callbacks with a true `runs_last` behind all
    others, and calls `close()` of those that have it, however training ends.

    Args:
        order: the `EpochOrder` that data sets of this `fit` are shuffled by.
        batch_size: int.
        ids: list of str, names of the examples as they come, or `None`.
        shuffle: bool, whether the order applies.
        batches: the `tf.data.Dataset` that is learned from.
        callbacks: as `keras.Model.fit` takes them.
    """

    def __init__(self, order, batch_size, ids, shuffle, batches, callbacks):
        super().__init__()
        self.order, self.batch_size, self.batches = order, batch_size, batches
        self.ids, self.shuffle = ids or [], shuffle
        if isinstance(callbacks, keras.callbacks.CallbackList):
            callbacks = callbacks.callbacks
        given = tree.flatten(callbacks) if callbacks else []
        given.sort(key=lambda callback: getattr(callback, "runs_last", False))
        self.callbacks = [self, *given]

    def on_epoch_begin(self, epoch, logs=None):
        self.order.epoch = epoch

    def examples(self, epoch, step):
        """Names of the examples in a batch, or their row numbers.

        Args:
            epoch, step: ints from 0.

        Returns:
            A list of str; `None` where the user batched the examples.
        """
        if self.order.size is None and (self.shuffle or not self.ids):
            return None
        rows = self.order.rows(epoch) if self.shuffle else np.arange(len(self.ids))
        rows = rows[step * self.batch_size :][: self.batch_size]
        return [self.ids[row] if row < len(self.ids) else f"row {row}" for row in rows]

    def build_metrics(self):
        """Makes the variables of the metrics, as the first step would."""
        with self.model.distribute_strategy.scope():
            self.model._symbolic_build(data_batch=self.batches.element_spec)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.batches = None  # which may hold all features in memory
        for callback in self.callbacks[1:]:
            getattr(callback, "close", lambda: None)()
