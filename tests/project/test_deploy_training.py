"""What deploy/training gives to schedulers is what tatl-train takes from them."""

import ast
import configparser
import importlib.util
import json
import os
import re
import shlex
import socket
import subprocess
import sys

import numpy as np
import pytest
import yaml

from tatl_keras.encoders.presets import FOLDER_VARIABLE
from tatl_keras.training.cluster import INDEX, WORKERS, find_cluster
from tatl_keras.training.preemption import EXIT_CODE
from tests.project import documents, source
from tests.project.test_flagfiles import parse

DEPLOY = source.REPO / "deploy" / "training"
KUBERNETES, RAY = DEPLOY / "kubernetes", DEPLOY / "ray" / "train.py"
SLURM = DEPLOY / "slurm" / "train.sbatch"
ERRORS = [1, 2]  # exit statuses of tatl-train which no restart mends


def _manifest(name):
    """Dict from kind to document."""
    text = (KUBERNETES / name).read_text(encoding="utf-8")
    return {document["kind"]: document for document in yaml.safe_load_all(text)}


def _job(name):
    """The spec of the Job in a manifest, and what comes before the index in its pods' names."""
    if name == "job.yaml":
        job = _manifest(name)["Job"]
        return job["spec"], job["metadata"]["name"]
    jobset = _manifest(name)["JobSet"]
    (replicated,) = jobset["spec"]["replicatedJobs"]
    assert replicated["replicas"] == 1  # the last but one number in a pod's name is then 0
    prefix = f"{jobset['metadata']['name']}-{replicated['name']}-0"
    return replicated["template"]["spec"], prefix


def _container(spec):
    (container,) = spec["template"]["spec"]["containers"]
    return container


def _environment(spec):
    return {variable["name"]: variable["value"] for variable in _container(spec)["env"]}


def _slurm_command():
    text = re.sub(r"\\\n\s*", "", SLURM.read_text(encoding="utf-8"))
    (line,) = [line for line in text.splitlines() if line.startswith("srun ")]
    words = shlex.split(line)
    return words[words.index("tatl-train") + 1 :]


def _ray_commands():
    """The command lines for tatl-train in the documentation of the launcher."""
    text = ast.get_docstring(source.parse(RAY))
    lines = [line.strip() for line in re.sub(r"\\\n\s*", "", text).splitlines()]
    blocks = documents.blocks("deploy/training/README.md")
    lines += [line for block in blocks for line in documents.commands(block)]
    start = f"python {RAY.relative_to(source.REPO).as_posix()}"
    return [shlex.split(line) for line in lines if line.startswith(start)]


MANIFESTS = ("job.yaml", "jobset.yaml")


@pytest.mark.parametrize("name", MANIFESTS)
def test_each_pod_finds_all_workers_under_the_names_they_have(name):
    spec, prefix = _job(name)
    container, environment = _container(spec), _environment(spec)
    assert spec["completionMode"] == "Indexed"
    assert spec["completions"] == spec["parallelism"] == 2
    assert INDEX not in environment  # Kubernetes sets it
    if name == "job.yaml":
        domain = spec["template"]["spec"]["subdomain"]
        service = _manifest(name)["Service"]
        assert service["metadata"]["name"] == domain
        assert service["spec"]["clusterIP"] == "None"  # so that pods have names
        assert service["spec"]["selector"] == {"batch.kubernetes.io/job-name": prefix}
    else:
        network = _manifest(name)["JobSet"]["spec"]["network"]
        assert network["enableDNSHostnames"] is True
        domain = network["subdomain"]
    (port,) = container["ports"]
    want = [f"{prefix}-{i}.{domain}:{port['containerPort']}" for i in range(spec["completions"])]
    for index in range(spec["completions"]):
        found = find_cluster(environment | {INDEX: str(index)})
        assert (list(found.workers), found.index) == (want, index)


