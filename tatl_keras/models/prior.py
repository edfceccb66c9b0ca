"""What is answered about a row of which nothing is known."""

import keras
import tensorflow as tf
from keras import ops

from tatl_keras.models.labels import one_hot


@keras.saving.register_keras_serializable(package="tatl_keras")
class ClassPrior(keras.layers.Layer):
    """Gives rows without any input the logarithm of the classes' frequencies as logits.

        logits_c = log((n_c + 1) / (N + C))      n_c of the N labels counted were class c

    Before anything is counted all C classes are as likely. Rows with an input keep their logits.

    Shape letters: B batch, C classes.

    Args:
        num_classes: int, C.
        **kwargs: `name`, `dtype`, `trainable`.

    Call arguments:
        logits: floats (B, C).
        present: booleans or integers (B,), nonzero where a row has an input.

    Returns:
        Floats (B, C). What `logits` hold in a row without input has no effect and no gradient.

    Example:

    >>> import numpy as np
    >>> from tatl_keras.models.prior import ClassPrior
    >>> prior = ClassPrior(2)
    >>> prior.count([1, 1])
    >>> logits = prior(np.array([[5.0, 7.0], [5.0, 7.0]]), np.array([1, 0]))
    >>> print(logits.numpy().round(3))
    [[ 5.     7.   ]
     [-1.386 -0.288]]
    """

    def __init__(self, num_classes, **kwargs):
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.counts = self.add_weight(
            shape=(num_classes,), initializer="zeros", trainable=False, dtype="float32",
            aggregation="only_first_replica", name="counts",
        )  # fmt: skip
        self.built = True

    def count(self, labels, weights=None):
        """Counts labels (B,) or (B, 1), or one-hot (B, C), each with its weight (B,) or as one."""
        labels = one_hot(labels, self.num_classes)
        if weights is not None:
            labels = labels * ops.reshape(ops.cast(weights, "float32"), [-1, 1])
        found = ops.sum(labels, axis=0)
        replica = tf.distribute.get_replica_context()  # each replica counts what all of them saw
        self.counts.assign_add(replica.all_reduce("SUM", found))

    def call(self, logits, present):
        counts = self.counts + 1
        prior = ops.cast(ops.log(counts / ops.sum(counts)), logits.dtype)
        return ops.where(ops.expand_dims(ops.cast(present, "bool"), -1), logits, prior)

    def compute_output_shape(self, logits_shape, present_shape):
        return tuple(logits_shape)

    def get_config(self):
        return {**super().get_config(), "num_classes": self.num_classes}
