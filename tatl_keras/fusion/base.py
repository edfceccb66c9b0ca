"""What every fusion is and has."""

import keras

from tatl_keras.fusion.features import AXES, check_features
from tatl_keras.fusion.normalization import PooledNormalization
from tatl_keras.layers.checks import check_rate
from tatl_keras.layers.seeds import derive_seed


class Fusion(keras.layers.Layer):
    """Interface of the fusions: a dict of features in, one vector per row out.

    A fusion reads the features named in its `uses` and ignores the rest of the dict:

    | feature | shape | |
    |---|---|---|
    | `image_tokens`, `text_tokens` | (B, T, Di), (B, L, Dt) | floats, one vector per position |
    | `image_mask`, `text_mask` | (B, T), (B, L) | nonzero = a real position |
    | `image_pooled`, `text_pooled` | (B, Di), (B, Dt) | floats, one vector per row |
    | `has_image`, `has_text` | (B,), (B,) | nonzero = the row has this modality |

    A row may lack either modality or both. Whatever finite values stand in its place have no
    effect and get no gradient, and the output is finite.

    A subclass sets `uses`, makes its layers in `__init__`, builds them in `build` after calling
    `super().build(features_shape)`, and implements `call` and `compute_output_shape`. It is final:
    compose fusions, do not subclass them further.

    Args:
        dropout: fraction of the fused channels dropped in training, in [0, 1).
        seed: optional integer; fixes the initial weights and the dropout.
        **kwargs: `name`, `dtype`, `trainable`.

    Example:

    >>> import numpy as np
    >>> from tatl_keras import fusion
    >>> class SumFusion(fusion.Fusion):
    ...     uses = ("image_pooled", "has_image", "text_pooled", "has_text")
    ...
    ...     def call(self, features, training=None):
    ...         return self.pooled(features, "image") + self.pooled(features, "text")
    ...
    ...     def compute_output_shape(self, features_shape):
    ...         return self.check(features_shape)["image_pooled"]
    >>> features = {
    ...     "image_pooled": np.ones((2, 3)), "has_image": np.array([1, 1]),
    ...     "text_pooled": np.ones((2, 3)), "has_text": np.array([1, 0]),
    ... }
    >>> tuple(SumFusion()(features).shape)
    (2, 3)
    """

    uses: tuple[str, ...] = ()

    def __init__(self, *, dropout=0.0, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.dropout = check_rate("dropout", dropout)
        self.seed = seed
        self.supports_masking = True
        self.normalize = PooledNormalization(dtype=self.dtype_policy, name="normalize")
        self.drop = keras.layers.Dropout(
            self.dropout, seed=derive_seed(seed, 0), dtype=self.dtype_policy, name="drop"
        )
        self._channels = None

    def build(self, features_shape):
        shapes = self.check(features_shape)
        self._channels = {
            name: shape[-1] for name, shape in shapes.items() if AXES[name][-1].startswith("D")
        }

    def compute_mask(self, inputs, previous_mask=None):
        return None

    def get_config(self):
        return {**super().get_config(), "dropout": self.dropout, "seed": self.seed}

    def check(self, shapes):
        """Returns the shapes of the used features as tuples, or raises a ValueError."""
        return check_features(shapes, self.uses, self._channels)

    def check_tensors(self, features):
        """As `check`, for the tensors of a call."""
        if isinstance(features, dict):
            features = {name: value.shape for name, value in features.items()}
        return self.check(features)

    def pooled(self, features, modality):
        """The normalised pooled vector of a modality; zeros where the row lacks it."""
        return self.normalize(features[f"{modality}_pooled"], features[f"has_{modality}"])

    def make_head(self, num_classes):
        """The layer from the fused vector to logits: a dense one that starts at zero, float32.

        Asked for once the fusion is built.
        """
        return linear_head(num_classes)

    def make_initializer(self, stream):
        """A Glorot uniform initializer with its own seed for each `stream` ≥ 1."""
        return keras.initializers.GlorotUniform(seed=derive_seed(self.seed, stream))

    def make_dense(self, name, units, stream, **kwargs):
        """A dense layer of this fusion, seeded by `stream` ≥ 1."""
        kwargs.setdefault("kernel_initializer", self.make_initializer(stream))
        return keras.layers.Dense(units, name=name, dtype=self.dtype_policy, **kwargs)


def linear_head(num_classes):
    """A dense layer in float32 that starts at zero, so that all classes start alike.

    Args:
        num_classes: int.

    Returns:
        A `keras.layers.Dense`.

    Example:

    >>> from tatl_keras import fusion
    >>> fusion.linear_head(3).units
    3
    """
    return keras.layers.Dense(num_classes, kernel_initializer="zeros", dtype="float32", name="head")
