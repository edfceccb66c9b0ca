"""Several replicas give what one device gives."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import data, zoo
from tatl_keras.models.distributed import DistributedModel

ROWS = 21  # batches of 8, 8 and 5, so that two replicas get 3 and 2 of the last


@pytest.fixture(scope="module")
def two():
    return tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()
    )


@pytest.fixture(scope="module")
def examples():
    return data.synthetic.examples(3, ROWS, seed=1)


def _train(strategy, examples, cache, name="test_efficientnet_bert_gated"):
    keras.utils.set_random_seed(5)
    with strategy.scope():
        model = zoo.build(name, 3, seed=0, sequence_length=11)
    history = model.fit(examples, epochs=2, batch_size=8, feature_cache=cache, verbose=0)
    return model, history.history


@pytest.mark.parametrize("cache", [None, "memory"])
def test_two_replicas_learn_what_one_device_learns(two, examples, cache):
    alone, history = _train(tf.distribute.get_strategy(), examples, cache)
    model, found = _train(two, examples, cache)
    for ours, theirs in zip(model.weights, alone.weights, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-5)
    for key in ("accuracy", "loss"):
        np.testing.assert_allclose(found[key], history[key], atol=1e-5)
    assert model.prior.counts.numpy().sum() == 2 * ROWS
    want = alone.predict(examples, batch_size=7, verbose=0)
    np.testing.assert_allclose(model.predict(examples, batch_size=7, verbose=0), want, atol=1e-5)
    want = alone.evaluate(examples, batch_size=8, verbose=0)
    np.testing.assert_allclose(model.evaluate(examples, batch_size=8, verbose=0)[1], want[1])


class Line(DistributedModel):
    """A line through rows of different weights, to look at one gradient."""

    def __init__(self):
        super().__init__()
        self.line = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")

    def call(self, x):
        return self.line(x)


def test_the_gradient_of_an_uneven_batch_is_that_of_all_rows(two, rng):
    x, y = rng.normal(size=(5, 2)).astype("float32"), rng.normal(size=(5, 1)).astype("float32")
    with two.scope():
        model = Line()
        model.compile(keras.optimizers.SGD(1.0), "mse")
    model.fit(x, y, batch_size=5, shuffle=False, verbose=0)
    gradient = -2 * x.T.astype("float64") @ y / 5  # of the mean of (0 - y)² at zero
    np.testing.assert_allclose(model.line.kernel.numpy(), -gradient, rtol=1e-5)


def test_strings_and_booleans_reach_a_replicated_model(two):
    class Length(DistributedModel):
        def __init__(self):
            super().__init__()
            self.line = keras.layers.Dense(2)

        def call(self, x):
            length = tf.cast(tf.strings.length(x["text"]), "float32")
            return self.line(tf.stack([length, tf.cast(x["flag"], "float32")], axis=-1))

    with two.scope():
        model = Length()
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x = {"text": tf.constant(["a", "bb", "ccc"]), "flag": tf.constant([True, False, True])}
    model.fit(tf.data.Dataset.from_tensor_slices((x, [0, 1, 0])).batch(3), verbose=0)
    assert np.isfinite(model.line.kernel.numpy()).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"jit_compile": True}, "`jit_compile` must not .* Received: jit_compile=True"),
        ({"steps_per_execution": 4}, "`steps_per_execution` must not .*=4"),
        (
            {"optimizer": keras.optimizers.SGD(gradient_accumulation_steps=3)},
            "gradient_accumulation_steps=3. Instead, more replicas",
        ),
        ({"optimizer": keras.optimizers.SGD(use_ema=True)}, "use_ema=True. Instead, average"),
    ],
)
def test_what_does_not_work_is_refused(two, arguments, message):
    with two.scope():
        model = Line()
        with pytest.raises(ValueError, match=message):
            model.compile(**{"optimizer": "sgd", "loss": "mse"} | arguments)


def test_compiling_by_xla_is_off_with_several_replicas_only(two):
    with two.scope():
        model = Line()
        model.compile("sgd", "mse")
    assert model.jit_compile is False
    alone = Line()
    alone.compile("sgd", "mse", jit_compile=True)
    assert alone.jit_compile is True


def test_keras_still_has_the_hook_that_is_mended():
    assert callable(keras.Model._maybe_symbolic_build)
