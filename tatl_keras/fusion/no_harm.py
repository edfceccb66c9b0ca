"""A fusion whose text, where it is missing or wrong, costs next to nothing."""

import keras
from keras import ops

from tatl_keras.fusion.base import Fusion
from tatl_keras.fusion.no_harm_head import NoHarmHead, check_corruption
from tatl_keras.layers.seeds import derive_seed

_POOLED = ("image_pooled", "has_image", "text_pooled", "has_text")


@keras.saving.register_keras_serializable(package="tatl_keras")
class NoHarmFusion(Fusion):
    """Puts what each modality says alone beside another fusion, for a head that weighs them.

        y = [fusion(features), norm(image), norm(text), has_image, has_text]  (B, F + Di + Dt + 2)

    Its head (`make_head`) is a `NoHarmHead`: a joint expert on the fused vector, and one on the
    image and one on the text alone. Where one modality is missing the other's expert answers; where
    both are there, image and fused vector are mixed by how likely it is that the text belongs to
    the picture.

    Shape letters: B batch, F channels of the inner fusion, Di, Dt of image and text. norm is
    `PooledNormalization`. A missing modality enters as zeros.

    Args:
        fusion: the inner fusion of image and text: a name, a layer or a config, see `fusion.get`.
        corruption: share of the texts that are expected not to belong to their pictures, between 0
            and 1. What the head starts from; `training.estimate_corruption` finds it from examples.
        dropout: fraction of the channels of all three vectors dropped in training, in [0, 1).
        seed: optional integer; fixes the initial weights, the dropout and the head's draws.
        **kwargs: `name`, `dtype`, `trainable`.

    Call arguments:
        features: dict with what `fusion` reads, `image_pooled`, `has_image`, `text_pooled` and
            `has_text`; see `Fusion`.
        training: whether to drop channels.

    Returns:
        Floats (B, F + Di + Dt + 2).

    Raises:
        ValueError: `fusion` is unknown, reads only one modality or is a `NoHarmFusion`;
            `corruption` is not between 0 and 1; `dropout` is outside [0, 1); or a feature is
            missing or has a wrong shape.

    Example:

    >>> import numpy as np
    >>> from tatl_keras import fusion
    >>> features = {
    ...     "image_pooled": np.array([[3.0, 4.0]]), "has_image": np.array([1]),
    ...     "text_pooled": np.array([[2.0]]), "has_text": np.array([0]),
    ... }
    >>> print(fusion.NoHarmFusion("concat")(features).numpy().round(1))
    [[ 9.6 12.8  0.   9.6 12.8  0.   1.   0. ]]
    """

    def __init__(self, fusion="concat", *, corruption=0.1, dropout=0.0, seed=None, **kwargs):
        super().__init__(dropout=dropout, seed=seed, **kwargs)
        from tatl_keras.fusion.registry import get  # which lists this class

        self.corruption = check_corruption(corruption)
        own = {"seed": derive_seed(seed, 1), "dtype": self.dtype_policy}
        self.fusion = get(fusion, **(own if isinstance(fusion, str) else {}))
        if isinstance(self.fusion, NoHarmFusion) or not {"has_image", "has_text"} <= set(
            self.fusion.uses
        ):
            raise ValueError(
                "`fusion` must join image and text. Received: "
                f"fusion={self.fusion.name}, which reads {', '.join(self.fusion.uses)}. "
                "Take one that reads both, and is no NoHarmFusion itself."
            )

    @property
    def uses(self):
        return tuple(dict.fromkeys((*self.fusion.uses, *_POOLED)))

    def build(self, features_shape):
        super().build(features_shape)
        if not self.fusion.built:
            self.fusion.build({name: features_shape[name] for name in self.fusion.uses})
        self._sizes = self._count(features_shape)

    def call(self, features, training=None):
        self.check_tensors(features)
        vectors = [
            self.fusion({name: features[name] for name in self.fusion.uses}, training=training),
            self.pooled(features, "image"),
            self.pooled(features, "text"),
        ]
        vectors = self.drop(ops.concatenate(vectors, axis=-1), training=training)
        present = [ops.cast(features[name], "bool") for name in ("has_image", "has_text")]
        present = ops.cast(ops.stack(present, axis=-1), vectors.dtype)
        return ops.concatenate([vectors, present], axis=-1)

    def compute_output_shape(self, features_shape):
        return (tuple(features_shape["has_image"])[0], sum(self._count(features_shape)) + 2)

    def _count(self, features_shape):
        """Channels of the inner fusion's vector, of the image's and of the text's."""
        shapes = self.check(features_shape)
        fused = self.fusion.compute_output_shape({name: shapes[name] for name in self.fusion.uses})
        return (fused[-1], shapes["image_pooled"][-1], shapes["text_pooled"][-1])

    def make_head(self, num_classes):
        """A `NoHarmHead` for this fusion once it is built, float32."""
        return NoHarmHead(
            num_classes,
            *self._sizes,
            corruption=self.corruption,
            seed=derive_seed(self.seed, 2),
            dtype="float32",
            name="head",
        )

    def get_config(self):
        fusion = keras.saving.serialize_keras_object(self.fusion)
        fusion.pop("build_config", None)  # it is built where this is
        return {
            **super().get_config(),
            "fusion": fusion,
            "corruption": self.corruption,
        }