@pytest.mark.parametrize("name", MANIFESTS)
def test_errors_end_a_job_and_all_else_starts_it_again(name):
    spec, _ = _job(name)
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    rules = spec["podFailurePolicy"]["rules"]
    exits = {
        rule["action"]: rule["onExitCodes"]["values"] for rule in rules if "onExitCodes" in rule
    }
    assert exits["FailJob"] == ERRORS
    assert all(rule["onExitCodes"]["operator"] == "In" for rule in rules if "onExitCodes" in rule)
    if name == "job.yaml":
        assert exits["Ignore"] == [EXIT_CODE]
        assert spec["backoffLimit"] > 0
    else:  # a pod that fails takes all others with it
        assert spec["backoffLimit"] == 0 and set(exits) == {"FailJob"}
        policy = _manifest(name)["JobSet"]["spec"]["failurePolicy"]
        assert policy["maxRestarts"] > 0
        (rule,) = policy["rules"]
        assert rule == {"action": "FailJobSet", "onJobFailureReasons": ["PodFailurePolicy"]}


@pytest.mark.parametrize("name", MANIFESTS)
def test_pods_need_no_rights_and_write_to_the_shared_disk(name):
    pod = _job(name)[0]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    kind = "persistentVolumeClaim"
    claims = {volume["name"]: volume[kind] for volume in pod["volumes"] if kind in volume}
    claim = _manifest("volume.yaml")["PersistentVolumeClaim"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    assert [c["claimName"] for c in claims.values()] == [claim["metadata"]["name"]]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert set(mounts) == {volume["name"] for volume in pod["volumes"]}
    (shared,) = [mounts[name] for name in claims]
    flags = dict(flag.removeprefix("--").split("=", 1) for flag in container["args"])
    for flag in ("data", "workdir", "feature_cache"):
        assert flags[flag].startswith(f"{shared}/")


def test_the_jobs_differ_in_names_only():
    first, second = (_job(name)[0]["template"]["spec"] for name in MANIFESTS)
    del first["subdomain"]  # JobSet sets it
    for pod in (first, second):
        for variable in pod["containers"][0]["env"]:
            if variable["name"] == WORKERS:
                del variable["value"]
    assert first == second


def test_the_image_is_what_the_pods_need():
    text = (KUBERNETES / "Dockerfile").read_text(encoding="utf-8")
    for line in re.findall(r"^COPY (.*)$", text, re.MULTILINE):
        for path in line.split()[:-1]:
            assert (source.REPO / path).exists(), path
    setup = configparser.ConfigParser()
    setup.read(source.REPO / "setup.cfg", encoding="utf-8")
    (bounds,) = re.findall(r"^tensorflow(>=.*)$", setup["options"]["install_requires"], re.M)
    assert f'"${{TENSORFLOW}}{bounds}"' in text
    (program,) = json.loads(re.search(r"^ENTRYPOINT (.*)$", text, re.MULTILINE)[1])
    assert f"\n{program} = " in setup["options.entry_points"]["console_scripts"]
    assert re.search(rf"^ENV {FOLDER_VARIABLE}=/encoders$", text, re.MULTILINE)
    user = int(re.search(r"^USER (\d+)$", text, re.MULTILINE)[1])
    assert all(
        _job(name)[0]["template"]["spec"]["securityContext"]["runAsUser"] == user
        for name in MANIFESTS
    )


def test_every_command_line_is_one_that_tatl_train_takes():
    lines = [_container(_job(name)[0])["args"] for name in MANIFESTS] + [_slurm_command()]
    ray = _ray_commands()
    assert len(ray) == 2
    lines += [words[words.index("--") + 1 :] for words in ray]
    for result in parse(*(["tatl-train", *line] for line in lines)):
        assert result.pop("data").endswith("data/pets.csv")
        assert result == {"model": "efficientnet_lite0_minilm_gated", "rest": [], "error": None}
    for line in lines:
        assert "--strategy=multi_worker" in line


def test_the_launchers_flags_are_those_it_documents():
    defined = set(re.findall(r'DEFINE_\w+\(\s*"(\w+)"', RAY.read_text(encoding="utf-8")))
    for words in _ray_commands():
        own = words[2 : words.index("--")]
        assert {word.removeprefix("--").split("=")[0] for word in own} <= defined
    assert f"NOT_MENDED = {tuple(ERRORS)}" in RAY.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("status", "restarts", "again"),
    [
        (0, 0, False),
        (1, 0, False),
        (2, 0, False),
        (EXIT_CODE, 0, True),
        (137, 3, True),
        (EXIT_CODE, 20, False),
    ],
)
def test_a_slurm_job_is_queued_again_where_that_helps(tmp_path, status, restarts, again):
    for name, line in (("srun", f"exit {status}"), ("scontrol", f'echo "$@" > {tmp_path}/asked')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "17"}
    environment |= {"SLURM_RESTART_COUNT": str(restarts)} if restarts else {}
    done = subprocess.run(["bash", str(SLURM)], env=environment, timeout=60)
    assert done.returncode == status
    asked = tmp_path / "asked"
    assert asked.is_file() is again
    assert not again or asked.read_text() == "requeue 17\n"


