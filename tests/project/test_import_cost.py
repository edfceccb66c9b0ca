"""Importing the library starts nothing: no framework, no flags, no network, until it is used."""

import ast
import sys

import pytest

from tests.project import fresh, source


def test_importing_the_package_imports_nothing_else():
    loaded = fresh.run(
        "before = set(sys.modules)\n"
        "import tatl_keras\n"
        "assert tatl_keras.__version__ and 'zoo' in dir(tatl_keras)\n"
        "print(*{m.split('.')[0] for m in set(sys.modules) - before})\n"
    )
    heavy = set(loaded.split()) - set(sys.stdlib_module_names)
    assert heavy == {"tatl_keras"}, f"`import tatl_keras` also imported {sorted(heavy)}"


def test_importing_every_part_defines_no_flags_and_stays_offline():
    defined = fresh.run(
        "import tatl_keras\n"
        "for name in tatl_keras.__all__:\n"
        "    getattr(tatl_keras, name)\n"
        "from absl import flags\n"
        "print(*[m for m in flags.FLAGS.flags_by_module_dict() if m.startswith('tatl_keras')])\n"
    )
    assert not defined.strip(), f"flags belong to tatl_keras/bin. Defined by: {defined}"


def test_a_fresh_interpreter_refuses_the_network():
    with pytest.raises(AssertionError, match="no network in tests"):
        fresh.run("import socket\nsocket.create_connection(('example.com', 80))\n")


def test_an_unknown_part_is_an_attribute_error():
    import tatl_keras

    with pytest.raises(AttributeError, match="'tatl_keras' has no attribute 'zooo'"):
        tatl_keras.zooo  # noqa: B018


@pytest.mark.parametrize("path", source.library_files(programs=False), ids=source.module_name)
def test_flags_are_defined_by_programs_only(path):
    nodes = [n for n in ast.walk(source.parse(path)) if isinstance(n, ast.Call)]
    names = [(source.dotted(n.func) or "").split(".")[-1] for n in nodes]
    defines = [n for n in names if n.startswith(("DEFINE_", "mark_flag"))]
    assert not defines, f"{path.relative_to(source.REPO)} defines flags: {defines}"
