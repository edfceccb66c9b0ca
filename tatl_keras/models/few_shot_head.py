"""A head for encoders that share a space: what texts say, what neighbours say, what a line says."""

import keras
import numpy as np
from keras import ops

from tatl_keras.fusion.normalization import LENGTH
from tatl_keras.layers.checks import check_dim
from tatl_keras.models.class_text_head import ClassTextHead


@keras.saving.register_keras_serializable(package="tatl_keras")
class FewShotHead(keras.layers.Layer):
    """Zero-shot classification, a cache of labelled pictures and a line, added up.

        u        = fused / 16                                    (B, D), |u| = 1
        zero_c   = u · e_c                                       e_c the unit vector of class c
        cache_c  = sum over keys k of class c: exp(-sharpness (1 - u · k))
        logits   = zero_shot_scale zero + cache_scale cache + fused @ W + b

    `training.solve_head` makes it from a `ClassTextHead` without projection; what it chose is
    loaded by `load`. W and b train, the rest does not: `fit` goes on from what was solved.

    Shape letters: B batch, D channels of the space, K keys.

    Args:
        num_classes: int ≥ 2.
        num_keys: int ≥ 0, K, the labelled pictures that are kept.
        **kwargs: `name`, `trainable`.

    Call arguments:
        fused: floats (B, D) of length 16, as `fusion.SingleModality` gives.

    Returns:
        Logits (B, num_classes), float32 under every dtype policy.

    Raises:
        ValueError: an argument is out of its bounds.

    Example:

    >>> import numpy as np
    >>> from tatl_keras import models
    >>> head = models.FewShotHead(2, num_keys=1)
    >>> head.build((None, 2))
    >>> head.load(
    ...     embeddings=np.eye(2), zero_shot_scale=10.0,
    ...     keys=np.array([[0.6, 0.8]]), key_labels=np.array([1]), cache_scale=3.0, sharpness=5.0,
    ...     kernel=np.zeros((2, 2)), bias=np.zeros(2))
    >>> print(head(16 * np.array([[0.6, 0.8], [1.0, 0.0]])).numpy().round(3))
    [[ 6.    11.   ]
     [10.     0.406]]

    Reference: Zhang et al. 2022, "Tip-Adapter", section 3.1, https://arxiv.org/abs/2111.03930; Lin
    et al. 2023, "Multimodality Helps Unimodality", section 3, https://arxiv.org/abs/2301.06267.
    """

    def __init__(self, num_classes, num_keys, **kwargs):
        super().__init__(**(kwargs | {"dtype": "float32"}))
        self.num_classes = check_dim("num_classes", num_classes)
        if not isinstance(num_keys, (int, np.integer)) or num_keys < 0:
            raise ValueError(
                f"`num_keys` must be an integer of at least 0. Received: num_keys={num_keys!r}"
            )
        self.num_keys = int(num_keys)

    def build(self, fused_shape):
        dim = fused_shape[-1]
        for name, shape in {
            "embeddings": (self.num_classes, dim),
            "zero_shot_scale": (),
            "keys": (self.num_keys, dim),
            "key_targets": (self.num_keys, self.num_classes),
            "cache_scale": (),
            "sharpness": (),
            "kernel": (dim, self.num_classes),
            "bias": (self.num_classes,),
        }.items():
            trains = name in ("kernel", "bias")
            weight = self.add_weight(shape=shape, initializer="zeros", trainable=trains, name=name)
            setattr(self, name, weight)

    @property
    def has_embeddings(self):
        """Whether the classes' embeddings were given; until then they are zero."""
        return bool(np.any(self.embeddings.numpy()))

    def embed(self, embeddings):
        """Sets the classes' embeddings alone: floats (num_classes, D), rows of length 1."""
        self.embeddings.assign(embeddings)

    def load(
        self, *, embeddings, zero_shot_scale, keys, key_labels, cache_scale, sharpness, kernel, bias
    ):
        """Sets everything.

        Args:
            embeddings: floats (num_classes, D), e, rows of length 1.
            zero_shot_scale, cache_scale, sharpness: floats ≥ 0.
            keys, key_labels: floats (K, D), rows of length 1, and ints (K,).
            kernel, bias: floats (D, num_classes) and (num_classes,), a line on u: W = kernel / 16.
        """
        self.embed(embeddings)
        self.zero_shot_scale.assign(zero_shot_scale)
        self.keys.assign(keys)
        self.key_targets.assign(np.eye(self.num_classes)[np.asarray(key_labels, int)])
        self.cache_scale.assign(cache_scale)
        self.sharpness.assign(sharpness)
        self.kernel.assign(np.asarray(kernel) / LENGTH)
        self.bias.assign(bias)

    def call(self, fused):
        fused = ops.cast(fused, "float32")
        units = fused / LENGTH
        zero_shot = self.zero_shot_scale * ops.matmul(units, ops.transpose(self.embeddings))
        votes = ops.exp(-self.sharpness * (1.0 - ops.matmul(units, ops.transpose(self.keys))))
        cache = self.cache_scale * ops.matmul(votes, self.key_targets)
        return zero_shot + cache + ops.matmul(fused, self.kernel) + self.bias

    def compute_output_shape(self, fused_shape):
        return (*fused_shape[:-1], self.num_classes)

    def get_config(self):
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "num_keys": self.num_keys,
        }


# The heads that are made of class texts.
CLASS_TEXT_HEADS = (ClassTextHead, FewShotHead)
