"""Several replicas give what one device gives; test_workers.py trains whole models."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import fusion, layers
from tatl_keras.models import distributed
from tatl_keras.models.distributed import DistributedModel


class Line(DistributedModel):
    """A line through rows of different weights, to look at one gradient."""

    def __init__(self, use_bias=False):
        super().__init__()
        self.line = keras.layers.Dense(1, use_bias=use_bias, kernel_initializer="zeros")

    def call(self, x):
        return self.line(x)


@pytest.fixture
def rows(rng):
    """Five rows, of which two replicas get three and two."""
    return rng.normal(size=(5, 2)).astype("float32"), rng.normal(size=(5, 1)).astype("float32")


def test_the_gradient_of_an_uneven_batch_is_that_of_all_rows(two_devices, rows):
    x, y = rows
    with two_devices.scope():
        model = Line()
        model.compile(keras.optimizers.SGD(1.0), "mse")
    model.fit(x, y, batch_size=5, shuffle=False, verbose=0)
    gradient = -2 * x.T.astype("float64") @ y / 5  # of the mean of (0 - y)² at zero
    np.testing.assert_allclose(model.line.kernel.numpy(), -gradient, rtol=1e-5)


def test_weights_of_rows_count_as_on_one_device(two_devices, rows):
    x, y = rows
    weights = np.array([0.5, 3.0, 0.0, 1.0, 2.0], "float32")
    with two_devices.scope():
        model = Line()
        model.compile(keras.optimizers.SGD(1.0), "mse", metrics=["mse"], weighted_metrics=["mae"])
    options = {"batch_size": 5, "shuffle": False, "verbose": 0}
    history = model.fit(x, y, sample_weight=weights, **options).history
    gradient = -2 * x.T.astype("float64") @ (y[:, 0] * weights) / 5
    np.testing.assert_allclose(model.line.kernel.numpy()[:, 0], -gradient, rtol=1e-5)
    assert history["loss"][0] == pytest.approx((weights * y[:, 0] ** 2).mean(), rel=1e-5)
    assert history["mse"][0] == pytest.approx((y**2).mean(), rel=1e-5)
    weighted = (weights * np.abs(y[:, 0])).sum() / weights.sum()
    assert history["mae"][0] == pytest.approx(weighted, rel=1e-5)


def test_weights_of_classes_count_as_on_one_device(two_devices, rng):
    x, y = rng.normal(size=(5, 2)).astype("float32"), np.array([0, 1, 1, 0, 1])
    with two_devices.scope():
        model = Line()
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(1.0), loss)
    model.fit(x, y[:, None], batch_size=5, class_weight={0: 4.0, 1: 0.25}, shuffle=False, verbose=0)
    weights = np.where(y == 0, 4.0, 0.25)
    gradient = x.T.astype("float64") @ (weights * (0.5 - y)) / 5  # sigmoid(0) = 1/2
    np.testing.assert_allclose(model.line.kernel.numpy()[:, 0], -gradient, rtol=1e-5)


@pytest.mark.parametrize(
    "limit", [{"clipnorm": 0.3}, {"global_clipnorm": 0.3}, {"clipvalue": 0.1}, {"clipnorm": 1e6}]
)
def test_the_gradient_of_the_whole_batch_is_clipped(two_devices, rows, limit):
    x, y = rows[0] + 2, rows[1] + 3
    with two_devices.scope():
        model = Line(use_bias=True)
        model.compile(keras.optimizers.SGD(1.0, **limit), "mse")
        model.compile(model.optimizer, "mse")  # a second time changes nothing
    model.fit(x, y, batch_size=5, shuffle=False, verbose=0)
    kernel, bias = -2 * x.T.astype("float64") @ y / 5, -2 * y.mean(axis=0, dtype="float64")
    ((name, most),) = limit.items()
    norms = np.linalg.norm(kernel), np.linalg.norm(bias)
    assert (min(norms) > most) == (most < 1)  # the limit bites, but for the last case
    if name == "clipvalue":
        kernel, bias = np.clip(kernel, -most, most), np.clip(bias, -most, most)
    else:
        whole = (np.hypot(*norms),) * 2
        norms = whole if name == "global_clipnorm" else norms
        kernel, bias = kernel * min(1, most / norms[0]), bias * min(1, most / norms[1])
    np.testing.assert_allclose(model.line.kernel.numpy(), -kernel, rtol=1e-5)
    np.testing.assert_allclose(model.line.bias.numpy(), -bias, rtol=1e-5)


class Words(DistributedModel):
    """The mean of embedded words, whose gradient is a list of rows."""

    def __init__(self):
        super().__init__()
        self.embedding = keras.layers.Embedding(7, 2, embeddings_initializer="ones")

    def call(self, x):
        return keras.ops.mean(self.embedding(x), axis=(1, 2))[:, None]


def test_rows_of_embeddings_are_clipped_as_on_one_device(two_devices, rng):
    x, y = rng.integers(7, size=(5, 3)), rng.normal(size=(5, 1))
    found = []
    for strategy in (tf.distribute.get_strategy(), two_devices):
        with strategy.scope():
            model = Words()
            model.compile(keras.optimizers.Adam(0.1, global_clipnorm=0.01), "mse")
        model.fit(x, y, batch_size=4, shuffle=False, epochs=2, verbose=0)  # 4 rows, then one
        found.append(model.embedding.embeddings.numpy())
    assert np.abs(found[0] - 1).max() > 0.1
    np.testing.assert_allclose(found[1], found[0], atol=1e-6)


class Droppers(DistributedModel):
    """All that draws: Keras's dropout, that of attention scores, and that of modalities."""

    def __init__(self):
        super().__init__()
        self.dropout = keras.layers.Dropout(0.5, seed=1)
        self.attention = layers.MultiHeadAttention(2, 3, dropout=0.5, seed=2)
        self.modalities = fusion.ModalityDropout(0.9, seed=3)

    def call(self, x, training=None):
        presence = {name: keras.ops.ones_like(x[:, 0, 0]) for name in ("has_image", "has_text")}
        kept = self.modalities(presence, training=training)
        return {
            "dropout": self.dropout(x, training=training),
            "attention": self.attention(x, x, training=training),
            "modalities": keras.ops.stack([kept["has_image"], kept["has_text"]]),
        }


