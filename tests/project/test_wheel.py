"""What an installed package holds, seen in a wheel built from a copy of the repository."""

import configparser
import importlib.util
import shutil
import subprocess
import sys
import zipfile

import pytest

import tatl_keras
from tests.project import source

SCRIPTS = (
    "train", "evaluate", "predict", "export", "zoo", "encode", "cache", "rethink", "certify",
    "compare", "explain", "init", "pretrain",
    "client", "release",
)  # fmt: skip


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    copy = tmp_path_factory.mktemp("copy") / "repository"
    left_out = (".git", ".venv", "saved_models", "runs", "build", "dist", "*.egg-info")
    ignore = shutil.ignore_patterns(*left_out, "__pycache__", ".*_cache")
    shutil.copytree(source.REPO, copy, ignore=ignore)
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--wheel-dir", str(out), str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    (path,) = out.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_name_and_version(wheel):
    assert f"tatl_keras-{tatl_keras.__version__}-py3-none-any.whl" in wheel.filename


def test_top_level_is_the_package_alone(wheel):
    top = {name.split("/")[0] for name in wheel.namelist()}
    assert top == {"tatl_keras", f"tatl_keras-{tatl_keras.__version__}.dist-info"}


def test_every_source_file_is_inside(wheel):
    paths = [*source.library_files(), *(source.REPO / "tatl_keras").rglob("*.txt")]
    files = {path.relative_to(source.REPO).as_posix() for path in paths}
    assert files == {n for n in wheel.namelist() if n.startswith("tatl_keras/")}


def test_every_folder_of_modules_is_a_package():
    folders = sorted({path.parent for path in source.library_files()})
    missing = [f.name for f in folders if not (f / "__init__.py").is_file()]
    assert not missing, f"no __init__.py, so no wheel will hold it: {missing}"


def test_console_scripts(wheel):
    parser = configparser.ConfigParser()
    (name,) = [n for n in wheel.namelist() if n.endswith("dist-info/entry_points.txt")]
    parser.read_string(wheel.read(name).decode())
    expected = {f"tatl-{s}": f"tatl_keras.bin.{s}:run" for s in SCRIPTS}
    assert dict(parser["console_scripts"]) == expected


@pytest.mark.parametrize("script", SCRIPTS)
def test_console_scripts_have_their_function(script):
    spec = importlib.util.find_spec(f"tatl_keras.bin.{script}")
    assert spec is not None, f"setup.cfg names tatl_keras.bin.{script}, which does not exist"
    with open(spec.origin, encoding="utf-8") as file:
        text = file.read()
    assert "\ndef run(" in text and "\ndef main(" in text


def test_metadata(wheel):
    (name,) = [n for n in wheel.namelist() if n.endswith("dist-info/METADATA")]
    metadata = wheel.read(name).decode()
    for line in ("License: Apache-2.0", "Requires-Python: >=3.11", "Provides-Extra: quickstart"):
        assert line in metadata or line.replace("License:", "License-Expression:") in metadata
    assert any(n.endswith("/LICENSE") for n in wheel.namelist())
