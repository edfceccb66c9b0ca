"""Proof: two replicas learn what one device learns."""

import contextlib

import keras
import numpy as np
import tensorflow as tf

from tatl_keras import layers
from tatl_keras.training.proofs.subject import NotCheckedError, ProofError

BOUND, LEARNING_RATE = 1e-5, 0.01


def prove(subject):
    """Trains on one device and on two logical CPUs, on the same batches, and compares weights.

    Layers drop nothing out, since each replica would drop out something else.

    Returns:
        A dict with `result`, `bound`, `facts` and `measured`.

    Raises:
        NotCheckedError: TensorFlow has started with one device, see `two_devices`; or training
            draws random numbers, of which each replica draws its own.
        ProofError: a learned weight differs by more than `BOUND` of the largest of its tensor, or
            of the learning rate where that is larger.
    """
    if not two_devices():
        raise NotCheckedError("needs two logical CPUs, made before TensorFlow starts")
    strategy = tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()
    )
    model, one = _train(subject, tf.distribute.get_strategy())
    _, two = _train(subject, strategy)
    pairs = [(a, b, w.path) for a, b, w in zip(one, two, model.trainable_weights, strict=True)]
    worst = max((_difference(a, b), path) for a, b, path in pairs)
    if not worst[0] <= BOUND:
        if max(map(_difference, one, _train(subject, tf.distribute.get_strategy(), 1)[1])) > BOUND:
            raise NotCheckedError(
                "training draws random numbers, and each replica draws its own: weights differ, as "
                "they do between two draws on one device"
            )
        raise ProofError(
            f"two replicas learn another {worst[1]}: it differs by {worst[0]:.2g} of its scale, "
            f"more than {BOUND:g}"
        )
    return {
        "result": f"learned weights of two replicas differ by at most {worst[0]:.1e}",
        "bound": f"{BOUND:g} of a tensor's largest value, after 3 steps of SGD without dropout",
        "facts": {"tensors": len(pairs)},
        "measured": {"difference": worst[0]},
    }


def _train(subject, strategy, draws=0):
    """A model after some steps, and its learned weights; `draws` changes what is drawn alone."""
    with strategy.scope():
        model = subject.build()
        _drop_nothing(model)
        model.compile(optimizer=keras.optimizers.SGD(LEARNING_RATE))
    for variable in model.variables:
        if draws and "seed_generator" in variable.path:
            variable.assign(variable + draws)
    subject.fit(model)
    return model, [weight.numpy() for weight in model.trainable_weights]


def _drop_nothing(model):
    """Sets the rates of a model's layers to zero."""
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
        elif isinstance(layer, layers.MultiHeadAttention):
            layer.dropout = 0.0


def two_devices():
    """Whether there are two logical CPUs; makes them where TensorFlow has not started."""
    (cpu, *_) = tf.config.list_physical_devices("CPU")
    with contextlib.suppress(RuntimeError):  # it has started
        if tf.config.get_logical_device_configuration(cpu) is None:
            configuration = tf.config.LogicalDeviceConfiguration()
            tf.config.set_logical_device_configuration(cpu, [configuration] * 2)
    return len(tf.config.list_logical_devices("CPU")) > 1


def _difference(one, two):
    """The largest difference of two arrays, in parts of their scale.

    That is the largest value, or the learning rate: a tensor that stays near zero, as the offsets
    of classes that are equally frequent, holds nothing but rounding.
    """
    scale = max(float(np.abs(one).max(initial=0)), LEARNING_RATE)
    return float(np.abs(one - two).max(initial=0)) / scale
