"""`tatl-zoo check_install`: what it finds in whole and in broken installations, and its advice."""

import collections
import pathlib
import re
import shutil
import sys

import numpy as np
import pytest
import tensorflow as tf

from tatl_keras.bin import (
    checking,
    checking_machine,
    checking_packages,
    checking_presets,
    findings,
)
from tatl_keras.bin.findings import BAD, GOOD, NOTE
from tests.bin.conftest import run_program, succeed
from tests.project import checks, fresh, test_requirements

TITLES = ("Python", "packages", "extras", "processor", "memory", "disk", "GPU", "model hubs")
HAVE = {"tensorflow": "2.21.0", "tensorflow-text": "2.21.1", "keras": "3.15.1", "keras-hub": "0.32"}
ASKED = [
    "tensorflow<2.22,>=2.19",
    "tensorflow-text<2.22,>=2.19",
    "keras<4,>=3.15",
    "keras-hub>=0.31",
    'onnx<2,>=1.17; extra == "onnx"',
    'tf2onnx>=1.17; extra == "onnx"',
    'apache-beam>=2.60; extra == "beam"',
]
EXTRAS = {"onnx": "1.18", "tf2onnx": "1.17", "apache-beam": None}


@pytest.fixture
def not_asked(monkeypatch):
    """No hub may be asked, nor any step trained: that takes seconds."""

    def refuse(*args):
        raise AssertionError("a hub was asked")

    monkeypatch.setattr(checking_presets, "ask_hubs", refuse)


def packages(**changed):
    """Dict from title to finding, with other versions than `HAVE`."""
    have = HAVE | EXTRAS | {name.replace("_", "-"): v for name, v in changed.items()}
    found = checking_packages.check(">=3.11", ASKED, have, running="3.12.1")
    return {finding.title: finding for finding in found}


def commands(finding):
    """The commands among a finding's advice."""
    heads = ("pip ", "tatl-", "git ")
    return [line for line in finding.advice.splitlines() if line.startswith(heads)]


def test_a_whole_installation(not_asked):
    out = succeed("zoo", "check_install", "--smoke").out
    assert "✗" not in out
    for title in TITLES:
        assert re.search(rf"^[✓!] {title}  +\S", out, re.M), title
    assert "not asked (--noask_hubs)" in out
    assert re.search(r"✓ one step +trained, exported and asked in \d", out)
    assert out.count("SHA-256 right") == 2
    assert re.search(r"\nAll that is needed works.* Next:\n  tatl-init .*\n  tatl-train", out)
    assert all(len(line) <= 100 or len(line.split()) == 1 for line in out.splitlines())


def test_what_fails_makes_the_status_1(not_asked, monkeypatch):
    def check_step():
        raise RuntimeError("no kernel\nfor this")

    monkeypatch.setattr(checking, "check_step", check_step)
    outcome = run_program("zoo", "check_install", "--noask_hubs")
    assert outcome.status == 1
    assert re.search(r"^✗ step +RuntimeError: no kernel for this$", outcome.out, re.M)
    assert "    tatl-train --smoke --debug" in outcome.out
    assert "\n1 thing that is needed does not work." in outcome.out


def test_a_broken_tensorflow_is_said_and_not_raised():
    code = (
        "import sys\nsys.modules['tensorflow'] = None\n"
        + fresh.program("zoo").replace("run()\n", "")
        + "try:\n    run()\nexcept SystemExit as end:\n    print('status', end.code)\n"
    )
    command = [sys.executable, "-c", "import sys\n" + code, "check_install"]
    out = fresh.finish(command, cwd=fresh.source.REPO, timeout=120)
    assert re.search(r"^✗ import of tensorflow +\w*Error: .*tensorflow", out, re.M)
    assert "pip install --force-reinstall --no-deps 'tensorflow==" in out
    assert out.endswith("status 1\n")


