"""Imports point down: layers, then encoders, fusion, data, features, models, zoo, training, bin."""

import ast

import pytest

from tests.project import source

LEVELS = (
    ("layers",),
    ("encoders", "fusion", "data"),
    ("features",),
    ("models",),
    ("zoo",),
    ("training", "serving"),
    ("bin",),
)
RANK = {name: rank for rank, names in enumerate(LEVELS) for name in names}
# Private helper modules directly under tatl_keras: everything may import them, each other too.
BOTTOM = -1


def part_of(module):
    """`tatl_keras.layers.pooling` → `layers`; the package itself → ``."""
    return (module.split(".") + [""])[1]


def rank_of(part):
    return BOTTOM if part.startswith("_") else RANK[part]


def imported_modules(module, tree, is_package):
    """Yields (line, dotted name) of everything of tatl_keras that a file reaches, at any depth."""
    base = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = base[: len(base) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            names = [f"{origin}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Attribute):
            names = [source.dotted(node) or ""]
        elif isinstance(node, ast.Call) and _is_dynamic_import(node):
            names = [a.value for a in node.args[:1] if isinstance(a, ast.Constant)] or ["?"]
        else:
            continue
        for name in names:
            if name == "?" or name.split(".")[0] == "tatl_keras":
                yield node.lineno, name


def _is_dynamic_import(node):
    return source.dotted(node.func) in {"importlib.import_module", "import_module", "__import__"}


def violations(module, tree, is_package=False):
    """The imports of a module that do not point down, as `line: reason`."""
    own = part_of(module)
    for line, name in imported_modules(module, tree, is_package):
        other = part_of(name)
        if name == "?":
            yield f"{line}: imports a module whose name is not written out"
        elif other in ("", "__version__") or other == own:
            continue
        elif other not in RANK and not other.startswith("_"):
            yield f"{line}: {name} is in no known sub-package"
        elif rank_of(other) > rank_of(own) or rank_of(other) == rank_of(own) != BOTTOM:
            yield f"{line}: {own} must not import {name}"


@pytest.mark.parametrize(
    "path",
    [p for p in source.library_files() if p != source.PACKAGE / "__init__.py"],
    ids=source.module_name,
)
def test_imports_point_down(path):
    found = list(
        violations(source.module_name(path), source.parse(path), path.name == "__init__.py")
    )
    assert not found, f"{path.relative_to(source.REPO)}:" + "\n".join(found)


def test_every_sub_package_has_a_level():
    folders = {p.name for p in source.PACKAGE.iterdir() if any(p.glob("*.py"))}
    assert folders <= set(RANK), "give the new sub-package a place in LEVELS and ARCHITECTURE.md"


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("tatl_keras.layers.pooling", "from tatl_keras import encoders"),
        ("tatl_keras.layers.pooling", "from ..fusion import concat"),
        ("tatl_keras.fusion.concat", "from tatl_keras.encoders.image import ImageEncoder"),
        ("tatl_keras.data.loading", "import tatl_keras.encoders.text"),
        ("tatl_keras.models.classifier", "def f():\n    from tatl_keras.training import cache"),
        ("tatl_keras.models.classifier", "import tatl_keras\nx = tatl_keras.zoo.build"),
        ("tatl_keras.zoo.cards", "import importlib\nimportlib.import_module('tatl_keras.bin.zoo')"),
        ("tatl_keras.zoo.cards", "import importlib\nimportlib.import_module(name)"),
        ("tatl_keras.training.cache", "from tatl_keras.serving import export"),
        ("tatl_keras._errors", "from tatl_keras import layers"),
    ],
)
def test_an_upward_import_is_found(module, line):
    assert list(violations(module, ast.parse(line)))


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("tatl_keras.fusion.concat", "from tatl_keras import layers"),
        ("tatl_keras.fusion.concat", "from .base import Fusion"),
        ("tatl_keras.encoders.image", "from tatl_keras.layers.pooling import MaskedAveragePooling"),
        ("tatl_keras.layers.pooling", "from tatl_keras._errors import unknown"),
        ("tatl_keras._errors", "from tatl_keras._files import write_whole"),
        ("tatl_keras.bin.train", "from tatl_keras import __version__, training, zoo"),
        ("tatl_keras.models.classifier", "import keras\nfrom keras import layers"),
    ],
)
def test_a_downward_import_passes(module, line):
    assert not list(violations(module, ast.parse(line)))
