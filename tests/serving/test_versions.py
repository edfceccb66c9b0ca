"""Numbered folders: no number twice, and nothing half for a server that polls."""

import importlib.util
import os
import shutil
import subprocess
import sys

import pytest

from tatl_keras.serving import ModelsConfig, list_versions, next_version, prune, publish, versions
from tests.serving.model_server import ModelServer

# Each process publishes folders as fast as it can, all from the same moment on.
PUBLISH = """
import importlib.util, os, sys
path, base, own = sys.argv[1:]
spec = importlib.util.spec_from_file_location("versions", path)
versions = importlib.util.module_from_spec(spec)
spec.loader.exec_module(versions)
for number in range(20):
    os.mkdir(f"{base}/.{own}-{number}")
    open(f"{base}/.{own}-{number}/saved_model.pb", "w").write(f"{own} {number}")
print("ready", flush=True)
sys.stdin.readline()
print(*[versions.publish(f"{base}/.{own}-{number}", base) for number in range(20)])
"""


def make(base, *names, contents="model"):
    for name in names:
        (base / str(name)).mkdir(parents=True)
        (base / str(name) / "saved_model.pb").write_text(contents)


def names(base):
    return sorted(path.name for path in base.iterdir())


def test_the_next_number(tmp_path):
    assert next_version(tmp_path / "none") == next_version(tmp_path) == 1
    make(tmp_path, "2", "0010", ".exporting-99", "x7", "7.bak", "٣٣")
    (tmp_path / "50").touch()  # a file is in the way too
    assert next_version(tmp_path) == 51
    (tmp_path / "11").mkdir()
    assert list_versions(tmp_path) == [2, 10] and next_version(tmp_path) == 51


def test_exporters_at_once_get_numbers_of_their_own(tmp_path):
    path = importlib.util.find_spec("tatl_keras.serving.versions").origin
    command = [sys.executable, "-c", PUBLISH, path, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen([*command, own], **pipes) for own in "abcd"]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    got = {}
    for own, process in zip("abcd", processes, strict=True):
        for number, version in enumerate(process.communicate(timeout=60)[0].split()):
            got[int(version)] = f"{own} {number}"
    assert sorted(got) == list(range(1, 81)) == list_versions(tmp_path)
    for version, contents in got.items():
        assert (tmp_path / str(version) / "saved_model.pb").read_text() == contents


def test_a_number_that_was_taken_meanwhile(tmp_path, monkeypatch):
    make(tmp_path, 1, 2, ".new")
    seen = iter([2, 2, 3])
    monkeypatch.setattr(versions, "next_version", lambda base: next(seen))
    assert publish(tmp_path / ".new", tmp_path) == 3
    assert names(tmp_path) == ["1", "2", "3"] and next(seen, None) is None


def test_only_models_are_published(tmp_path):
    (tmp_path / ".new").mkdir()
    with pytest.raises(ValueError, match=f"Received: folder='{tmp_path}/.new'"):
        publish(tmp_path / ".new", tmp_path)
    make(tmp_path, "new")
    with pytest.raises(OSError, match="Permission denied|Read-only|No such file"):
        publish(tmp_path / "new", tmp_path / "none")
    assert names(tmp_path) == [".new", "new"]


def test_the_oldest_go(tmp_path):
    make(tmp_path, 1, 2, "0003", 4, 5, ".exporting-1")
    (tmp_path / "0").mkdir()  # not complete
    (tmp_path / "notes").touch()
    assert prune(tmp_path, 2, protected={2, 77}) == [1, 3]
    assert names(tmp_path) == [".exporting-1", "0", "2", "4", "5", "notes"]
    assert prune(tmp_path, 2, protected={2}) == [] and prune(tmp_path, 9) == []
    assert prune(tmp_path, 1) == [2, 4] and list_versions(tmp_path) == [5]


@pytest.mark.parametrize("keep", [0, -1, 1.0, None])
def test_the_newest_never_goes(tmp_path, keep):
    make(tmp_path, 1)
    with pytest.raises(ValueError, match=f"Received: keep={keep}. The newest version stays"):
        prune(tmp_path, keep)
    assert prune(tmp_path, 1) == [] and names(tmp_path) == ["1"]


def test_what_a_server_is_told_to_load_never_goes(tmp_path):
    base = tmp_path / "pets"
    make(base, *range(1, 9))
    text = "model_config_list { config { name: 'p' base_path: '/models/pets' %s } }"
    path = tmp_path / "models.config"
    path.write_text(
        text % "version_labels { key: 'old' value: 2 } "
        "model_version_policy { specific { versions: 4 versions: 99 } }"
    )
    assert prune(base, 2, ModelsConfig(path).named(base)) == [1, 3, 5, 6]
    path.write_text(text % "model_version_policy { latest { num_versions: 3 } }")
    assert prune(base, 1, ModelsConfig(path).named(base)) == [2]
    path.write_text(text % "")
    assert prune(base, 1, ModelsConfig(path).named(base)) == [4, 7]


@pytest.mark.parametrize("step", ["rename", "rmtree"])
def test_a_kill_at_any_step_leaves_whole_versions(tmp_path, monkeypatch, step):
    make(tmp_path / "pets", 1, 2, 3)
    path = tmp_path / "models.config"
    path.write_text("model_config_list { config { model_version_policy { all {} } } }")
    server = ModelServer(path, tmp_path / "pets")
    server.poll()

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os if step == "rename" else shutil, step, killed)
        prune(tmp_path / "pets", 1)
    server.poll()
    assert server.loaded == ([1, 2, 3] if step == "rename" else [3])
    assert any(name.startswith(".pruned-") for name in names(tmp_path / "pets"))
    prune(tmp_path / "pets", 1)
    assert names(tmp_path / "pets") == ["3"]


def test_a_server_that_looks_at_every_step_sees_whole_versions(tmp_path, monkeypatch):
    base = tmp_path / "pets"
    make(base, 1, 2, 3, 4)
    path = tmp_path / "models.config"
    path.write_text("model_config_list { config { model_version_policy { all {} } } }")
    server, seen = ModelServer(path, base), []

    def looking(function):
        def call(*arguments, **options):
            result = function(*arguments, **options)
            server.loaded = []  # so that all are loaded anew, and must be whole
            server.poll()
            seen.append(server.loaded)
            return result

        return call

    for name in ("rename", "unlink", "rmdir", "mkdir"):
        monkeypatch.setattr(os, name, looking(getattr(os, name)))
    prune(base, 2)
    make(base, ".new")
    assert publish(base / ".new", base) == 5
    assert seen[0] == [1, 2, 3, 4] and seen[-1] == [3, 4, 5] and [2, 3, 4] in seen