def test_exports_that_answer_otherwise():
    expected = np.array([[0.25, 0.75]])
    assert checking.judge_step(expected + 9e-5, expected, 1).mark == GOOD
    bad = checking.judge_step(expected + 2e-3, expected, 1)
    assert bad.mark == BAD and "by 2.0e-03" in bad.found
    assert checking.judge_step(expected * np.nan, expected, 1).mark == BAD


def test_requirements_are_those_of_setup_cfg():
    core, extras = test_requirements.requirements()
    python, asked = checking_packages.requirements()
    parsed = [checking_packages.Requirement(line) for line in asked]
    assert {one.name for one in parsed if one.marker is None} == core
    of_onnx = {one.name for one in parsed if 'extra == "onnx"' in str(one.marker)}
    assert extras["onnx"] <= of_onnx and python == ">=3.11"


def test_versions():
    found = packages()
    assert [finding.mark for finding in found.values()] == [GOOD] * 4
    assert found["packages"].found.startswith("4 of 4 fit: tensorflow 2.21.0, keras 3.15.1,")
    assert found["extras"].found == (
        "onnx, quickstart, tensorboard; not installed: beam (pip install 'tatl_keras[beam]')"
    )
    found = packages(keras="3.12.0", keras_hub=None)
    assert found["packages"].found.startswith("2 of 4 fit")
    assert (found["keras"].mark, found["keras-hub"].mark) == (NOTE, BAD)
    assert found["keras"].found == "3.12.0; tatl_keras is tested with keras>=3.15,<4"
    assert found["keras-hub"].advice == "pip install 'keras-hub>=0.31'"
    found = packages(tensorflow_text="2.19.0")["tensorflow-text"]
    assert found.mark == NOTE and found.advice == "pip install 'tensorflow-text==2.21.*'"
    found = packages(onnx="2.1", apache_beam="2.70")
    assert found["extras"].found == "beam, quickstart, tensorboard"
    assert found["extra onnx"].found == "onnx 2.1 is not onnx>=1.17,<2"
    found = packages(onnx=None, tf2onnx="1.16")["extra onnx"]
    assert found.found == "onnx is not installed; tf2onnx 1.16 is not tf2onnx>=1.17"
    old = checking_packages.check(">=3.11", ASKED, HAVE | EXTRAS, running="3.10.4")[0]
    assert old.mark == BAD and "3.10.4; tatl_keras asks for >=3.11" in old.found


def test_processor_and_memory():
    (found,) = checking_machine.check_processor({"avx2", "avx512_bf16"})
    assert "AVX2" in found.found and "--compute_dtype=bfloat16" in found.found
    (found,) = checking_machine.check_processor(set())
    assert "AVX" not in found.found and "bfloat16" not in found.found
    marks = [checking_machine.check_memory(count)[0].mark for count in (0.9e9, 2e9, 4e9)]
    assert marks == [BAD, NOTE, GOOD]
    assert checking_machine.check_memory(2e9)[0].found == "2.0 GB free"
    assert 1e8 < checking_machine._available_memory() < 1e14


def test_a_containers_limit_counts(tmp_path):
    (tmp_path / "memory.max").write_text("3000\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert checking_machine._container_memory(str(tmp_path)) == 2000
    (tmp_path / "memory.max").write_text("max\n")
    assert checking_machine._container_memory(str(tmp_path)) is None


def test_disks(tmp_path, monkeypatch):
    usage = collections.namedtuple("usage", "total used free")
    free = {"small": 0.05e9, "some": 1e9, "much": 9e9}
    for name in free:
        (tmp_path / name).mkdir()
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: usage(0, 0, free[pathlib.Path(path).name])
    )
    where = [
        ("this folder", str(tmp_path / "small"), True, "cd /another/disk"),
        ("model cache", str(tmp_path / "small" / "not" / "there"), False, "export A=B"),
        ("temporary files", str(tmp_path / "some"), True, "export TMPDIR=/another/disk"),
        ("TFDS data sets", str(tmp_path / "much"), False, "export C=D"),
    ]
    good, *found = checking_machine.check_disk(where)
    assert good == findings.Finding(GOOD, "disk", "free: TFDS data sets 9.0 GB")
    assert [(one.title, one.mark) for one in found] == [
        ("disk, this folder", BAD),
        ("disk, model cache", NOTE),
        ("disk, temporary files", NOTE),
    ]
    assert found[1].advice == "export A=B" and found[1].found.endswith("free in " + where[0][1])
    monkeypatch.setattr("os.access", lambda path, mode: False)
    found = checking_machine.check_disk(where[2:])
    assert [one.mark for one in found] == [BAD, NOTE]
    assert found[0].found == f"{tmp_path / 'some'} may not be written"


