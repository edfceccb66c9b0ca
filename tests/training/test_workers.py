"""Two processes over loopback learn what one does."""

import json
import os
import socket
import subprocess
import sys

import keras
import numpy as np
import tensorflow as tf

from tests.training import worker

REPO = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))


def _free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def test_two_workers_learn_what_one_process_learns(tmp_path):
    hosts = [f"127.0.0.1:{port}" for port in _free_ports(2)]
    running = []
    for index in (0, 1):
        config = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
        environment = os.environ | {"TF_CONFIG": json.dumps(config), "PYTHONPATH": REPO}
        command = [sys.executable, worker.__file__, str(tmp_path)]
        running.append(
            subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
        )
    # The order depends on TensorFlow's seed too, which the workers take from what they agree on.
    keras.utils.set_random_seed(5)
    tf.random.set_seed(np.random.RandomState(5).randint(2**31))
    model, history, logits = worker.train(tf.distribute.get_strategy())
    outputs = [process.communicate(timeout=300)[0].decode() for process in running]
    assert [process.returncode for process in running] == [0, 0], outputs[0][-2000:]
    for index in (0, 1):
        with np.load(tmp_path / f"{index}.npz") as arrays:
            found, *weights = (arrays[name] for name in arrays.files)
        np.testing.assert_allclose(found, logits, atol=1e-5)
        for ours, theirs in zip(weights, model.weights, strict=True):
            np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-5)
        learned = json.loads((tmp_path / f"{index}.json").read_text())
        for key in ("accuracy", "loss", "val_accuracy", "val_loss"):
            np.testing.assert_allclose(learned[key], history[key], atol=1e-5)
