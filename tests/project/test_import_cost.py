"""Importing the library starts nothing: no framework, no flags, no network, until it is used."""

import ast
import subprocess
import sys
import textwrap

import pytest

from tests.project import source

NO_NETWORK = """
    import sys

    def refuse(event, args):
        if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
            raise RuntimeError(f"import reached for the network: {event} {args}")

    sys.addaudithook(refuse)
"""


def run(code):
    """Runs code in a fresh interpreter that fails on any network access; gives what it printed."""
    program = textwrap.dedent(NO_NETWORK) + textwrap.dedent(code)
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=source.REPO, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_importing_the_package_imports_nothing_else():
    loaded = run(
        """
        before = set(sys.modules)
        import tatl_keras
        assert tatl_keras.__version__ and "zoo" in dir(tatl_keras)
        print(*sorted(m.split(".")[0] for m in set(sys.modules) - before))
        """
    )
    heavy = set(loaded.split()) - set(sys.stdlib_module_names)
    assert heavy == {"tatl_keras"}, f"`import tatl_keras` also imported {sorted(heavy)}"


def test_importing_every_part_defines_no_flags_and_stays_offline():
    out = run(
        """
        import importlib
        import tatl_keras
        for name in tatl_keras.__all__:
            getattr(tatl_keras, name)
        from absl import flags
        print(*[m for m in flags.FLAGS.flags_by_module_dict() if m.startswith("tatl_keras")])
        """
    )
    assert not out.strip(), f"flags belong to tatl_keras/bin. Defined by: {out}"


def test_an_unknown_part_is_an_attribute_error():
    import tatl_keras

    with pytest.raises(AttributeError, match="'tatl_keras' has no attribute 'zooo'"):
        tatl_keras.zooo  # noqa: B018


@pytest.mark.parametrize("path", source.library_files(), ids=source.module_name)
def test_flags_are_defined_by_programs_only(path):
    if path.parent.name == "bin":
        pytest.skip("a program: flags belong here")
    calls = [source.dotted(n.func) or "" for n in ast.walk(source.parse(path)) if _is_call(n)]
    defines = [c for c in calls if c.split(".")[-1].startswith(("DEFINE_", "mark_flag"))]
    assert not defines, f"{path.relative_to(source.REPO)} defines flags: {defines}"


def _is_call(node):
    return isinstance(node, ast.Call)