def test_replicas_drop_different_things_and_the_first_what_one_device_drops(two_devices, rng):
    x = tf.constant(rng.normal(size=(16, 5, 3)).astype("float32"))
    outputs, states = [], []
    for strategy in (tf.distribute.get_strategy(), two_devices):
        with strategy.scope():
            model = Droppers()
            model(x)
        for weight in model.attention.trainable_weights:
            weight.assign(np.linspace(-1, 1, int(np.prod(weight.shape))).reshape(weight.shape))
        model.compile("sgd", "mse")
        model.make_train_function()
        run = tf.function(lambda m=model, s=strategy: s.run(lambda: m(x, training=True)))
        run()
        outputs.append(run())
        states.append([strategy.experimental_local_results(v.value) for v in model.variables])
    for name in ("dropout", "attention", "modalities"):
        first, second = (value.numpy() for value in outputs[1][name].values)
        assert not np.allclose(first, second), name
        np.testing.assert_allclose(first, outputs[0][name].numpy(), atol=1e-6)
    for (alone,), replicas in zip(*states, strict=True):
        assert len(replicas) == 2
        for state in replicas:  # after two steps all of them go on alike
            np.testing.assert_array_equal(state.numpy(), alone.numpy())


class Pictures(DistributedModel):
    """A convolution, which computes nothing without rows, and what counts rows."""

    def __init__(self):
        super().__init__()
        self.convolution = keras.layers.Conv2D(3, 3, kernel_initializer="ones", padding="same")
        self.normalization = keras.layers.BatchNormalization()

    def call(self, x, training=None):
        x = self.normalization(self.convolution(x), training=training)
        return keras.ops.mean(x * x[:, ::-1], axis=(1, 2))


def test_a_replica_without_rows_counts_for_nothing(two_devices, rng):
    x, y = rng.normal(size=(3, 6, 5, 2)).astype("float32"), rng.normal(size=(3, 3))
    results = []
    for strategy in (tf.distribute.get_strategy(), two_devices):
        with strategy.scope():
            model = Pictures()
            model.compile(keras.optimizers.SGD(0.1), "mse", metrics=["mae"])
        options = {"batch_size": 2, "verbose": 0}  # a row on each replica, then one and none
        history = model.fit(x, y, shuffle=False, epochs=2, **options).history
        results.append((history, model.evaluate(x, y, **options), model.predict(x, **options)))
        results[-1] += (model.get_weights(), len(model.predict(x[:1], verbose=0)))
    for found, alone in zip(*results, strict=True):
        keras.tree.map_structure(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), found, alone
        )
    assert results[1][2].shape == (3, 3)


