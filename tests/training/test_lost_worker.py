"""One of two workers is killed in an epoch; both start again, and nothing is lost."""

import json
import os
import re
import subprocess
import sys
import time

import keras
import numpy as np

from tatl_keras import models, training
from tatl_keras.data import synthetic
from tests.training.test_workers import REPO, free_ports


def _start(words, hosts=None, index=0):
    config = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
    environment = os.environ | {"PYTHONPATH": REPO}
    environment |= {"TF_CONFIG": json.dumps(config)} if hosts else {}
    command = [sys.executable, "-m", "tatl_keras.bin.train", *words]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen(command, env=environment, **streams)


def _end(process):
    return process.communicate(timeout=400)[0].decode(), process.returncode


def _newest(folder):
    numbers = [re.match(r"checkpoint-(\d+)", name) for name in os.listdir(folder)]
    return max((int(number[1]) for number in numbers if number), default=-1)


def test_a_killed_worker_costs_no_more_than_the_steps_since_the_checkpoint(tmp_path):
    manifest = synthetic.write_manifest(str(tmp_path), 3, 40)
    words = ["--model=test_bert_text_only", f"--data={manifest}", "--epochs=12", "--batch_size=8"]
    words += ["--checkpoint_steps=3", "--class_texts=names"]
    alone = _start([*words, f"--workdir={tmp_path / 'alone'}"])
    together = [*words, f"--workdir={tmp_path / 'run'}", "--strategy=multi_worker"]
    hosts = [f"127.0.0.1:{port}" for port in free_ports(2)]
    workers = [_start(together, hosts, index) for index in (0, 1)]
    backup = tmp_path / "run" / "backup"
    while not (backup.exists() and _newest(backup) >= 2):
        assert workers[0].poll() is None, _end(workers[0])[0][-2000:]
        time.sleep(0.02)
    workers[1].kill()
    output, code = _end(workers[0])
    assert code == 75 and "Another worker was lost" in output, output[-2000:]
    assert not (tmp_path / "run" / "model.keras").exists()
    hosts = [f"127.0.0.1:{port}" for port in free_ports(2)]
    workers = [_start(together, hosts, index) for index in (0, 1)]
    ended = [_end(worker) for worker in (*workers, alone)]
    assert [code for _, code in ended] == [0, 0, 0], ended[0][0][-2000:]
    assert "Goes on with the unfinished run" in ended[0][0]
    found = [keras.saving.load_model(tmp_path / name / "model.keras") for name in ("run", "alone")]
    assert all(isinstance(model, models.TextAssistedClassifier) for model in found)
    for ours, theirs in zip(found[0].weights, found[1].weights, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-5)
    rows = [training.read_history(tmp_path / name / "history.csv") for name in ("run", "alone")]
    for name in ("accuracy", "loss"):
        np.testing.assert_allclose(rows[0][name], rows[1][name], atol=1e-5)
