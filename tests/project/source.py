"""Reads the library's source files for the tests beside it; nothing is imported."""

import ast
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
PACKAGE = REPO / "tatl_keras"


def module_name(path):
    """`tatl_keras/layers/pooling.py` → `tatl_keras.layers.pooling`."""
    parts = path.relative_to(REPO).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def library_files(programs=True):
    """Every Python file of the package, sorted; without those under bin when not `programs`."""
    files = sorted(PACKAGE.rglob("*.py"))
    return [path for path in files if programs or path.parent != PACKAGE / "bin"]


def library_modules():
    """The dotted names of all modules but the programs, which define flags when imported."""
    return [module_name(path) for path in library_files(programs=False)]


def parse(path):
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def dotted(node):
    """`a.b.c` of a chain of attributes on a name, else None."""
    names = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    return ".".join([node.id, *reversed(names)])


def text_files():
    """Every file of the repository that people read, as far as it is text."""
    hidden = {".git", ".venv"}
    for path in sorted(REPO.rglob("*")):
        parts = path.relative_to(REPO).parts
        if not path.is_file() or parts[0] in hidden or _is_made(parts):
            continue
        try:
            yield path, path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def _is_made(parts):
    caches = {"__pycache__", ".pytest_cache", ".ruff_cache", ".mypy_cache", ".hypothesis"}
    return (
        parts[0] in {"build", "dist", "runs"}
        or parts[0].endswith(".egg-info")
        or bool(caches & set(parts))
    )
