"""`fit`, `evaluate` and `predict` under every strategy."""

import keras
import tensorflow as tf
from keras import tree


class DistributedModel(keras.Model):
    """A `keras.Model` that also trains where Keras's own does not, and as one device would.

    Mends of Keras 3 under `tf.distribute`:

    - To build a model, Keras averages the first batch over the replicas, which neither strings nor
      booleans nor batches of different lengths allow, and hands on what several workers have as it
      is. Here shapes and dtypes are taken from the data set, of which nothing is read: the order
      of the first epoch stays what it is on one device.
    - Under `MultiWorkerMirroredStrategy` Keras averages the logs of a step over their first axis,
      which numbers do not have. Here they get one.
    - Keras weighs the mean losses of all replicas alike, whatever they are means of. Here each
      counts as many times as it has rows, so that the gradient is that of the whole batch:

          loss = sum over replicas r of (rows of r / rows of all) mean loss of r

    - What hangs, fails or gives other numbers with several replicas is refused by `compile`.

    Models are made and compiled inside the strategy's scope, as in Keras; `training.strategy`
    makes one.

    Raises:
        ValueError: by `compile` with several replicas: `jit_compile=True`, `steps_per_execution`
            above 1, or an optimizer that accumulates gradients or overwrites weights by averages.

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

    def compile(self, optimizer="rmsprop", *args, jit_compile="auto", **kwargs):
        if self._is_replicated():
            _check_replicated(optimizer, jit_compile, kwargs.get("steps_per_execution", 1))
            jit_compile = False  # "auto" may choose what hangs
        super().compile(optimizer, *args, jit_compile=jit_compile, **kwargs)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        return self.of_whole_batch(loss, y_pred)

    def of_whole_batch(self, loss, y_pred):
        """The mean loss of a replica's rows; its gradient counts by their share of all rows."""
        replica = tf.distribute.get_replica_context()
        if replica is None or replica.num_replicas_in_sync == 1:
            return loss
        rows = tf.cast(tf.shape(y_pred)[0], loss.dtype)
        everywhere = replica.all_reduce("SUM", rows)
        share = rows * replica.num_replicas_in_sync / everywhere
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
        first = strategy.cluster_resolver.task_id == 0
        mine = tf.constant([number if first else 0], tf.int64)

        @tf.function
        def add():
            return strategy.reduce("SUM", strategy.run(lambda: mine), axis=None)

        agreed = int(add().numpy()[0]) // len(strategy.extended.worker_devices)
        tf.random.set_seed(agreed)
        return agreed


def _check_replicated(optimizer, jit_compile, steps_per_execution):
    """Raises a ValueError for what does not work with several replicas."""
    refused = {
        "jit_compile": (jit_compile is True, jit_compile, "leave it at 'auto'"),
        "steps_per_execution": (steps_per_execution > 1, steps_per_execution, "leave it at 1"),
        "optimizer.gradient_accumulation_steps": (
            (getattr(optimizer, "gradient_accumulation_steps", None) or 1) > 1,
            getattr(optimizer, "gradient_accumulation_steps", None),
            "more replicas and a larger batch_size do the same",
        ),
        "optimizer.use_ema": (
            bool(getattr(optimizer, "use_ema", False)),
            getattr(optimizer, "use_ema", None),
            "average checkpoints instead",
        ),
    }
    for name, (wrong, value, instead) in refused.items():
        if wrong:
            raise ValueError(
                f"`{name}` must not be set where a model has several replicas: Keras hangs, fails "
                f"or gives other numbers there. Received: {name}={value!r}. Instead, {instead}."
            )
