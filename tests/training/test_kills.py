"""Trainings that are killed at any moment end with the weights of one that was not."""

import json
import os
import subprocess
import sys

import pytest

from tests.training import survivor

REPO = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))


@pytest.mark.parametrize("kills", [20, pytest.param(100, marks=pytest.mark.large)])
def test_killed_trainings_end_bit_for_bit_as_one_that_was_not(kills, tmp_path):
    outcome = subprocess.run(
        [sys.executable, survivor.__file__, str(tmp_path), str(kills)],
        env=os.environ | {"PYTHONPATH": REPO}, capture_output=True, text=True, timeout=1800,
    )  # fmt: skip
    assert outcome.returncode == 0, outcome.stderr[-2000:]
    found = json.loads(outcome.stdout)
    assert found["wrong"] == 0 and len(found["deaths"]) >= kills
    places = {tuple(death) for death in found["deaths"]}
    assert len(places) > min(kills / 5, 10), "the kills must fall at many of the 12 steps"
