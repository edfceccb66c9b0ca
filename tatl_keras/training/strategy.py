"""Where to train: one place that decides, says so, and fails early."""

import os
import socket

import tensorflow as tf
from absl import logging

from tatl_keras.training.cluster import find_cluster

STRATEGIES = ("auto", "one_device", "mirrored", "multi_worker", "tpu")
TPU_VARIABLES = ("TPU_NAME", "COLAB_TPU_ADDR", "TPU_WORKER_HOSTNAMES")
LAST_WITH_TPU = (2, 19)
_SECONDS = 10.0


def strategy(name="auto", *, devices=None, tpu=None):
    """The `tf.distribute.Strategy` to make, compile and train a model under.

        with training.strategy().scope():
            model = zoo.build(…)
        model.fit(…)

    | name | is |
    |---|---|
    | "one_device" | the first GPU, or the CPU |
    | "mirrored" | a replica on each GPU of this machine (each logical CPU, where there is none) |
    | "multi_worker" | replicas on several machines, which the environment names (`find_cluster`) |
    | "tpu" | the cores of a TPU; not run on one by the authors |
    | "auto" | "multi_worker" if the environment names several workers, "tpu" if it names one, |
    | | "mirrored" with two GPUs or more, else "one_device" |

    `batch_size` in `fit` is the global one: each replica gets its share of it. A replica's loss
    counts by its rows, so that the gradient is that of the whole batch on one device. Every worker
    reads all examples in one order and trains on its share of each batch. What is chosen, and why,
    is logged.

    On a TPU, all whose batches have one size, `batch_size` is a multiple of its cores, training
    takes whole batches, and evaluation fills the last one up with rows that do not count. The
    program runs on the TPU's own machine, as it reads data by Python.

    Where there is one worker, or one device, nothing is mirrored: the result is the same, sooner.

    Several workers start when all of them are there; the first to come wait. When one is lost,
    `fit` of the others ends within seconds with `tf.errors.UnavailableError`: start all of them
    again.

    Args:
        name: one of the above.
        devices: list of logical devices for "mirrored", as "GPU:0"; `None` for all GPUs.
        tpu: name or address of the TPU, "local" on a TPU machine; `None` as the environment says.

    Returns:
        A `tf.distribute.Strategy`.

    Raises:
        ValueError: `name` is not one of the above, a device is not there, the environment's
            description of the workers is wrong or missing, or this TensorFlow has no TPUs.
        RuntimeError: the TPU cannot be reached.

    Example:

    >>> from tatl_keras import training
    >>> with training.strategy("one_device").scope():
    ...     pass
    """
    if name not in STRATEGIES:
        listed = ", ".join(repr(known) for known in STRATEGIES)
        hint = " Parameter servers do not work with Keras 3: take 'multi_worker'."
        raise ValueError(
            f"`name` must be one of {listed}. Received: name={name!r}."
            + (hint if str(name).startswith("parameter") else "")
        )
    if devices is not None and name != "mirrored":
        raise ValueError(
            f"`devices` must be None unless name='mirrored'. Received: devices={devices!r}, "
            f"name={name!r}"
        )
    cluster = find_cluster() if name in ("auto", "multi_worker") else None
    if name == "auto":
        name, reason = _choose(cluster)
    else:
        reason = "asked for"
    if name == "multi_worker":
        return _multi_worker(cluster, reason)
    if name == "tpu":
        return _tpu(tpu, reason)
    if name == "mirrored":
        return _mirrored(devices, reason)
    return _one_device(reason)


def _choose(cluster):
    """The name that "auto" stands for, and why."""
    if cluster is not None and len(cluster.workers) > 1:
        return "multi_worker", f"{cluster.source} names {len(cluster.workers)} workers"
    variables = [name for name in TPU_VARIABLES if os.environ.get(name)]
    if variables:
        return "tpu", f"{variables[0]} is set"
    gpus = len(tf.config.list_logical_devices("GPU"))
    if gpus > 1:
        return "mirrored", f"there are {gpus} GPUs"
    return "one_device", f"there {'is one GPU' if gpus else 'are no GPUs'}"


def _one_device(reason):
    logging.info("One device: %s.", reason)
    return tf.distribute.get_strategy()


def _mirrored(devices, reason):
    there = {kind: _names(kind) for kind in ("GPU", "CPU")}
    chosen = devices or there["GPU"] or there["CPU"]
    missing = [device for device in chosen if device not in there["GPU"] + there["CPU"]]
    if missing:
        raise ValueError(
            f"`devices` must be among {there['GPU'] + there['CPU']}. Received: {missing[0]!r}. "
            + ("Is the CUDA build of TensorFlow installed?" if not there["GPU"] else "")
        )
    if len(chosen) == 1 and devices is None:
        return _one_device(f"there is only {chosen[0]}")
    logging.info("Mirrored on %s: %s.", ", ".join(chosen), reason)
    return tf.distribute.MirroredStrategy(chosen)


def _names(kind):
    devices = tf.config.list_logical_devices(kind)
    return [device.name.removeprefix("/device:") for device in devices]


def _multi_worker(cluster, reason):
    if cluster is None:
        raise ValueError(
            "`name` must not be 'multi_worker' where no workers are named. Received: none of "
            "TF_CONFIG, SLURM_PROCID and TATL_KERAS_WORKERS in the environment."
        )
    if len(cluster.workers) == 1:
        return _mirrored(None, f"{cluster.source} names one worker")
    logging.info(
        "Worker %d of %d (%s, by %s): %s.", cluster.index, len(cluster.workers),
        cluster.workers[cluster.index], cluster.source, reason,
    )  # fmt: skip
    return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=cluster.resolver())


def _tpu(tpu, reason):
    version = tuple(int(part) for part in tf.__version__.split(".")[:2])
    if version > LAST_WITH_TPU:
        raise ValueError(
            "`name` must not be 'tpu' with this TensorFlow: 2.19 is the last release with TPU "
            f"kernels. Received: TensorFlow {tf.__version__}. Install tensorflow==2.19.1, "
            "tensorflow-text==2.19.0, keras-hub==0.31.0 and tensorflow-metadata==1.17.3."
        )
    address = tpu or os.environ.get("TPU_NAME") or os.environ.get("COLAB_TPU_ADDR") or "local"
    try:
        _reach(address)
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=address)
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except Exception as error:  # of sockets, metadata servers, gRPC and the runtime
        raise RuntimeError(
            f"`tpu` must name a TPU that can be reached. Received: tpu={address!r}: {error}"
        ) from error
    logging.info("TPU %s: %s.", address, reason)
    return tf.distribute.TPUStrategy(resolver)


def _reach(address):
    """Raises an error within seconds where an address answers nobody; names are looked up later."""
    host, _, port = address.removeprefix("grpc://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), _SECONDS).close()
