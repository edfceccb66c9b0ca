"""Rows of a request, each read by itself inside a graph: one that fails is not felt in others."""

import tensorflow as tf


def isolated_rows(read, column, missing, at_once=1):
    """`read` of each row of a batch, in which no row can fail another.

        values[b] = read(column[b])   and success[b] = 1
                    missing           and success[b] = 0, where `read` fails

    A graph knows no exceptions, but a pipeline of `tf.data` leaves out elements that fail. So the
    rows go through one, numbered, and are put back in their places. No row that is left can tell
    what became of the others.

    Args:
        read: function from a scalar of `column` to a tensor, or a tuple of tensors, of known
            shapes.
        column: tensor (B,); B ≥ 1.
        missing: value, or tuple of values, with the dtypes and shapes that `read` gives.
        at_once: int ≥ 1, rows that are read at the same time.

    Returns:
        A pair: tensor or tuple of tensors (B, ...), and an int32 tensor (B,) of ones and zeros.

    Example:

    >>> rows = tf.constant(["1", "one", "-3"])
    >>> values, success = isolated_rows(tf.strings.to_number, rows, tf.zeros([]))
    >>> values.numpy(), success.numpy()
    (array([ 1.,  0., -3.], dtype=float32), array([1, 0, 1], dtype=int32))
    """
    rows = tf.size(column, tf.int64)
    numbered = tf.data.Dataset.from_tensor_slices(column).enumerate()
    found = numbered.map(lambda place, row: (place, read(row)), at_once, deterministic=False)
    none = tf.data.Dataset.from_tensors((rows, missing))  # so that there is a batch
    batch = found.ignore_errors().concatenate(none).batch(rows + 1).with_options(_plain())
    places, values = batch.get_single_element()
    rank = tf.scatter_nd(places[:, None], tf.range(tf.size(places)), rows[None] + 1)
    success = tf.scatter_nd(places[:, None], tf.ones_like(places, tf.int32), rows[None] + 1)
    rank = tf.where(success > 0, rank, tf.size(places) - 1)[:-1]  # the last one is `missing`
    return tf.nest.map_structure(lambda value: tf.gather(value, rank), values), success[:-1]


def _plain():
    """A pipeline that lives for one request is not worth rewriting or tuning."""
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    return options
