"""The head of `NoHarmFusion`: three experts, and how likely a text belongs to its picture."""

import numbers

import keras
import numpy as np
from keras import ops

from tatl_keras.layers.checks import check_dim
from tatl_keras.layers.masking import zero_masked
from tatl_keras.layers.seeds import derive_seed

_EXPERTS = ("joint", "image", "text")


@keras.saving.register_keras_serializable(package="tatl_keras")
class NoHarmHead(keras.layers.Layer):
    """Answers with the expert for what a row has; mixes two of them as far as texts can be wrong.

        p_joint, p_image, p_text = softmax(x @ W + b) of the three vectors    (B, C), each its W, b
        p_prior                  = softmax(b_prior)                           (C,)
        s = log sum_c p_image(c) p_text(c) / p_prior(c)                       (B,)
        r = sigmoid(s + log((1 - corruption) / corruption))                   (B,)

        p = r p_joint + (1 - r) p_image      image and text
        p = p_image or p_text or p_prior     image alone, text alone, neither

    s is the logarithm of how much likelier this picture and this text are of one class than of two
    drawn independently, if all they have in common is the class; `agreement` gives it. So r is, by
    Bayes' rule, the probability that the text belongs to the picture, `corruption` the prior
    probability that it does not; nothing in r is learned. If the experts are calibrated so are r
    and p. With few pictures s says little of a single row, but of many rows together enough to find
    `corruption`: see `training.estimate_corruption`.

    In training each row is answered by one of the experts that can read it, drawn at random, whose
    gradient counts as many times as there are such experts: every expert is so trained on every row
    that it can read, on average. Losses during training are therefore the experts' mean, above that
    of their mixture.

    Shape letters: B batch, C classes. Whatever stands in for a missing modality has no effect and
    gets no gradient. Computed in float32 or wider under any dtype policy.

    Args:
        num_classes: int ≥ 1, C.
        fused_dim, image_dim, text_dim: ints ≥ 1, channels of the three vectors.
        corruption: share of texts expected not to belong to their pictures, between 0 and 1. It is
            a weight that is not trained, saved with the model; the property `corruption` sets it.
        seed: optional integer; fixes which experts answer in training.
        **kwargs: `name`, `dtype`, `trainable`.

    Call arguments:
        fused: floats (B, fused_dim + image_dim + text_dim + 2), what `NoHarmFusion` gives: the
            vectors, then 1 or 0 for whether the row has an image, and a text.
        training: whether single experts answer.

    Returns:
        Logarithms of probabilities (B, C), which are logits.

    Raises:
        ValueError: a dimension is below 1, `corruption` is not between 0 and 1, or `fused` has
            other channels.

    Example:

    >>> import numpy as np
    >>> from tatl_keras import fusion
    >>> head = fusion.NoHarmHead(2, 1, 1, 1, corruption=0.5)
    >>> head.build((None, 5))
    >>> for expert in (head.joint, head.image, head.text):
    ...     expert.set_weights([np.array([[1.0, -1.0]]), np.zeros(2)])
    >>> rows = np.array([[2.0, 1.0, 1.0, 1.0, 1.0], [2.0, 1.0, -3.0, 1.0, 1.0]])
    >>> print(head.agreement(rows).numpy().round(2))  # the second text contradicts its picture
    [ 0.46 -1.42]
    >>> print(np.exp(head(rows)).round(2))
    [[0.94 0.06]
     [0.9  0.1 ]]

    Reference: the mixture is one of experts, Jacobs et al., "Adaptive Mixtures of Local Experts",
    1991, with a gate that follows from the experts.
    """

    def __init__(
        self, num_classes, fused_dim, image_dim, text_dim, *, corruption=0.1, seed=None, **kwargs
    ):
        super().__init__(**kwargs)
        self.num_classes = check_dim("num_classes", num_classes)
        self.fused_dim = check_dim("fused_dim", fused_dim)
        self.image_dim = check_dim("image_dim", image_dim)
        self.text_dim = check_dim("text_dim", text_dim)
        self.seed = seed
        self._corruption = check_corruption(corruption)
        self.seed_generator = keras.random.SeedGenerator(derive_seed(seed, 0))
        for name in _EXPERTS:
            setattr(self, name, self._make_expert(name))

    def _make_expert(self, name):
        return keras.layers.Dense(
            self.num_classes, kernel_initializer="zeros", dtype=self.dtype_policy, name=name
        )

    @property
    def corruption(self):
        """Float, share of the texts expected not to belong to their pictures."""
        if not self.built:
            return self._corruption
        return float(1 / (1 + np.exp(ops.convert_to_numpy(self.log_odds).astype("float64"))))

    @corruption.setter
    def corruption(self, value):
        self._corruption = check_corruption(value)
        if self.built:
            self.log_odds.assign(_log_odds(self._corruption))

    def build(self, fused_shape):
        self._check(fused_shape)
        for name, dim in zip(_EXPERTS, self._dims, strict=True):
            getattr(self, name).build((None, dim))
        self.prior = self.add_weight(shape=(self.num_classes,), initializer="zeros", name="prior")
        self.log_odds = self.add_weight(
            shape=(), initializer=keras.initializers.Constant(_log_odds(self._corruption)),
            trainable=False, name="log_odds",
        )  # fmt: skip

    def call(self, fused, training=None):
        experts, has_image, has_text = self._experts(fused)
        both = ops.logical_and(has_image, has_text)
        if training:
            found = self._draw(experts, (both, has_image, has_text, ops.ones_like(both)))
        else:
            joint, image, text, prior = experts
            odds = ops.expand_dims(self._odds(image, text, prior), -1)
            mixed = ops.logaddexp(joint - ops.softplus(-odds), image - ops.softplus(odds))
            found = ops.where(has_text[:, None], text, prior)
            found = ops.where(has_image[:, None], image, found)
            found = ops.where(both[:, None], mixed, found)
        return ops.cast(found, self.compute_dtype)

    def agreement(self, fused):
        """How much better image and text go together than by chance.

        Args:
            fused: floats (B, …), as of the call.

        Returns:
            Floats (B,), s of the formula; 0 where image or text is missing.
        """
        (_, image, text, prior), has_image, has_text = self._experts(fused)
        found = ops.logsumexp(image + text - prior, axis=-1)
        return ops.where(ops.logical_and(has_image, has_text), found, 0.0)

    def compute_output_shape(self, fused_shape):
        return (fused_shape[0], self.num_classes)

    def get_config(self):
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "fused_dim": self.fused_dim,
            "image_dim": self.image_dim,
            "text_dim": self.text_dim,
            "corruption": self._corruption,
            "seed": self.seed,
        }

    @property
    def _dims(self):
        return (self.fused_dim, self.image_dim, self.text_dim)

    def _experts(self, fused):
        """Log-probabilities (B, C) of the four experts; booleans (B,) has_image and has_text."""
        self._check(fused.shape)
        ends = np.cumsum([*self._dims, 1]).tolist()
        *vectors, image, text = ops.split(fused, ends, axis=-1)
        image, text = (ops.cast(ops.squeeze(has, -1), "bool") for has in (image, text))
        presences = (ops.logical_and(image, text), image, text)
        found = [
            ops.log_softmax(_wide(getattr(self, name)(zero_masked(vector, present))), axis=-1)
            for name, vector, present in zip(_EXPERTS, vectors, presences, strict=True)
        ]
        prior = ops.log_softmax(_wide(ops.convert_to_tensor(self.prior)), axis=-1)
        return (*found, ops.broadcast_to(prior, ops.shape(found[0]))), image, text

    def _odds(self, image, text, prior):
        """Log odds (B,) that a text belongs to its picture."""
        return ops.logsumexp(image + text - prior, axis=-1) + _wide(self.log_odds)

    def _draw(self, experts, readable):
        """For each row one of the experts that can read it, its gradient times their number."""
        readable = ops.stack(readable, axis=-1)
        draws = keras.random.uniform(ops.shape(readable), dtype="float32", seed=self.seed_generator)
        drawn = ops.argmax(ops.where(readable, draws, -1.0), axis=-1)
        found = ops.take_along_axis(ops.stack(experts, axis=1), drawn[:, None, None], axis=1)[:, 0]
        count = ops.sum(ops.cast(readable, found.dtype), axis=-1, keepdims=True)
        still = ops.stop_gradient(found)
        return still + count * (found - still)

    def _check(self, shape):
        if tuple(shape)[-1] != sum(self._dims) + 2 or len(shape) != 2:
            raise ValueError(
                f"`fused` must have shape (B, {sum(self._dims) + 2}): three vectors of "
                f"{', '.join(map(str, self._dims))} channels and two presences. "
                f"Received: fused.shape={tuple(shape)}. `NoHarmFusion` gives it."
            )


def check_corruption(value):
    """Returns `value` as a float, or raises if it is not between 0 and 1."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 < value < 1:
        raise ValueError(
            "`corruption` must be a number between 0 and 1, neither included. "
            f"Received: corruption={value!r}. It is the share of wrong texts that is expected."
        )
    return float(value)


def _log_odds(corruption):
    return float(np.log1p(-corruption) - np.log(corruption))


def _wide(x):
    return ops.cast(x, keras.backend.result_type(x.dtype, "float32"))
