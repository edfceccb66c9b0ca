"""Real processes that encode: two that are killed and one that goes on, and two at once."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from tatl_keras.features import upkeep
from tests.features import crew
from tests.project import fresh


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """What `crew.py` reports, and the folder with everything its processes wrote."""
    folder = tmp_path_factory.mktemp("crew")
    script = Path(crew.__file__)
    printed = fresh.finish([sys.executable, str(script), str(folder)], cwd=script.parent)
    return json.loads(printed), folder


@pytest.fixture(scope="module")
def undisturbed():
    """The features as one process computes them that nothing happens to."""
    arrays, computed = crew.encode("memory")
    assert computed == crew.ROWS
    return arrays


def assert_equal(path, expected):
    with np.load(path) as arrays:
        assert set(arrays) == set(expected)
        for name in arrays:
            np.testing.assert_array_equal(arrays[name], expected[name], err_msg=name)


def test_killed_twice_it_goes_on_behind_the_last_whole_file(outcome, undisturbed):
    outcome, folder = outcome[0]["kill_and_resume"], outcome[1] / "kill_and_resume"
    first, second = outcome["finished"]
    files = crew.ROWS // crew.SHARD_ROWS
    assert 1 <= first < second < files and outcome["status"] == 0
    computed = json.loads((folder / "last.json").read_text())
    assert computed == crew.ROWS - second * crew.SHARD_ROWS
    assert_equal(folder / "last.npz", undisturbed)
    assert not (folder / "first.npz").exists() and not (folder / "second.npz").exists()
    upkeep.prune(folder / "cache")
    assert upkeep.verify(folder / "cache") == []
    (space,) = upkeep.list_spaces(folder / "cache")
    assert (space.files, space.rows, space.unfinished) == (files, crew.ROWS, 0)


def test_two_processes_share_the_work(outcome, undisturbed):
    outcome, folder = outcome[0]["fill_together"], outcome[1] / "fill_together"
    assert outcome["status"] == [0, 0]
    shares = [json.loads((folder / f"{name}.json").read_text()) for name in ("one", "other")]
    assert sum(shares) == crew.ROWS, "no row may be computed twice"
    for name in ("one", "other"):
        assert_equal(folder / f"{name}.npz", undisturbed)
    logs = [(folder / f"{name}.log").read_text() for name in ("one", "other")]
    assert any(f"fills {folder / 'cache'}" in log and "taking turns" in log for log in logs)
    assert upkeep.verify(folder / "cache") == []
    (space,) = upkeep.list_spaces(folder / "cache")
    assert space.rows == crew.ROWS and space.unfinished == 0
