"""The rows a head is solved from: fused features of examples, and texts that name classes."""

import dataclasses

import numpy as np
import tensorflow as tf

from tatl_keras.models.class_texts import weights_of
from tatl_keras.models.features import encoded
from tatl_keras.models.few_shot_head import CLASS_TEXT_HEADS
from tatl_keras.models.pipeline import is_tensors, tensor_batches
from tatl_keras.training.no_harm_experts import joint_fusion
from tatl_keras.training.ridge import Moments, Ridge

MOST_ROWS = 2**14  # beyond these, only sums over rows are kept, and this many rows or half of them
_BATCH_SIZE = 512


@dataclasses.dataclass(frozen=True)
class HeadRows:
    """Rows of fused features with labels and weights; of class texts, with a weight of 1 a class.

    Args:
        x: floats (N, D), examples; the first `image_dim` columns are the image's.
        labels: ints (N,).
        weights: floats (N,), greater than zero.
        class_x, class_labels, class_weights: the same for class texts, M rows, M = 0 for none.
        image_dim, num_classes: ints.
        moments: `Moments` of all examples where `x` is a sample of them, else `None`.
        total: int, number of all examples.
        counts: ints (num_classes,), examples of each class.
    """

    x: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    class_x: np.ndarray
    class_labels: np.ndarray
    class_weights: np.ndarray
    image_dim: int
    num_classes: int
    moments: Moments | None
    total: int
    counts: np.ndarray

    @property
    def modalities(self):
        """ "image", "text" or both: what there are columns of."""
        dims = {"image": self.image_dim, "text": self.x.shape[1] - self.image_dim}
        return tuple(name for name, dim in dims.items() if dim)

    @property
    def scored(self):
        """Bools (N,): rows whose class has another example when they are left out."""
        return self.counts[self.labels] > 1

    @property
    def needs_class_texts(self):
        """Whether some class has no example, so that without class texts it is unknown."""
        return bool((self.counts == 0).any())

    def scales(self, text_share):
        """Floats (D,): image √(2 (1 - share)) and text √(2 share); a single modality 1."""
        if len(self.modalities) == 1:
            return np.ones(self.x.shape[1])
        image, text = np.sqrt(2 * (1 - text_share)), np.sqrt(2 * text_share)
        return np.repeat([image, text], [self.image_dim, self.x.shape[1] - self.image_dim])

    def ridge(self, text_share, class_text_weight):
        """The `Ridge` of the examples, first, and of the class texts.

        Args:
            text_share: float from 0 (image alone) to 1 (text alone).
            class_text_weight: float, how many examples the texts of a class count for together.

        Returns:
            A `Ridge`.
        """
        scales = self.scales(text_share)
        kept = np.flatnonzero(scales)
        x, labels, weights = self.x, self.labels, self.weights
        extra = len(self.class_labels) and class_text_weight
        if extra:
            x, labels = np.concatenate([x, self.class_x]), np.append(labels, self.class_labels)
            weights = np.append(weights, class_text_weight * self.class_weights)
        x = x[:, kept] * scales[kept]
        targets = np.eye(self.num_classes)[labels]
        moments = None if self.moments is None else self.moments.scaled(scales)
        if extra and moments is not None:
            new = slice(len(self.labels), None)
            moments.add(x[new], targets[new], weights[new])
        return Ridge(x, targets, weights, moments)


def gather_rows(model, batches, class_weight=None, class_texts=(), feature_cache="memory"):
    """Goes through batches of features once and keeps what solving needs.

    Up to 16,384 examples are kept whole. Beyond that, sums over all of them are, and every 2nd,
    4th, 8th … row, on which leave-one-out is looked at: memory does not grow with the examples.

    Args:
        model: a `TextAssistedClassifier` with a linear fusion.
        batches: iterable of `(x, y)` or `(x, y, sample_weight)`, features as the fusion reads.
        class_weight: dict from label to weight, or `None`.
        class_texts: list of `(label, text)`.
        feature_cache: as `fit` takes it, for the features of `class_texts`.

    Returns:
        `HeadRows`.

    Raises:
        ValueError: labels, weights or classes are not as `solve_head` asks.
    """
    classes, kept, moments, stride, total = model.num_classes, [], None, 1, 0
    counts = np.zeros(classes, int)
    for batch in batches:
        x, labels, weights = _batch(model, batch, class_weight)
        places = total + np.arange(len(labels))
        total, counts = total + len(labels), counts + np.bincount(labels, minlength=classes)
        if moments is not None:
            moments.add(x, np.eye(classes)[labels], weights)
        kept.append(_every(stride, (places, x, labels, weights)))
        while sum(len(part[0]) for part in kept) > MOST_ROWS:
            if moments is None:
                moments = Moments(x.shape[1], classes)
                for _, *part in kept:
                    moments.add(part[0], np.eye(classes)[part[1]], part[2])
            stride *= 2
            kept = [_every(stride, part) for part in kept]
    if not total:
        raise ValueError("`x` must hold an example of positive weight. Received: none")
    _, x, labels, weights = (np.concatenate(column) for column in zip(*kept, strict=True))
    _check_classes(model, counts, class_texts)
    image_dim = model.image_encoder.output_dim if "image_pooled" in model.fusion.uses else 0
    texts = _class_rows(model, class_texts, class_weight or {}, feature_cache, x.shape[1])
    return HeadRows(x, labels, weights, *texts, image_dim, classes, moments, total, counts)


