"""Batches of one size, for devices that compile a step for fixed shapes."""

import keras
import tensorflow as tf
from absl import logging
from keras import tree


def has_fixed_shapes(model):
    """Whether a model runs where every batch must have the same shape: on a TPU."""
    return isinstance(model.distribute_strategy, tf.distribute.TPUStrategy)


def static_batches(batches, batch_size, rows, learn=False, replicas=1):
    """Gives all batches the same number of rows.

    While learning, an epoch ends with its last whole batch: which rows are left out changes with
    the order. Otherwise the last batch is filled up with rows of zeros of weight 0, and the other
    rows count by N' / N more, N' being the number of rows with these, so that the mean loss and
    weighted metrics are those of the N rows.

    Args:
        batches: `tf.data.Dataset` of `x`, `(x, y)` or `(x, y, sample_weight)`, dense numbers, all
            batches but the last of `batch_size` rows.
        batch_size: int.
        rows: int, N.
        learn: bool.
        replicas: int, among which each batch is shared.

    Returns:
        A `tf.data.Dataset`, nothing of whose shapes is unknown.

    Raises:
        ValueError: there are fewer rows to learn from than are in a batch, or replicas cannot
            share a batch evenly.

    Example:

    >>> import tensorflow as tf
    >>> from tatl_keras.models.static import static_batches
    >>> batches = tf.data.Dataset.from_tensor_slices(([5, 6, 7], [1, 0, 1])).batch(2)
    >>> [x.numpy().tolist() for x, _ in static_batches(batches, 2, 3, learn=True)]
    [[5, 6]]
    >>> [[round(float(w), 2) for w in weight] for *_, weight in static_batches(batches, 2, 3)]
    [[1.33, 1.33], [1.33, 0.0]]
    """
    if batch_size % replicas:
        raise ValueError(
            f"`batch_size` must be a multiple of {replicas}, the replicas of this TPU. "
            f"Received: batch_size={batch_size}"
        )
    whole, rest = divmod(rows, batch_size)
    if not learn and rest:
        return batches.map(_filling(batch_size, (whole + 1) * batch_size / rows), tf.data.AUTOTUNE)
    if not whole:
        raise ValueError(
            "`batch_size` must be at most the number of examples, since batches have one size on a "
            f"TPU. Received: batch_size={batch_size} for {rows} examples"
        )
    if rest:
        logging.info(
            "Every epoch leaves out %d of %d examples, others each time when shuffled: batches of "
            "%d have one size on a TPU.", rest, rows, batch_size,
        )  # fmt: skip
    return batches.take(whole).map(lambda *parts: _fixed(_unpacked(parts), batch_size))


def metrics_of(model, metrics, options):
    """The metrics that `keras.Model.compile` takes, as a dict.

    With fixed shapes all of them are weighted, since a batch may hold rows of weight 0.

    Args:
        model: a `keras.Model`.
        metrics: list, or `None`.
        options: dict, further arguments of `compile`.
    """
    if not has_fixed_shapes(model):
        return {"metrics": metrics}
    weighted = [*(options.get("weighted_metrics") or []), *(metrics or [])]
    return {"metrics": None, "weighted_metrics": weighted or None}


def check_static(batches):
    """Raises a ValueError unless a data set that came in batches has them of one size."""
    shapes = [tuple(spec.shape) for spec in tree.flatten(batches.element_spec)]
    open_ended = [shape for shape in shapes if None in shape]
    if open_ended:
        raise ValueError(
            "`x` must have batches of one size on a TPU: `batch(…, drop_remainder=True)`, or give "
            f"single examples. Received: a data set with the shape {open_ended[0]}"
        )


def _filling(batch_size, weight):
    def fill(*parts):
        x, y, weights = keras.utils.unpack_x_y_sample_weight(_unpacked(parts))
        count = tf.shape(tree.flatten(x)[0])[0]
        if y is not None:
            weights = tf.ones([count]) if weights is None else tf.cast(weights, tf.float32)
            weights = weight * weights
        padded = tree.map_structure(
            lambda part: tf.pad(part, [[0, batch_size - count]] + [[0, 0]] * (part.shape.rank - 1)),
            keras.utils.pack_x_y_sample_weight(x, y, weights),
        )
        return _fixed(padded, batch_size)

    return fill


def _fixed(element, batch_size):
    return tree.map_structure(
        lambda part: tf.ensure_shape(part, (batch_size, *part.shape[1:])), element
    )


def _unpacked(parts):
    """What `map` has spread over arguments; an element that is one dict stays one."""
    return parts if len(parts) > 1 else parts[0]
