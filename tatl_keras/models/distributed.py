"""`fit`, `evaluate` and `predict` under every strategy."""

import keras
import tensorflow as tf
from absl import logging
from keras import tree

from tatl_keras.features.sharing import worker_of
from tatl_keras.models import replica


class DistributedModel(keras.Model):
    """A `keras.Model` that also trains where Keras's own does not, and as one device would.

    Several replicas give the losses, metrics, gradients and predictions of the whole batch on one
    device; `batch_size` is the global one. What is mended of Keras 3 under `tf.distribute`:

    - To build a model, Keras averages the first batch over the replicas, which neither strings nor
      booleans nor batches of different lengths allow, and hands on what several workers have as it
      is. Here shapes and dtypes are taken from the data set, of which nothing is read: the order
      of the first epoch stays what it is on one device.
    - Under `MultiWorkerMirroredStrategy` Keras averages the logs of a step over their first axis,
      which numbers do not have. Here they get one.
    - Keras weighs the mean losses of all replicas alike, whatever they are means of. Here each
      counts as many times as it has rows, so that the gradient is that of the whole batch, also
      of a last one that is shorter, with `sample_weight` and `class_weight` as on one device:

          loss = sum over replicas r of (rows of r / rows of all) mean loss of r

    - A replica for which a last batch has no row left computes one of zeros, which counts for
      nothing: not in losses, gradients, metrics, statistics or predictions.
    - `BatchNormalization` that learns takes its statistics from the rows of all replicas
      (variance as mean square less squared mean, which rounds off more than on one device);
      what is frozen stays frozen.
    - `clipnorm`, `clipvalue` and `global_clipnorm` of the optimizer clip the gradient of the whole
      batch instead of each replica's, at the price of summing gradients twice.
    - Dropout and all else that draws from a `keras.random.SeedGenerator` of a layer draws other
      numbers on each replica, on the first those of one device.
    - Metrics hold the rows of all replicas of all workers. Only the logs that callbacks see within
      an epoch are means over the replicas.
    - Each worker reads all examples in one order and trains on its share of each batch
      (`tf.data.experimental.AutoShardPolicy.DATA`), unless the options of a data set name another
      policy: FILE shares out files instead, of which there must be as many as workers at least.
    - What hangs, fails or gives other numbers with several replicas is refused by `compile`.

    Models are made and compiled inside the strategy's scope, as in Keras; `training.strategy`
    makes one.

    Raises:
        ValueError: by `compile` with several replicas: `jit_compile=True`, `run_eagerly=True`,
            `steps_per_execution` above 1, an optimizer that accumulates gradients, overwrites
            weights by averages or scales losses (float16), or a loss that is no mean over the
            rows; by `train_on_batch`.

    Example:

    >>> import tensorflow as tf
    >>> from tatl_keras import zoo
    >>> strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    >>> with strategy.scope():
    ...     model = zoo.build("test_efficientnet_lstm_concat", num_classes=2)
    >>> x = {"image": ["", ""], "text": ["a small cat", "a big dog"]}
    >>> history = model.fit(x, [0, 1], epochs=1, verbose=0)
    >>> model.predict(x, verbose=0).shape
    (2, 2)
    """

    _means = ("sum_over_batch_size", "mean")  # reductions of losses that `of_whole_batch` weighs

    def compile(self, optimizer="rmsprop", loss=None, *args, jit_compile="auto", **kwargs):
        if self._is_replicated():
            settings = {"jit_compile": jit_compile} | kwargs
            _check_replicated(optimizer, loss, self.dtype_policy, settings, self._means)
            jit_compile = False  # "auto" may choose what hangs
        super().compile(optimizer, loss, *args, jit_compile=jit_compile, **kwargs)
        if self.distribute_strategy.num_replicas_in_sync > 1 and self.optimizer is not None:
            replica.clip_whole_batch(self.optimizer)

    def __call__(self, inputs, *args, **kwargs):
        return replica.on_rows(super().__call__, inputs, *args, **kwargs)

    def make_train_function(self, force=False):
        if self.distribute_strategy.num_replicas_in_sync > 1:
            replica.mend_layers(self._flatten_layers())
        return super().make_train_function(force)

    def fit(self, x=None, *args, **kwargs):
        if "validation_data" in kwargs:
            kwargs["validation_data"] = self._sharded(kwargs["validation_data"])
        return super().fit(self._sharded(x), *args, **kwargs)

    def evaluate(self, x=None, *args, **kwargs):
        return super().evaluate(self._sharded(x), *args, **kwargs)

    def predict(self, x, *args, **kwargs):
        return super().predict(self._sharded(x), *args, **kwargs)

    def train_on_batch(self, *args, **kwargs):
        if self._is_replicated():
            raise ValueError(
                "`train_on_batch` must not be called where a model has several replicas, each of "
                "which would train on all rows. Received: "
                f"{self.distribute_strategy.num_replicas_in_sync} replicas. Instead, call fit."
            )
        return super().train_on_batch(*args, **kwargs)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        return self.of_whole_batch(loss, y_pred)

    def of_whole_batch(self, loss, y_pred, count=None):
        """The mean loss of a replica's rows; its gradient counts by their share of all rows.

        `count` is the number of what the loss is the mean of, where that is not rows.
        """
        context = replica.current()
        if context is None:
            return loss
        rows = tf.shape(tree.flatten(y_pred)[0])[0] if count is None else count
        rows = tf.cast(rows, loss.dtype)
        loss = tf.where(rows > 0, loss, 0)  # the mean over no rows may not be a number
        everywhere = context.all_reduce("SUM", rows)
        share = tf.math.divide_no_nan(rows * context.num_replicas_in_sync, everywhere)
        value = tf.stop_gradient(loss)  # logs weigh it by its rows already
        return value + share * (loss - value)

    def train_step(self, data):
        return self._with_axis(super().train_step(data))

    def test_step(self, data):
        return self._with_axis(super().test_step(data))

    def _with_axis(self, logs):
        if not isinstance(self.distribute_strategy, tf.distribute.MultiWorkerMirroredStrategy):
            return logs
        return tree.map_structure(lambda value: tf.reshape(value, [1]), logs)

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        if self._distribute_strategy is not None and iterator is not None:
            specs = iterator.data_adapter.get_tf_dataset().element_spec
            data_batch = tree.map_structure(
                lambda spec: spec if isinstance(spec, tf.TensorSpec) else None, specs
            )
        super()._maybe_symbolic_build(data_batch=data_batch)

    def _sharded(self, data):
        """The data set with a way to share it among workers; anything else as it is."""
        workers = isinstance(self.distribute_strategy, tf.distribute.MultiWorkerMirroredStrategy)
        if not (workers and isinstance(data, tf.data.Dataset)):
            return data
        policies = tf.data.experimental.AutoShardPolicy
        policy, reason = data.options().experimental_distribute.auto_shard_policy, "by its options"
        if policy == policies.AUTO:
            policy, reason = policies.DATA, "which keeps batches and their order as on one device"
            options = tf.data.Options()
            options.experimental_distribute.auto_shard_policy = policy
            data = data.with_options(options)
        logging.log_first_n(
            logging.INFO, "Workers share a data set by %s, %s.", 1, policy.name, reason
        )
        return data

    def _is_replicated(self):
        """Whether there are several replicas; a TPU compiles, and is not meant."""
        strategy = self.distribute_strategy
        several = strategy.num_replicas_in_sync > 1
        return several and not isinstance(strategy, tf.distribute.TPUStrategy)

    def _agree(self, number):
        """One int for all workers, the first worker's; without workers the number itself.

        Several workers get it as TensorFlow's seed too, on which the order of data sets depends.
        """
        strategy = self.distribute_strategy
        if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            return number
        first = worker_of(strategy)[0] == 0
        mine = tf.constant([number if first else 0], tf.int64)

        @tf.function
        def add():
            return strategy.reduce("SUM", strategy.run(lambda: mine), axis=None)

        agreed = int(add().numpy()[0]) // len(strategy.extended.worker_devices)
        tf.random.set_seed(agreed)
        return agreed