def feature_batches(model, x, y, sample_weight, batch_size, feature_cache, verbose):
    """Batches of features of what `fit` takes: the one place that asks for features.

    Features are taken as they are; everything else goes through the frozen encoders, once.
    """
    if is_tensors(x):
        columns = x.element_spec[0] if isinstance(x, tf.data.Dataset) else x
        if set(model.fusion.uses) <= set(columns):
            return tensor_batches(x, y, sample_weight)
    options = {"feature_cache": feature_cache, "batch_size": batch_size, "verbose": verbose}
    return encoded(model, x, y, sample_weight, **options, learn=True).dataset(_BATCH_SIZE)


def check_all_kept(rows):
    """Raises a ValueError where a head of class texts would have to do without some `HeadRows`."""
    if rows.moments is not None:
        raise ValueError(
            f"`x` must hold at most {MOST_ROWS} examples for a head of class texts to be solved. "
            f"Received: {rows.total} examples. Train the head with `fit` instead."
        )


def _every(stride, part):
    """The rows of a part whose place, the first of its columns, is a multiple of `stride`."""
    rows = part[0] % stride == 0
    return tuple(column[rows] for column in part)


def _batch(model, batch, class_weight):
    """Fused features, labels and weights of a batch, without the rows of weight 0."""
    if not isinstance(batch, tuple) or len(batch) < 2:
        raise ValueError("`y` must hold the labels. Received: y=None, x without labels")
    x, labels, weights = batch[0], np.asarray(batch[1]), None
    weights = np.asarray(batch[2], np.float64) if len(batch) > 2 else np.ones(len(labels))
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            "`y` must hold one int an example. "
            f"Received: y of shape {labels.shape}, dtype {labels.dtype}"
        )
    if labels.min(initial=0) < 0 or labels.max(initial=0) >= model.num_classes:
        raise ValueError(
            f"`y` must hold labels from 0 to {model.num_classes - 1} (num_classes - 1). "
            f"Received: labels from {labels.min()} to {labels.max()}"
        )
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        wrong = weights[~(weights >= 0) | ~np.isfinite(weights)]
        raise ValueError(
            f"`sample_weight` must be finite and at least 0. Received: {wrong[:10].tolist()}"
        )
    if class_weight:
        weights = weights * np.array([class_weight.get(int(y), 1.0) for y in labels])
    fused = np.asarray(joint_fusion(model)(x, training=False), np.float32)
    if not np.isfinite(fused).all():
        raise ValueError(
            "`x` must give finite features. Received: "
            f"{int((~np.isfinite(fused)).any(axis=1).sum())} of {len(fused)} rows with inf or NaN"
        )
    seen = weights > 0
    return fused[seen], labels[seen].astype(int), weights[seen]


def _check_classes(model, counts, class_texts):
    named = np.bincount([label for label, _ in class_texts], minlength=model.num_classes)
    unknown = np.flatnonzero((counts == 0) & (named == 0)).tolist()
    if unknown:
        names = model.class_names or range(model.num_classes)
        raise ValueError(
            "`y` must hold an example of every class, unless `class_texts` describes it. "
            f"Received: no example of {[names[label] for label in unknown[:10]]}"
        )


def _class_rows(model, class_texts, class_weight, feature_cache, dim):
    """Fused features of texts alone, the image half zero; labels; weights, 1 a class in all."""
    if not class_texts or isinstance(model.head, CLASS_TEXT_HEADS):  # which is made of them
        return np.zeros((0, dim), np.float32), np.zeros(0, int), np.zeros(0)
    labels = np.array([label for label, _ in class_texts])
    texts = {"text": [text for _, text in class_texts]}
    x, _, _ = encoded(model, texts, feature_cache=feature_cache, verbose=0).arrays()
    weights = weights_of(labels, class_weight)
    seen = weights > 0
    fused = np.asarray(joint_fusion(model)(x, training=False), np.float32)
    return fused[seen], labels[seen], weights[seen]
