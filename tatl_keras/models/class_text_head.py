"""A head in a space of texts: a class is what its texts say."""

import keras
import numpy as np
from keras import ops

from tatl_keras.fusion.normalization import LENGTH
from tatl_keras.layers.checks import check_dim


@keras.saving.register_keras_serializable(package="tatl_keras")
class ClassTextHead(keras.layers.Layer):
    """Compares the fused vector with one embedding a class, made of the class's texts.

        z        = fused @ P + p             (B, De)   with `projection_dim`
        z        = fused                     (B, De)   without: fused is in the texts' space
        logits_c = scale / 16 · z · e_c + b_c

    e_c is the unit vector of class c (`training.class_embeddings`). A single modality is a vector
    of length 16 (`PooledNormalization`), so without projection the logits are cosines times
    `scale`. P learns, and p; without projection b does. The e_c do not, so that a class of which
    nobody has a picture can be added by its texts (`TextAssistedClassifier.add_classes`).

    P starts at zero, with `text_start` at the identity in the rows of the fused vector's last De
    channels, the text's: the untrained head then takes the nearest class text.

    Shape letters: B batch, D fused channels, De channels of texts.

    Args:
        num_classes: int ≥ 2.
        projection_dim: int, De, or `None` where D = De already.
        text_start: bool, see above; needs `projection_dim` ≤ D.
        scale: float > 0, at the start; not trained by gradient descent. Defaults to 20.
        new_class_bias: float, b_c of classes that `add` brings, at the start.
        **kwargs: `name`, `trainable`.

    Call arguments:
        fused: floats (B, D).

    Returns:
        Logits (B, num_classes), float32 under every dtype policy.

    Raises:
        ValueError: an argument is out of its bounds.

    Example:

    >>> import numpy as np
    >>> from tatl_keras import models
    >>> head = models.ClassTextHead(2, scale=10.0)
    >>> head.build((None, 3))
    >>> head.embed(np.array([[1.0, 0.0, 0.0], [0.0, 0.6, 0.8]]))
    >>> head(np.array([[16.0, 0.0, 0.0], [0.0, 0.0, 16.0]])).numpy().round(3).tolist()
    [[10.0, 0.0], [0.0, 8.0]]

    Reference: Frome et al. 2013, "DeViSE: A Deep Visual-Semantic Embedding Model", section 4.2,
    https://papers.nips.cc/paper/2013/hash/7cce53cf90577442771720a370c3c723-Abstract.html.
    """

    def __init__(
        self, num_classes, projection_dim=None, *, text_start=False, scale=20.0,
        new_class_bias=0.0, **kwargs,
    ):  # fmt: skip
        super().__init__(**(kwargs | {"dtype": "float32"}))
        self.num_classes = check_dim("num_classes", num_classes)
        if projection_dim is not None:
            projection_dim = check_dim("projection_dim", projection_dim)
        self.projection_dim = projection_dim
        if not 0 < scale < np.inf:
            raise ValueError(f"`scale` must be a number above 0. Received: scale={scale}")
        if text_start and projection_dim is None:
            raise ValueError(
                "`text_start` must be False without `projection_dim`: there is nothing to start. "
                f"Received: text_start={text_start}"
            )
        self.text_start = text_start
        self._start = {"scale": float(scale), "new_class_bias": float(new_class_bias)}

    def build(self, fused_shape):
        dim = fused_shape[-1]
        embedding_dim = self.projection_dim or dim
        if self.text_start and dim < embedding_dim:
            raise ValueError(
                "`projection_dim` must be at most the channels of the fused vector, "
                f"{dim}, with text_start=True. Received: projection_dim={embedding_dim}"
            )
        self.kernel = self.projection_bias = None
        if self.projection_dim:
            self.kernel = self.add_weight(
                shape=(dim, embedding_dim), initializer=self._first_kernel, name="kernel"
            )
            self.projection_bias = self.add_weight(
                shape=(embedding_dim,), initializer="zeros", name="projection_bias"
            )
        for name, value in self._start.items():
            self._add(name, value)
        # Last, in the order of `add`: so weights that grew are saved in the order they load in.
        self._add("embeddings", np.zeros((self.num_classes, embedding_dim)))
        self._add("bias", np.zeros(self.num_classes))

    @property
    def has_embeddings(self):
        """Whether the classes' embeddings were given; until then they are zero."""
        return bool(np.any(self.embeddings.numpy()))

    def embed(self, embeddings):
        """Sets the classes' embeddings: floats (num_classes, De), rows of length 1."""
        embeddings = self._checked(embeddings, self.num_classes)
        self.embeddings.assign(embeddings)

    def add(self, embeddings, bias=None):
        """Adds classes behind the others, whose logits keep every bit.

        Args:
            embeddings: floats (classes, De), rows of length 1.
            bias: float, b_c of the new classes; `None` for the head's `new_class_bias`.
        """
        embeddings = self._checked(embeddings, len(embeddings))
        bias = float(self.new_class_bias.numpy()) if bias is None else bias
        self.num_classes += len(embeddings)
        grow(self, "embeddings", embeddings)
        grow(self, "bias", np.full(len(embeddings), bias))

    def project(self, fused):
        """z of the formula: floats (B, De)."""
        z = ops.cast(fused, "float32")
        return z if self.kernel is None else ops.matmul(z, self.kernel) + self.projection_bias

    def call(self, fused):
        z = self.project(fused)
        return self.scale / LENGTH * ops.matmul(z, ops.transpose(self.embeddings)) + self.bias

    def compute_output_shape(self, fused_shape):
        return (*fused_shape[:-1], self.num_classes)

    def get_config(self):
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "projection_dim": self.projection_dim,
            "text_start": self.text_start,
            **self._start,
        }

    def _add(self, name, value):
        trains = name == "bias" and self.projection_dim is None
        weight = self.add_weight(
            shape=np.shape(value), initializer="zeros", trainable=trains, name=name
        )
        weight.assign(value)
        setattr(self, name, weight)

    def _first_kernel(self, shape, dtype=None):
        first = np.zeros(shape)
        if self.text_start:
            first[-shape[1] :] = np.eye(shape[1])
        return ops.convert_to_tensor(first, dtype)

    def _checked(self, embeddings, count):
        embeddings = np.asarray(embeddings, np.float32)
        shape = (count, self.embeddings.shape[1])
        if embeddings.shape != shape or not np.allclose(np.linalg.norm(embeddings, axis=-1), 1):
            raise ValueError(
                f"`embeddings` must be {shape[0]} rows of {shape[1]} channels and length 1. "
                f"Received: embeddings.shape={embeddings.shape}. See training.class_embeddings."
            )
        return embeddings


def grow(layer, name, rows):
    """Replaces a weight of a layer that is built by one with more rows behind the others."""
    old = getattr(layer, name)
    value = np.concatenate([old.numpy(), np.asarray(rows, old.dtype)])
    layer._untrack_variable(old)
    layer._tracker.unlock()  # as Keras does where it quantises a layer that is built
    weight = layer.add_weight(
        shape=value.shape, initializer="zeros", trainable=old.trainable, dtype=old.dtype,
        aggregation=old.aggregation, name=old.name,
    )  # fmt: skip
    weight.assign(value)
    setattr(layer, name, weight)
    layer._tracker.lock()
