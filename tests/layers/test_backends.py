"""The layers give the same under JAX and PyTorch as under TensorFlow.

Every conformance case of a layer takes part; see backend_outputs.py, which runs once per backend.
"""

import importlib.util
import sys

import numpy as np
import pytest

from tests.layers import backend_outputs
from tests.project import fresh

BACKENDS = ("jax", "torch")
CASES = backend_outputs.cases()

# Some installed packages bring a package `tests` of their own, which would be found first.
OUTPUTS = """
import sys, types
sys.modules["tests"] = types.ModuleType("tests")
sys.modules["tests"].__path__ = ["tests"]
from tests.layers import backend_outputs
backend_outputs.main(sys.argv[1])
"""


def needs(backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"needs the package {backend}, which is not installed")


def environment(backend):
    return fresh.environment(KERAS_BACKEND=backend, JAX_PLATFORMS="cpu")


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """`elsewhere(backend)` returns the outputs of all cases, computed once in its own process."""
    computed = {}

    def run(backend):
        needs(backend)
        if backend not in computed:
            computed[backend] = {}
            path = tmp_path_factory.mktemp(backend) / "outputs.npz"
            command = [sys.executable, "-c", OUTPUTS, str(path)]
            fresh.finish(command, fresh.source.REPO, env=environment(backend))
            computed[backend] = dict(np.load(path))
        assert computed[backend], "the process failed; see the first test of this backend"
        assert computed[backend]["backend"] == backend
        return computed[backend]

    return run


@pytest.mark.parametrize("name", list(CASES))
@pytest.mark.parametrize("backend", BACKENDS)
def test_same_outputs(elsewhere, backend, name):
    others = elsewhere(backend)
    for number, expected in enumerate(backend_outputs.outputs(CASES[name])):
        found = others[f"{name}/{number}"]
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_decoding_in_a_loop(elsewhere, backend):
    step_by_step, whole = elsewhere(backend)["decoding"]
    np.testing.assert_allclose(step_by_step, whole, rtol=0, atol=1e-5)
    assert np.abs(whole).min() > 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_chunked_execution_is_refused(elsewhere, backend):
    message = str(elsewhere(backend)["refusal"])
    assert "`implementation` must be" in message and f"backend='{backend}'" in message
