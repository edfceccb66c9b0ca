"""Every case through every property, and every public layer in a case."""

import doctest
import inspect
import sys

import pytest

from tests.conformance.case import load_case_files
from tests.conformance.devices import check_two_devices, has_executions
from tests.conformance.properties import PROPERTIES

FILES = load_case_files()
CASES = [case for file in FILES for case in file.CASES]
PUBLIC = {name: value for file in FILES for name, value in file.PUBLIC.items()}
EXEMPT = {name: reason for file in FILES for name, reason in file.EXEMPT.items()}


def runs():
    for case in CASES:
        for name in PROPERTIES:
            reason = case.exempt.get(name)
            marks = [pytest.mark.xfail(reason=reason, strict=True)] if reason else []
            yield pytest.param(case, name, id=f"{case.name}-{name}", marks=marks)


@pytest.mark.parametrize(("case", "name"), list(runs()))
def test_property(case, name, tmp_path):
    PROPERTIES[name](case, tmp_path)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_two_devices_under_a_strategy(case, two_devices):
    for implementation in ("auto", "chunked") if has_executions(case) else ("auto",):
        check_two_devices(case, two_devices, implementation)


@pytest.mark.parametrize("name", list(PUBLIC))
def test_docstring_example_runs(name):
    value = PUBLIC[name]
    module = sys.modules[value.__module__]
    tests = doctest.DocTestFinder(recurse=False).find(value, name, module=module)
    runner = doctest.DocTestRunner()
    for test in tests:
        runner.run(test)
    assert runner.summarize().attempted > 0, f"{name} has no example"
    assert runner.summarize().failed == 0


def test_every_public_layer_has_a_case():
    covered = {case.covers for case in CASES}
    assert set(PUBLIC) - covered - set(EXEMPT) == set(), "add a case in tests/conformance"
    assert covered - set(PUBLIC) == set(), "a case covers what is not public"


def test_no_exemption_is_stale():
    covered = {case.covers for case in CASES}
    assert set(EXEMPT) - set(PUBLIC) == set(), "an exemption names what is not public"
    assert set(EXEMPT) & covered == set(), "an exemption names what has a case"
    for case in CASES:
        assert set(case.exempt) <= set(PROPERTIES), case.name
    assert all(EXEMPT.values()), "an exemption needs a reason"


def test_every_public_layer_is_exported():
    for name, value in PUBLIC.items():
        if not inspect.isclass(value):
            continue
        package = sys.modules["tatl_keras." + name.rsplit(".", 1)[0]]
        exported = name.rsplit(".", 1)[1]
        assert exported in package.__all__ and getattr(package, exported) is value, name


def test_names_of_cases_are_unique():
    names = [case.name for case in CASES]
    assert len(names) == len(set(names))


def test_public_docstrings_name_their_call():
    for name, value in PUBLIC.items():
        if name not in EXEMPT and inspect.isclass(value):
            for section in ("Call arguments:", "Returns:", "Example:"):
                assert section in value.__doc__, f"{name} lacks {section}"
