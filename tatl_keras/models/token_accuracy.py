"""How many next tokens are right."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="tatl_keras")
class TokenAccuracy(keras.metrics.Metric):
    """The share of tokens that are the most probable ones.

        accuracy = sum of w [argmax(y_pred) = y_true] / sum of w     over the tokens of all batches

    Keras's own accuracy takes the mean over the tokens of a batch first, which weighs batches of
    short texts more.

    Call arguments:
        y_true: integers (…, T).
        y_pred: logits (…, T, V).
        sample_weight: floats w (…, T), or None for ones.

    Example:

    >>> metric = TokenAccuracy()
    >>> metric.update_state([[1, 0]], [[[0.1, 0.9], [0.2, 0.8]]])
    >>> metric.update_state([[1]], [[[0.1, 0.9]]], sample_weight=[[2.0]])
    >>> float(metric.result())
    0.75
    """

    def __init__(self, name="accuracy", **kwargs):
        super().__init__(name=name, **kwargs)
        self.right = self.add_variable((), "zeros", name="right")
        self.tokens = self.add_variable((), "zeros", name="tokens")

    def update_state(self, y_true, y_pred, sample_weight=None):
        right = ops.equal(ops.argmax(y_pred, axis=-1), ops.cast(y_true, "int32"))
        right = ops.cast(right, self.dtype)
        weight = ops.ones_like(right)
        if sample_weight is not None:
            weight = weight * ops.cast(sample_weight, self.dtype)
        self.right.assign_add(ops.sum(right * weight))
        self.tokens.assign_add(ops.sum(weight))

    def result(self):
        return ops.divide_no_nan(self.right, self.tokens)

    def reset_state(self):
        self.right.assign(0.0)
        self.tokens.assign(0.0)
