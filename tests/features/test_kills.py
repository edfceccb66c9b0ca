"""Processes that are killed while they fill a cache."""

import collections
import os
import signal
import sys

import numpy as np

from tatl_keras.features import upkeep
from tatl_keras.features.space import Space
from tests.features import stubs

KILLS = 100
SHARDS, ROWS = 24, 4
MOST_EVENTS = 1500  # calls of functions and returns in one life; about three files' worth
PARTS = ("pooled", "tokens")


def fill_and_die(directory, keys, log, last_event):
    """Fills a cache in a child that kills itself at the n-th call or return once it writes."""
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1]
    left = last_event

    def count(frame, event, argument):
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    status = 1
    try:
        space = Space(stubs.DESCRIPTION, PARTS, directory)
        alone, write = space.alone, space.write

        def counted():
            sys.setprofile(count)
            return alone()

        def logged(keys, rows):
            os.write(log, b"".join(keys))
            write(keys, rows)

        space.alone, space.write = counted, logged
        stubs.fill(space, keys, ROWS)
        status = 0
    finally:
        os._exit(status)


def found_in(directory, keys):
    space = Space(stubs.DESCRIPTION, PARTS, directory)
    assert stubs.assert_right(space, keys) == sum(space.find(key) is not None for key in keys)
    return {key for key in keys if space.find(key)}


def finish_though_killed(directory, keys, log, rng):
    """Restarts until everything is there; returns at which numbers of finished rows it died."""
    deaths, finished = [], set()
    while True:
        start = os.path.getsize(log)
        with open(log, "ab", buffering=0) as file:
            event = int(rng.integers(1, MOST_EVENTS))
            status = fill_and_die(directory, keys, file.fileno(), event)
        computed = log.read_bytes()[start:]
        computed = {computed[i : i + 32] for i in range(0, len(computed), 32)}
        assert not computed & finished, "a row of a finished file was computed again"
        if os.path.isdir(directory):
            spaces = os.listdir(directory)
            problems = upkeep.verify(directory) if spaces else []
            assert {p.message.split(":")[0] for p in problems} <= {"A file was left unfinished"}
        now = found_in(directory, keys)
        assert now >= finished and now - finished <= computed
        finished = now
        if not os.WIFSIGNALED(status):
            assert status == 0
            return deaths
        deaths.append(len(finished))


def test_a_hundred_kills_leave_whole_files_and_nothing_is_computed_twice(tmp_path, caplog):
    keys = stubs.keys_of(SHARDS * ROWS)
    untouched = tmp_path / "untouched"
    space = Space(stubs.DESCRIPTION, PARTS, untouched)
    assert stubs.fill(space, keys, ROWS) == len(keys)
    rng, deaths = np.random.default_rng(0), []
    while len(deaths) < KILLS:
        directory = tmp_path / f"killed{len(deaths)}"
        log = tmp_path / f"log{len(deaths)}"
        log.touch()
        deaths += finish_though_killed(str(directory), keys, log, rng)
        files = [set(os.listdir(os.path.join(d, space.id))) for d in (untouched, directory)]
        assert {name for name in files[1] if not name.startswith(".writing-")} == files[0]
        upkeep.prune(str(directory))
        assert set(os.listdir(directory / space.id)) == files[0]
        assert upkeep.verify(str(directory)) == []
    assert not caplog.records, "a killed process must leave nothing to warn of"
    assert len(collections.Counter(deaths)) > SHARDS / 2, "the kills must fall at many places"
