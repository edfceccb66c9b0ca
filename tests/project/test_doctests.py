"""Every example in the documentation strings runs, and every public class and function has one."""

import doctest
import importlib
import inspect

import pytest

import tatl_keras
from tests.project import source

PARTS = [name for name in tatl_keras.__all__ if name != "__version__"]

# "part.name" of a public object without an example of its own → why it has none.
WITHOUT_EXAMPLE = {}


def public_objects(part):
    """Yields (name, object) of the classes and functions that a sub-package exports."""
    module = importlib.import_module(f"tatl_keras.{part}")
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isroutine(value):
            yield name, value


def has_example(value):
    """Whether the docstring of an object has an `Example:` section with a prompt in it."""
    text = inspect.getdoc(value) if inspect.getdoc(value) != inspect.getdoc(type(value)) else None
    heading, _, example = (text or "").partition("Example:")
    return ">>> " in example


@pytest.fixture
def keras_session():
    """Fixed seeds and names, as the tests of the parts have."""
    import keras

    keras.backend.clear_session(free_memory=False)
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("name", source.library_modules())
def test_examples_run(name, keras_session):
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    module = importlib.import_module(name)
    report = []
    runner = doctest.DocTestRunner(optionflags=flags, verbose=False)
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, name):
        runner.run(test, out=report.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(report)


@pytest.mark.parametrize("part", PARTS)
def test_parts_say_what_they_export(part):
    module = importlib.import_module(f"tatl_keras.{part}")
    exported = list(module.__all__)
    assert exported and len(exported) == len(set(exported))
    missing = [n for n in exported if not hasattr(module, n)]
    assert not missing, f"tatl_keras.{part}.__all__ names what is not there: {missing}"


@pytest.mark.parametrize("part", PARTS)
def test_public_objects_have_an_example(part):
    lacking = [
        f"{part}.{name}"
        for name, value in public_objects(part)
        if not has_example(value) and f"{part}.{name}" not in WITHOUT_EXAMPLE
    ]
    assert not lacking, f"no `Example:` with >>> in the docstrings of {lacking}"


def test_exemptions_are_needed():
    lacking = {
        f"{part}.{name}"
        for part in PARTS
        for name, value in public_objects(part)
        if not has_example(value)
    }
    stale = sorted(set(WITHOUT_EXAMPLE) - lacking)
    assert not stale, f"these have an example or are gone; remove their exemption: {stale}"
    assert all(WITHOUT_EXAMPLE.values()), "an exemption needs its reason"


def test_a_failing_example_is_found():
    test = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    report = []
    assert doctest.DocTestRunner(verbose=False).run(test, out=report.append).failed == 1
