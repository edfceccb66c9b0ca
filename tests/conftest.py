"""What every test runs under: quiet TensorFlow, fixed seeds, no network, an own working directory.

The environment below is set before TensorFlow is imported, so that a user's own configuration
(~/.keras, model caches, data sets, a plotting back end) can neither help nor break a test.
"""

import atexit
import os
import shutil
import socket
import tempfile
from pathlib import Path

import hypothesis
import numpy as np
import pytest

REPO = Path(__file__).resolve().parents[1]

_CACHES = Path(tempfile.mkdtemp(prefix="tatl_keras_tests_"))
atexit.register(shutil.rmtree, _CACHES, ignore_errors=True)

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["MPLBACKEND"] = "Agg"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "2")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "2")
for _name, _folder in {
    "KERAS_HOME": "keras",
    "KAGGLEHUB_CACHE": "kagglehub",
    "HF_HOME": "huggingface",
    "HYPOTHESIS_STORAGE_DIRECTORY": "hypothesis",
    "TFDS_DATA_DIR": "tensorflow_datasets",
    "MPLCONFIGDIR": "matplotlib",
}.items():
    os.environ[_name] = str(_CACHES / _folder)

hypothesis.settings.register_profile(
    "tatl_keras", deadline=None, derandomize=True, database=None, max_examples=25
)
hypothesis.settings.load_profile("tatl_keras")

import tensorflow as tf  # noqa: E402  (after its environment)

# Two devices out of one, for strategies; tests that know nothing of it stay on the first.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)


class NetworkBlockedError(OSError):
    """Raised where a test without the `network` mark would leave this machine."""


@pytest.fixture(autouse=True)
def block_network(request, monkeypatch):
    """Lets Python sockets reach this machine only; mark a test with `network` to lift it."""
    if request.node.get_closest_marker("network"):
        return
    connect, lookup = socket.socket.connect, socket.getaddrinfo

    def is_local(host):
        host = host.decode() if isinstance(host, bytes) else host
        return host in (None, "", "localhost", "::1") or host.startswith("127.")

    def guarded_connect(self, address):
        if self.family != socket.AF_UNIX and not is_local(address[0]):
            raise NetworkBlockedError(f"Tests must not open connections. Received: {address!r}")
        return connect(self, address)

    def guarded_lookup(host, *args, **kwargs):
        if not is_local(host):
            raise NetworkBlockedError(f"Tests must not look up hosts. Received: {host!r}")
        return lookup(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_lookup)


@pytest.fixture(scope="session")
def two_devices():
    """The one MirroredStrategy of a run, over two logical CPU devices; two of them would clash."""
    return tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()
    )


@pytest.fixture(autouse=True)
def seed():
    """Starts every test from the same Keras names, seeds and float32 policy."""
    import keras

    keras.backend.clear_session(free_memory=False)
    keras.config.set_dtype_policy("float32")
    keras.utils.set_random_seed(0)
    yield 0
    keras.config.set_dtype_policy("float32")


@pytest.fixture(autouse=True)
def working_directory(tmp_path, monkeypatch):
    """Runs every test in its own empty folder: a relative path cannot touch the repository."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session", autouse=True)
def unchanged_repository():
    """On CI, fails the run if a test created, changed or removed a file of the repository.

    Elsewhere people edit while tests run, so nothing is compared.
    """
    before = _repository_files() if os.environ.get("CI") else None
    yield
    if before is not None:
        after = _repository_files()
        changed = sorted(p for p in before.keys() | after.keys() if before.get(p) != after.get(p))
        assert not changed, f"Tests must write under tmp_path only. Changed: {changed[:10]}"


def _repository_files():
    """Maps each file, but for caches and hidden folders, to its size and time of change."""
    found = {}
    for folder, folders, files in os.walk(REPO):
        folders[:] = [f for f in folders if f[0] != "." and f != "__pycache__"]
        for name in files:
            status = os.stat(os.path.join(folder, name))
            found[os.path.relpath(os.path.join(folder, name), REPO)] = (
                status.st_size,
                status.st_mtime_ns,
            )
    return found


@pytest.fixture(scope="session")
def repo():
    """The repository's root folder."""
    return REPO


@pytest.fixture(scope="session")
def shared():
    """The folder of larger test material beside the repository, where there is one."""
    folder = REPO.parent / "shared"
    if not folder.is_dir():
        pytest.skip("needs the folder ../shared (larger test material), which is not here")
    return folder


@pytest.fixture
def rng(seed):
    """A NumPy generator seeded alike in every test."""
    return np.random.default_rng(seed)