TINY = ["--model=test_efficientnet_lstm_concat", "--epochs=2", "--batch_size=8", "--seed=3"]


def _train(*arguments, environment=None, command=("-m", "tatl_keras.bin.train")):
    return subprocess.Popen(
        [sys.executable, *command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=os.environ | {"PYTHONPATH": str(source.REPO)} | (environment or {}), text=True,
    )  # fmt: skip


def _finish(*processes):
    for process in processes:
        output = process.communicate(timeout=500)[0]
        assert process.returncode == 0, output[-3000:]


def _check_same(one, other):
    import keras

    first, second = (keras.models.load_model(str(path / "model.keras")) for path in (one, other))
    assert len(first.weights) == len(second.weights) > 10
    for ours, theirs in zip(first.weights, second.weights, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-5, err_msg=ours.path)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    from tatl_keras import data

    return data.synthetic.write_manifest(str(tmp_path_factory.mktemp("data")), 3, 48, 1)


@pytest.fixture(scope="module")
def alone(manifest, tmp_path_factory):
    """The workdir of one process."""
    workdir = tmp_path_factory.mktemp("alone") / "run"
    _finish(_train(*TINY, f"--data={manifest}", f"--workdir={workdir}", "--strategy=one_device"))
    return workdir


def _free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@pytest.mark.large
def test_processes_with_the_environment_of_the_pods_learn_what_one_learns(
    manifest, alone, tmp_path
):
    spec, _ = _job("job.yaml")
    environment = _environment(spec)
    names = environment[WORKERS].split(",")
    for name, port in zip(names, _free_ports(len(names)), strict=True):
        environment[WORKERS] = environment[WORKERS].replace(name, f"127.0.0.1:{port}")
    kept = [flag for flag in _container(spec)["args"] if flag.startswith("--strategy=")]
    own = [*kept, *TINY, f"--data={manifest}", f"--workdir={tmp_path / 'run'}"]
    pods = [
        _train(*own, environment=environment | {"HOME": str(tmp_path), INDEX: str(index)})
        for index in range(spec["completions"])
    ]
    _finish(*pods)
    _check_same(tmp_path / "run", alone)


@pytest.mark.large
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs the extra [ray]")
def test_workers_of_ray_learn_what_one_process_learns(manifest, alone, tmp_path):
    own = ["--num_workers=2", "--max_restarts=0", f"--ray_storage={tmp_path / 'ray'}", "--"]
    own += [*TINY, f"--data={manifest}", f"--workdir={tmp_path / 'run'}"]
    home = {"HOME": str(tmp_path)}
    _finish(_train(*own, "--strategy=multi_worker", command=(str(RAY),), environment=home))
    _check_same(tmp_path / "run", alone)