def _check_replicated(optimizer, loss, policy, settings, means):
    """Raises a ValueError for what does not work with several replicas."""
    jit_compile, steps = settings["jit_compile"], settings.get("steps_per_execution", 1)
    eagerly = settings.get("run_eagerly", False)
    scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    accumulated = getattr(optimizer, "gradient_accumulation_steps", None)
    averaged = getattr(optimizer, "use_ema", None)
    losses = [_reduction(each) for each in tree.flatten(loss)]
    sums = [reduction for reduction in losses if reduction not in means]
    refused = {
        "jit_compile": (jit_compile is True, jit_compile, "leave it at 'auto'"),
        "steps_per_execution": (steps > 1, steps, "leave it at 1"),
        "run_eagerly": (bool(eagerly), eagerly, "look for mistakes on one device"),
        "optimizer.gradient_accumulation_steps": (
            (accumulated or 1) > 1, accumulated, "more replicas and a larger batch_size do the same"
        ),
        "optimizer.use_ema": (bool(averaged), averaged, "average checkpoints"),
        "optimizer": (scaled, "LossScaleOptimizer", "take the dtype policy 'mixed_bfloat16'"),
        "dtype": (policy.name == "mixed_float16", policy.name, "take 'mixed_bfloat16'"),
        "loss.reduction": (bool(sums), sums, "take the mean over the rows, 'sum_over_batch_size'"),
    }  # fmt: skip
    for name, (wrong, value, instead) in refused.items():
        if wrong:
            raise ValueError(
                f"`{name}` must not be set where a model has several replicas: Keras hangs, fails "
                f"or gives other numbers there. Received: {name}={value!r}. Instead, {instead}."
            )


def _reduction(loss):
    return getattr(loss, "reduction", "sum_over_batch_size")
