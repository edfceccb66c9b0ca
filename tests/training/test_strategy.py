"""Where to train, from what the environment says."""

import functools
import importlib
import json
import logging

import pytest
import tensorflow as tf

from tatl_keras import training
from tatl_keras.training.cluster import find_cluster

HOSTS = ["a:2222", "b:2222"]


def _config(cluster, kind="worker", index=0):
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})}


def test_tf_config_names_the_workers():
    found = find_cluster(_config({"worker": HOSTS}, index=1))
    assert (found.workers, found.index, found.source) == (("a:2222", "b:2222"), 1, "TF_CONFIG")
    resolver = found.resolver()
    assert (resolver.task_type, resolver.task_id) == ("worker", 1)
    assert resolver.cluster_spec().as_dict() == {"worker": HOSTS}


@pytest.mark.parametrize(("kind", "index", "place"), [("chief", 0, 0), ("worker", 1, 2)])
def test_the_chief_is_the_first_worker(kind, index, place):
    found = find_cluster(_config({"worker": HOSTS, "chief": ["c:1"]}, kind, index))
    assert (found.workers, found.index) == (("c:1", "a:2222", "b:2222"), place)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{", r"`TF_CONFIG` must be JSON. Received: '\{'"),
        ("[1]", r"must be JSON. Received: '\[1\]'"),
        ("{}", r"must list workers in `cluster`. Received: '\{\}'"),
        ('{"cluster": {"worker": "a:1"}}', "must list workers in `cluster`"),
        ('{"cluster": {"worker": ["a:1"]}}', r"must say in `task` which of \[\('worker', 0\)\]"),
        (
            '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
            "must say in `task` which of",
        ),
        (
            '{"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 0}}',
            "different addresses with ports. Received: 'a'",
        ),
        (
            '{"cluster": {"worker": ["a:1", "a:1"]}, "task": {"type": "worker", "index": 0}}',
            "different addresses with ports. Received: 'a:1'",
        ),
        ('{"cluster": {"ps": ["p:1"], "worker": ["a:1"]}}', "must not have parameter servers"),
        ('{"cluster": {"evaluator": ["e:1"], "worker": ["a:1"]}}', "must list workers"),
    ],
)
def test_half_a_tf_config_is_refused(value, message):
    with pytest.raises(ValueError, match=message):
        find_cluster({"TF_CONFIG": value})


def test_an_indexed_job_of_kubernetes():
    environment = {"TATL_KERAS_WORKERS": "a:2222, b:2222", "JOB_COMPLETION_INDEX": "1"}
    found = find_cluster(environment)
    assert (found.workers, found.index) == (("a:2222", "b:2222"), 1)
    for index in ("2", "", "-1"):
        with pytest.raises(ValueError, match=f"must be from 0 to 1 .* Received: '{index}'"):
            find_cluster(environment | {"JOB_COMPLETION_INDEX": index})


def test_a_step_of_slurm(monkeypatch):
    environment = {
        "SLURM_PROCID": "2", "SLURM_NTASKS": "4", "SLURM_STEP_NUM_TASKS": "4",
        "SLURM_STEP_NODELIST": "node[07-08]", "SLURM_STEP_TASKS_PER_NODE": "2(x2)",
    }  # fmt: skip
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = find_cluster()
    assert found.workers == ("node07:8888", "node07:8889", "node08:8888", "node08:8889")
    assert found.index == 2
    monkeypatch.delenv("SLURM_STEP_NODELIST")
    with pytest.raises(ValueError, match="`SLURM_STEP_NODELIST` must be set .* with srun"):
        find_cluster()


def test_no_cluster():
    assert find_cluster({}) is None
    assert find_cluster({"SLURM_NTASKS": "1", "SLURM_PROCID": "0"}) is None


def test_one_device_without_gpus_and_why(caplog):
    with caplog.at_level(logging.INFO):
        found = training.strategy()
    assert found is tf.distribute.get_strategy()
    gpus = len(tf.config.list_logical_devices("GPU"))
    assert gpus > 1 or "One device: there" in caplog.text


def test_mirrored_takes_every_device_or_those_named(caplog):
    with caplog.at_level(logging.INFO):
        assert training.strategy("mirrored", devices=["CPU:1"]).num_replicas_in_sync == 1
    assert "Mirrored on CPU:1: asked for." in caplog.text
    if not tf.config.list_logical_devices("GPU"):
        assert training.strategy("mirrored").num_replicas_in_sync == 2


def test_what_stands_alone_is_not_mirrored(monkeypatch, caplog):
    module = importlib.import_module("tatl_keras.training.strategy")
    monkeypatch.setattr(module, "_names", lambda kind: ["CPU:0"] if kind == "CPU" else [])
    monkeypatch.setenv("TF_CONFIG", _config({"worker": HOSTS[:1]})["TF_CONFIG"])
    with caplog.at_level(logging.INFO):
        for name in ("mirrored", "multi_worker"):
            assert training.strategy(name) is tf.distribute.get_strategy()
    assert caplog.text.count("One device: there is only CPU:0.") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "ps"}, "`name` must be one of 'auto', .* Received: name='ps'"),
        ({"name": "parameter_server"}, "do not work with Keras 3: take 'multi_worker'"),
        ({"name": "multi_worker"}, "no workers are named"),
        ({"name": "mirrored", "devices": ["GPU:7"]}, "`devices` must be among .* 'GPU:7'"),
        ({"name": "auto", "devices": ["CPU:0"]}, "`devices` must be None .* name='auto'"),
    ],
)
def test_what_is_not_there_is_refused(arguments, message, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(ValueError, match=message):
        training.strategy(**arguments)


def test_a_tpu_needs_a_tensorflow_that_has_them(monkeypatch):
    monkeypatch.setattr(tf, "__version__", "2.21.0")
    with pytest.raises(ValueError, match="2.19 is the last .* Received: TensorFlow 2.21.0"):
        training.strategy("tpu")


def test_a_tpu_that_nobody_answers_for(monkeypatch):
    monkeypatch.setattr(tf, "__version__", "2.19.1")
    with pytest.raises(RuntimeError, match="can be reached. Received: tpu='grpc://127.0.0.1:1'"):
        training.strategy("tpu", tpu="grpc://127.0.0.1:1")


@pytest.mark.parametrize(
    ("environment", "kind"),
    [(_config({"worker": HOSTS}), "multi_worker"), ({"TPU_NAME": "t"}, "tpu")],
)
def test_auto_goes_by_the_environment(environment, kind, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    asked, module = [], importlib.import_module("tatl_keras.training.strategy")
    for known in ("multi_worker", "tpu"):
        answer = functools.partial(lambda known, *rest: asked.append((known, rest[-1])), known)
        monkeypatch.setattr(module, f"_{known}", answer)
    training.strategy()
    source = next(iter(environment))
    assert asked[0][0] == kind and source in asked[0][1]
