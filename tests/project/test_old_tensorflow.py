"""The oldest releases that setup.cfg allows: TensorFlow 2.19.1 is the last that has TPU kernels.

Not run on a TPU: the tests run on this machine's CPU, in an environment of their own.
"""

import os
import shutil
import subprocess
import sys

import pytest

from tests.project import source

PINS = [
    "tensorflow==2.19.1",
    "tensorflow-text==2.19.0",
    "keras==3.15.1",
    "keras-hub==0.31.0",
    # Later ones need a newer protobuf than this TensorFlow allows, and do not say so.
    "tensorflow-metadata==1.17.3",
]
TESTS = [
    "tests/layers", "tests/fusion", "tests/conformance", "tests/zoo", "tests/serving",
    "tests/data/test_preprocessing.py", "tests/data/test_tfds.py",
    "tests/encoders/test_contract.py", "tests/encoders/test_freezing.py",
    "tests/encoders/test_text_encoders.py", "tests/features/test_encoding.py",
    "tests/models/test_classifier.py", "tests/models/test_distributed.py",
    "tests/models/test_export.py", "tests/training/test_strategy.py",
    "tests/training/test_workers.py",
]  # fmt: skip
pytestmark = pytest.mark.large


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The interpreter of a fresh environment with the package, its test extra and `PINS`."""
    folder = tmp_path_factory.mktemp("old")
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    python = folder / "venv" / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = _run([*install, *PINS])
    if done.returncode:
        pytest.skip(f"pip cannot install {PINS}: {done.stderr.strip()[-300:]}")
    copy, pins = folder / "repository", folder / "pins.txt"
    left_out = shutil.ignore_patterns(".*", "saved_models", "runs", "build", "dist", "*.egg-info")
    shutil.copytree(source.REPO, copy, ignore=left_out)
    pins.write_text("\n".join(PINS), encoding="utf-8")
    done = _run([*install, "--constraint", str(pins), f"{copy}[test]"])
    assert done.returncode == 0, f"setup.cfg must allow {PINS}: {done.stderr[-3000:]}"
    return str(python)


def _run(command, **options):
    own = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYTEST"))}
    return subprocess.run(command, capture_output=True, text=True, env=own, **options)


def test_the_bounds_allow_them(python):
    done = _run([python, "-m", "pip", "check"])
    assert done.returncode == 0, done.stdout
    listed = _run([python, "-m", "pip", "list", "--format=freeze"]).stdout
    assert set(PINS) <= {line.lower().replace("_", "-") for line in listed.splitlines()}


def test_they_pass_the_fast_tests(python):
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS]
    done = _run(command, cwd=source.REPO)
    print(done.stdout[-2000:])
    assert done.returncode == 0, done.stdout[-6000:]
