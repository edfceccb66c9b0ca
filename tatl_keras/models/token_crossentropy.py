"""The loss of models that write."""

import keras
from keras import ops

from tatl_keras.layers.checks import check_rate


@keras.saving.register_keras_serializable(package="tatl_keras")
class TokenCrossentropy(keras.losses.Loss):
    """Cross-entropy of the next token, with label smoothing, as the mean over real tokens.

        log p = log_softmax(logits)                                       float32
        l_t   = -(1 - ε) log p_t[y_t] - ε / V · sum over v of log p_t[v]
        loss  = sum over t of w_t l_t / sum over t of w_t

    w are the sample weights, one a token, 0 where there is none.

    Args:
        label_smoothing: ε, float in [0, 1).
        name: str.

    Call arguments:
        y_true: integers (…, T).
        y_pred: logits (…, T, V).
        sample_weight: floats (…, T).

    Returns:
        A number.

    Example:

    >>> import numpy as np
    >>> from tatl_keras import models
    >>> logits = np.log([[[0.5, 0.25, 0.25], [0.2, 0.2, 0.6]]])
    >>> loss = models.TokenCrossentropy(label_smoothing=0.0)
    >>> bool(np.isclose(loss([[0, 1]], logits, sample_weight=[[1.0, 0.0]]), np.log(2)))
    True

    Reference: Szegedy et al., "Rethinking the Inception Architecture", 2016, section 7,
    https://arxiv.org/abs/1512.00567; Vaswani et al. 2017, section 5.4,
    https://arxiv.org/abs/1706.03762.
    """

    def __init__(self, label_smoothing=0.1, name="token_crossentropy", **kwargs):
        kwargs.setdefault("reduction", "mean_with_sample_weight")
        super().__init__(name=name, **kwargs)
        self.label_smoothing = check_rate("label_smoothing", label_smoothing)

    def call(self, y_true, y_pred):
        log_probs = ops.log_softmax(ops.cast(y_pred, "float32"), axis=-1)
        y_true = ops.expand_dims(ops.cast(y_true, "int32"), -1)
        right = ops.squeeze(ops.take_along_axis(log_probs, y_true, axis=-1), -1)
        smoothed = self.label_smoothing * ops.mean(log_probs, axis=-1)
        return -(1 - self.label_smoothing) * right - smoothed

    def get_config(self):
        return {**super().get_config(), "label_smoothing": self.label_smoothing}