def test_strings_and_booleans_reach_a_replicated_model(two_devices):
    class Length(DistributedModel):
        def __init__(self):
            super().__init__()
            self.line = keras.layers.Dense(2)

        def call(self, x):
            length = tf.cast(tf.strings.length(x["text"]), "float32")
            return self.line(tf.stack([length, tf.cast(x["flag"], "float32")], axis=-1))

    with two_devices.scope():
        model = Length()
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x = {"text": tf.constant(["a", "bb", "ccc"]), "flag": tf.constant([True, False, True])}
    model.fit(tf.data.Dataset.from_tensor_slices((x, [0, 1, 0])).batch(2), verbose=0)
    assert np.isfinite(model.line.kernel.numpy()).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"jit_compile": True}, "`jit_compile` must not .* Received: jit_compile=True"),
        ({"steps_per_execution": 4}, "`steps_per_execution` must not .*=4. Instead, leave"),
        (
            {"run_eagerly": True},
            "`run_eagerly` must not .*=True. Instead, look for mistakes on one",
        ),
        (
            {"optimizer": keras.optimizers.SGD(gradient_accumulation_steps=3)},
            "gradient_accumulation_steps=3. Instead, more replicas",
        ),
        ({"optimizer": keras.optimizers.SGD(use_ema=True)}, "use_ema=True. Instead, average"),
        (
            {"optimizer": keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD())},
            "optimizer='LossScaleOptimizer'. Instead, .*mixed_bfloat16",
        ),
        (
            {"loss": keras.losses.MeanSquaredError(reduction="sum")},
            r"loss.reduction=\['sum'\]. Instead, take the mean",
        ),
    ],
)
def test_what_does_not_work_is_refused(two_devices, arguments, message):
    with two_devices.scope():
        model = Line()
        with pytest.raises(ValueError, match=message):
            model.compile(**{"optimizer": "sgd", "loss": "mse"} | arguments)


def test_scaled_losses_of_float16_are_refused(two_devices):
    keras.config.set_dtype_policy("mixed_float16")
    with two_devices.scope():
        model = Line()
        with pytest.raises(ValueError, match="dtype='mixed_float16'. Instead, .*mixed_bfloat16"):
            model.compile("sgd", "mse")


def test_what_all_replicas_would_repeat_is_refused(two_devices, rows):
    with two_devices.scope():
        model = Line()
        model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="`train_on_batch` must not .* 2 replicas. Instead"):
        model.train_on_batch(*rows)


def test_compiling_by_xla_is_off_with_several_replicas_only(two_devices):
    with two_devices.scope():
        model = Line()
        model.compile("sgd", "mse")
    assert model.jit_compile is False
    alone = Line()
    alone.compile("sgd", "mse", jit_compile=True)
    assert alone.jit_compile is True


def test_workers_share_data_sets_by_data_unless_their_options_name_a_policy(
    two_devices, monkeypatch, rows
):
    # A second strategy in one process would clash: two devices stand for workers.
    monkeypatch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", type(two_devices))
    logged = []
    monkeypatch.setattr(distributed.logging, "log_first_n", lambda *args: logged.append(args))
    with two_devices.scope():
        model = Line()
    policies = tf.data.experimental.AutoShardPolicy
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = policies.FILE
    plain = tf.data.Dataset.from_tensor_slices(rows).batch(2)
    for given, policy in ((plain, policies.DATA), (plain.with_options(options), policies.FILE)):
        shared = model._sharded(given)
        assert shared.options().experimental_distribute.auto_shard_policy == policy
        assert logged[-1][3] == policy.name
    assert model._sharded(rows[0]) is rows[0]


def test_keras_still_has_the_hooks_that_are_mended():
    assert callable(keras.Model._maybe_symbolic_build)
    assert callable(keras.optimizers.Optimizer._clip_gradients)
    assert len(keras.layers.Dropout(0.5)._seed_generators) == 1
