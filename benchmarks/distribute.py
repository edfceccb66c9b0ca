"""What a step of `fit` costs under each strategy, beside plain Keras.

    python benchmarks/distribute.py

The same network trains on the same batches, which lie in memory:

    head       efficientnet_lite0_minilm_gated on features, as from the feature cache
    backbone   test_efficientnet_bert_gated with its picture encoder learning too

    keras            a plain `keras.Model` of these layers, no strategy
    ours             the model of the zoo, no strategy
    keras_mirrored   plain, `MirroredStrategy` of one replica
    mirrored         the zoo's, `MirroredStrategy` of one replica
    multi_worker     the zoo's, `MultiWorkerMirroredStrategy` of one process
    mirrored_2       the zoo's, two logical CPUs that share the cores

Each in a process of its own that sleeps in between; they take turns. A turn is an epoch, timed from
its begin to its end; the table gives medians over rounds, and ratios are taken within each round.
`loss` is the loss of the third epoch, which must be the same everywhere but for `mirrored_2` of the
backbone, where replicas drop different things. `training.strategy` itself takes one device where
there is only one, so `mirrored` and `multi_worker` are TensorFlow's own strategies here.

Writes benchmarks/results/distribute.csv.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import time

import numpy as np
from absl import app, flags
from conditions import write_results

_ROUNDS = flags.DEFINE_integer("rounds", 11, "How often the methods of a network take turns.")
_SECONDS = flags.DEFINE_float("seconds", 2.0, "How long a turn lasts, about.")
_NETWORKS = flags.DEFINE_list("networks", ["head", "backbone"], "What to train.")
_WORKER = flags.DEFINE_string("worker", None, "network/method; used by this script itself.")

METHODS = ("keras", "ours", "keras_mirrored", "mirrored", "multi_worker", "mirrored_2")
BATCH, CLASSES, BATCHES = 32, 10, 16
STEP_SECONDS = {"head": 0.003, "backbone": 0.03}


def main(argv):
    del argv
    if _WORKER.value:
        serve(*_WORKER.value.split("/"))
        return
    rows = []
    for network in _NETWORKS.value:
        rows += compare(network)
    write_results("distribute.csv", rows)


def compare(network):
    """Rows of all methods of a network."""
    workers = {method: _start(network, method) for method in METHODS}
    losses = {method: json.loads(worker.stdout.readline()) for method, worker in workers.items()}
    steps = {method: [] for method in METHODS}
    for index in range(_ROUNDS.value):
        for method in METHODS[:: 1 if index % 2 else -1]:
            workers[method].stdin.write("go\n")
            workers[method].stdin.flush()
            steps[method].append(float(workers[method].stdout.readline()))
    for worker in workers.values():
        worker.communicate()
    rows = []
    for method in METHODS:
        ratios = [own / plain for own, plain in zip(steps[method], steps["keras"], strict=True)]
        row = {"network": network, "method": method, "batch_size": BATCH}
        row |= {"step_ms": f"{statistics.median(steps[method]):.4g}"}
        row |= {"to_keras": f"{statistics.median(ratios):.4g}", "lowest": f"{min(ratios):.4g}"}
        rows.append(row | {"highest": f"{max(ratios):.4g}", "loss": f"{losses[method]:.6f}"})
        print(rows[-1], flush=True)
    return rows


def _start(network, method):
    command = [sys.executable, __file__, f"--worker={network}/{method}"]
    command += [f"--{_SECONDS.name}={_SECONDS.value}"]
    environment = dict(os.environ)
    if method == "multi_worker":
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        config = {"cluster": {"worker": [address]}, "task": {"type": "worker", "index": 0}}
        environment["TF_CONFIG"] = json.dumps(config)
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )


def serve(network, method):
    """Says the loss of the third epoch, then measures a turn for each line that comes in."""
    import keras
    import tensorflow as tf

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.start = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            self.seconds = time.perf_counter() - self.start

    keras.utils.set_random_seed(0)
    with strategy_of(method).scope():
        model, columns = build(network)
        if method.startswith("keras"):
            model = plain(model, columns)
    labels = np.arange(BATCHES * BATCH) % CLASSES
    batches = tf.data.Dataset.from_tensor_slices((columns, labels)).batch(BATCH, True).cache()
    clock = Clock()
    loss = model.fit(batches, epochs=3, verbose=0).history["loss"][-1]
    repeats = max(1, round(_SECONDS.value / STEP_SECONDS[network] / BATCHES))
    turn = batches.repeat(repeats).prefetch(2)
    model.fit(turn, epochs=1, verbose=0, callbacks=[clock])
    print(json.dumps(loss), flush=True)
    for _ in sys.stdin:
        model.fit(turn, epochs=1, verbose=0, callbacks=[clock])
        print(clock.seconds / repeats / BATCHES * 1e3, flush=True)


def strategy_of(method):
    import tensorflow as tf

    from tatl_keras import training

    if method == "mirrored_2":
        two = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], two)
    if method == "multi_worker":
        return tf.distribute.MultiWorkerMirroredStrategy()
    if method == "keras_mirrored":
        return tf.distribute.MirroredStrategy(["CPU:0"])
    replicas = {"mirrored": 1, "mirrored_2": 2}
    if method in replicas:
        devices = [f"CPU:{index}" for index in range(replicas[method])]
        return training.strategy("mirrored", devices=devices)
    return training.strategy("one_device")


def build(network):
    """A model of the zoo, and arrays for it: features, or pictures with texts."""
    from tatl_keras import zoo

    rng, count = np.random.default_rng(0), BATCHES * BATCH
    present = {"has_image": np.ones(count, "int32"), "has_text": np.ones(count, "int32")}
    if network == "head":
        model = zoo.build("efficientnet_lite0_minilm_gated", CLASSES, seed=0)
        sizes = {"image": model.image_encoder.output_dim, "text": model.text_encoder.output_dim}
        pooled = {
            f"{modality}_pooled": rng.normal(size=(count, size)).astype("float32")
            for modality, size in sizes.items()
        }
        return model, pooled | present
    model = zoo.build("test_efficientnet_bert_gated", CLASSES, seed=0)
    model.image_encoder.unfreeze()
    model.compile()
    size, length = model.preprocessor.image_converter.image_size, model.preprocessor.sequence_length
    return model, present | {
        "images": rng.normal(size=(count, *size, 3)).astype("float32"),
        "token_ids": rng.integers(5, 20, (count, length)).astype("int32"),
        "padding_mask": np.ones((count, length), "int32"),
    }


def plain(model, columns):
    """A functional `keras.Model` of the same layers, compiled alike."""
    import keras

    inputs = {
        name: keras.Input(column.shape[1:], dtype=column.dtype.name, name=name)
        for name, column in columns.items()
    }
    features = model.encode(inputs)
    network = keras.Model(inputs, model.head(model.fusion(features)))
    network.compile(
        optimizer=type(model.optimizer).from_config(model.optimizer.get_config()),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
    )
    return network


if __name__ == "__main__":
    app.run(main)