def test_places_follow_the_environment(monkeypatch):
    monkeypatch.setenv("HF_HOME", "/somewhere/hf")
    monkeypatch.delenv("TFDS_DATA_DIR")
    where = {title: folder for title, folder, _, _ in checking_machine.places()}
    assert where["Hugging Face cache"] == "/somewhere/hf"
    assert where["TFDS data sets"] == str(pathlib.Path.home() / "tensorflow_datasets")


def test_accelerators(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [])
    (found,) = checking_machine.check_accelerators(has_nvidia=False)
    assert found.mark == GOOD and found.found.startswith("none")
    (found,) = checking_machine.check_accelerators(has_nvidia=True)
    assert found.mark == NOTE and found.advice.startswith("pip install 'tensorflow[and-cuda]==2.")
    monkeypatch.setattr(tf, "__version__", "2.21.0")
    monkeypatch.setenv("TPU_NAME", "local")
    _, tpu = checking_machine.check_accelerators(has_nvidia=False)
    assert tpu.mark == NOTE and "TPU_NAME names one, but TensorFlow 2.21.0 cannot" in tpu.found
    assert tpu.advice == "pip install 'tensorflow==2.19.*' 'tensorflow-text==2.19.*'"
    monkeypatch.setattr(tf, "__version__", "2.19.1")
    assert checking_machine.check_accelerators(has_nvidia=False)[1].mark == GOOD
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: ["a", "b"])
    details = {"device_name": "H100"}
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda device: details)
    assert checking_machine.check_accelerators(has_nvidia=True)[0].found == "2: H100, H100"


def test_advice_names_commands_that_exist(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [])
    advised = [
        *packages(keras=None, tensorflow_text="2.19", onnx="2.1").values(),
        *checking_machine.check_memory(0),
        *checking_machine.check_accelerators(has_nvidia=True),
        checking.judge_step(np.ones(2), np.zeros(2), 1),
    ]
    lines = [line for finding in advised for line in commands(finding)]
    assert len(lines) == 6
    for line in lines:
        checks.check_command(line.replace("tensorflow[and-cuda]", "tensorflow"))  # not our extra


def test_the_report_is_aligned_and_ends_in_advice():
    shown = findings.report(
        [
            findings.Finding(GOOD, "a", "fine"),
            findings.Finding(NOTE, "longer", "word " * 40, "one\ntwo"),
            findings.Finding(BAD, "b", "lost", "one\ntwo"),
        ]
    )
    lines = shown.splitlines()
    assert lines[0] == "✓ a       fine" and lines[1].startswith("! longer  word word")
    assert lines[2].startswith("          word") and max(map(len, lines)) <= 96
    assert shown.endswith("\n\nWhat to do:\n! longer\n✗ b\n    one\n    two")


def test_what_is_longer_than_a_line_can_be_copied():
    path = "/" + "a-folder/" * 14
    shown = findings.report([findings.Finding(GOOD, "encoder", f"SHA-256 right, {path}")])
    assert shown.splitlines() == ["✓ encoder  SHA-256 right,", f"           {path}"]
