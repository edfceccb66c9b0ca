"""What one replica of several does so that all of them do what one device would."""

import functools
import threading

import keras
import tensorflow as tf
from keras import tree

_tracing = threading.local()  # each replica is traced by a thread of its own


def current():
    """The `tf.distribute.ReplicaContext` of one of several replicas, else `None`."""
    context = tf.distribute.get_replica_context()
    return context if context is not None and context.num_replicas_in_sync > 1 else None


def on_rows(call, inputs, *args, **kwargs):
    """`call(inputs, …)`, also where a replica has no rows, which kernels of CPUs cannot compute.

    Without rows, `call` sees one of zeros, and nothing of it comes out: neither an output nor a
    gradient, nor does a synchronised BatchNormalization count it.

    Args:
        call: function from tensors (B, …) to tensors (B, …).
        inputs: nested structure of tensors with B rows.
        *args, **kwargs: further arguments of `call`.

    Raises:
        ValueError: an output has a Keras mask.
    """
    rows = [t for t in tree.flatten(inputs) if isinstance(t, tf.Tensor) and t.shape.rank]
    inside = getattr(_tracing, "empty", None) is not None
    if current() is None or inside or not rows or (rows[0].shape[0] or 0) > 0:
        return call(inputs, *args, **kwargs)
    empty = tf.equal(tf.shape(rows[0])[0], 0)
    _tracing.empty = empty
    try:
        inputs = tree.map_structure(lambda t: _with_a_row(t, empty), inputs)
        outputs = call(inputs, *args, **kwargs)
    finally:
        _tracing.empty = None
    if any(getattr(output, "_keras_mask", None) is not None for output in tree.flatten(outputs)):
        raise ValueError(
            "A model's output must not carry a mask with several replicas, each of which would "
            f"take the mean of its own entries. Received: mask of {outputs}. Pass sample_weight."
        )
    return tree.map_structure(lambda t: _without_row(t, empty), outputs)


def _with_a_row(tensor, empty):
    if not isinstance(tensor, tf.Tensor) or not tensor.shape.rank:
        return tensor
    zeros = tf.zeros(tf.concat([[tf.cast(empty, tf.int32)], tf.shape(tensor)[1:]], 0), tensor.dtype)
    padded = tf.concat([tensor, zeros], 0)
    return tf.ensure_shape(padded, [None, *tensor.shape[1:]])


def _without_row(tensor, empty):
    if not tensor.shape.rank:
        return tensor
    return tensor[: tf.where(empty, 0, tf.shape(tensor)[0])]


def normalize_whole_batch(layer):
    """Lets a `keras.layers.BatchNormalization` take its statistics from the rows of all replicas.

    Keras sums values, squares and counts over the replicas, so that uneven shards weigh right:

        mean = S(x) / S(1),   variance = S(x²) / S(1) - mean²       S sums over all rows

    Args:
        layer: the layer.
    """
    layer.synchronized = True

    def make(call):
        def on_real_rows(inputs, training=None, mask=None):
            if mask is not None and training and current() is not None:
                raise ValueError(
                    "`mask` must be None for a BatchNormalization that learns on several "
                    f"replicas: Keras does not synchronise it. Received: mask={mask}"
                )
            empty = getattr(_tracing, "empty", None)
            if empty is None:
                return call(inputs, training=training, mask=mask)
            outputs = call(_without_row(inputs, empty), training=training)
            return tf.cond(empty, lambda: tf.zeros_like(inputs, outputs.dtype), lambda: outputs)

        return on_real_rows

    _mend(layer, "call", make)


def draw_apart(generator):
    """Lets a `keras.random.SeedGenerator` draw other seeds on each replica.

    The first replica draws what one device draws. The state does not know of replicas: it is the
    same on all of them, and so in what is saved.

    Args:
        generator: the generator.
    """

    def make(draw):
        def apart(*args, **kwargs):
            seed, context = draw(*args, **kwargs), current()
            if context is None:
                return seed
            replica = tf.cast(context.replica_id_in_sync_group, seed.dtype)
            return seed + tf.stack([replica * 0x3C6EF35F, tf.zeros_like(replica)])

        return apart

    _mend(generator, "next", make)


def clip_whole_batch(optimizer):
    """Lets an optimizer clip the gradient of the whole batch, not each replica's part of it.

    Gradients are summed over the replicas, and clipped; then the first replica alone hands them
    on to Keras, which sums again. Nothing changes where nothing is clipped.

    Args:
        optimizer: a `keras.optimizers.Optimizer`.
    """

    def make(clip):
        def of_whole_batch(gradients):
            context = current()
            limits = (optimizer.clipnorm, optimizer.clipvalue, optimizer.global_clipnorm)
            if context is None or not any(limits):
                return clip(gradients)
            first = tf.equal(context.replica_id_in_sync_group, 0)
            clipped = clip(context.all_reduce("SUM", list(gradients)))
            return [_times(gradient, tf.cast(first, gradient.dtype)) for gradient in clipped]

        return of_whole_batch

    _mend(optimizer, "_clip_gradients", make)


def _times(gradient, factor):
    if isinstance(gradient, tf.IndexedSlices):
        values = gradient.values * factor
        return tf.IndexedSlices(values, gradient.indices, gradient.dense_shape)
    return gradient * factor


def mend_layers(layers):
    """Synchronises what normalises and separates what draws; see the two functions above.

    Args:
        layers: iterable of all layers of a model. BatchNormalization that is frozen stays so.
    """
    for layer in layers:
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable:
            normalize_whole_batch(layer)
        for generator in getattr(layer, "_seed_generators", []):
            draw_apart(generator)


def _mend(thing, name, make):
    """Puts `make(method)` in the place of an object's method, once."""
    method = getattr(thing, name)
    if not hasattr(method, "of_replicas"):
        mended = functools.wraps(method)(make(method))
        mended.of_replicas = True
        setattr(thing, name, mended)
