"""Two devices, and two processes over loopback, learn what one device learns."""

import json
import os
import socket
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training import worker

REPO = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
MODELS = {"head": worker.head, "backbone": worker.backbone}
CLOSE = {"atol": 1e-5, "rtol": 0}


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _train(strategy, name):
    # The order depends on TensorFlow's seed too, which the workers take from what they agree on.
    keras.utils.set_random_seed(5)
    tf.random.set_seed(np.random.RandomState(5).randint(2**31))
    return worker.train(strategy, MODELS[name])


@pytest.fixture(scope="module")
def alone():
    """Name → model, history and logits of one device."""
    return {name: _train(tf.distribute.get_strategy(), name) for name in MODELS}


@pytest.fixture(scope="module")
def workers(tmp_path_factory):
    """The folder that two workers have written to."""
    folder = tmp_path_factory.mktemp("workers")
    hosts = [f"127.0.0.1:{port}" for port in free_ports(2)]
    running = []
    for index in (0, 1):
        config = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
        environment = os.environ | {"TF_CONFIG": json.dumps(config), "PYTHONPATH": REPO}
        command = [sys.executable, worker.__file__, str(folder)]
        running.append(
            subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
        )
    outputs = [process.communicate(timeout=480)[0].decode() for process in running]
    assert [process.returncode for process in running] == [0, 0], outputs[0][-2000:]
    return folder


def _check_same(weights, history, logits, alone):
    model, want, want_logits = alone
    np.testing.assert_allclose(logits, want_logits, **CLOSE)
    for ours, theirs in zip(weights, model.weights, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), **CLOSE, err_msg=theirs.path)
    assert history.keys() == want.keys() >= {"accuracy", "loss", "val_accuracy", "val_loss"}
    for key in want:
        np.testing.assert_allclose(history[key], want[key], **CLOSE, err_msg=key)


@pytest.mark.parametrize("name", MODELS)
def test_two_devices_learn_what_one_learns(alone, two_devices, name):
    model, history, logits = _train(two_devices, name)
    _check_same([weight.numpy() for weight in model.weights], history, logits, alone[name])
    assert model.prior.counts.numpy().sum() == 3 * worker.ROWS
    normalising = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert all(layer.synchronized == layer.trainable for layer in normalising)
    assert any(layer.trainable for layer in normalising) == (name == "backbone")


@pytest.mark.parametrize("name", MODELS)
def test_two_workers_learn_what_one_process_learns(alone, workers, name):
    for index in (0, 1):
        with np.load(workers / f"{name}_{index}.npz") as arrays:
            logits, *weights = (arrays[key] for key in arrays.files)
        history = json.loads((workers / f"{name}_{index}.json").read_text())
        _check_same(weights, history, logits, alone[name])


def test_normalisation_has_moved_where_it_learns_and_nowhere_else(alone):
    trained, fresh = alone["backbone"][0], worker.backbone()[0]
    for layer, before in zip(trained._flatten_layers(), fresh._flatten_layers(), strict=True):
        if isinstance(layer, keras.layers.BatchNormalization):
            moved = not np.array_equal(layer.moving_mean.numpy(), before.moving_mean.numpy())
            assert moved == layer.trainable
