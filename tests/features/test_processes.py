"""Real processes that encode: two that are killed and one that goes on, and two at once."""

import collections
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import training, zoo
from tatl_keras.features import upkeep
from tatl_keras.features.keys import row_key
from tatl_keras.features.locks import if_idle
from tatl_keras.features.sharing import share_of, worker_of
from tatl_keras.features.space import Space
from tatl_keras.models import features
from tatl_keras.training import feature_cache
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


@pytest.fixture(scope="module")
def shares():
    """How many of the pictures are of the first of two workers, and of the second."""
    found = collections.Counter(share_of(row_key(picture), 2) for picture in crew.pictures())
    assert min(found[0], found[1]) > crew.ROWS / 3, "shares must be about equal"
    return found[0], found[1]


def test_workers_encode_a_share_each(outcome, undisturbed, shares):
    outcome, folder = outcome[0]["share"], outcome[1] / "share"
    assert outcome["status"] == [0, 0]
    assert tuple(json.loads((folder / f"{i}.json").read_text()) for i in (0, 1)) == shares
    for name in ("0", "1"):
        assert_equal(folder / f"{name}.npz", undisturbed)
    assert upkeep.verify(folder / "cache") == []
    (space,) = upkeep.list_spaces(folder / "cache")
    assert (space.rows, space.unfinished) == (crew.ROWS, 0)


def test_the_share_of_a_lost_worker_is_taken_over(outcome, undisturbed, shares):
    outcome, folder = outcome[0]["lose_a_worker"], outcome[1] / "lose_a_worker"
    assert outcome["status"] == 0
    kept = (folder / "0.files").stat().st_size * crew.SHARD_ROWS
    assert kept == crew.SHARD_ROWS and outcome["before"] == 1 + -(-shares[1] // crew.SHARD_ROWS)
    assert json.loads((folder / "1.json").read_text()) == crew.ROWS - kept
    assert_equal(folder / "1.npz", undisturbed)
    log = (folder / "1.log").read_text()
    assert "Worker 0 of 2 is not at work on its images; worker 1 takes its share." in log
    assert upkeep.verify(folder / "cache") == []


@pytest.mark.parametrize("cache", ["folder", "memory"])
def test_a_worker_without_others_encodes_everything(tmp_path, undisturbed, cache):
    arrays, computed = crew.encode(tmp_path / "cache" if cache == "folder" else cache, (1, 2))
    assert computed == crew.ROWS
    for name, expected in undisturbed.items():
        np.testing.assert_array_equal(arrays[name], expected, err_msg=name)


@pytest.mark.parametrize(
    ("cluster", "task", "worker"),
    [
        ({"worker": ["a:1", "b:1", "c:1"]}, ("worker", 2), (2, 3)),
        ({"chief": ["a:1"], "worker": ["b:1", "c:1"]}, ("worker", 1), (2, 3)),
        ({"worker": ["a:1"]}, ("worker", 0), (0, 1)),
        ({}, (None, None), (0, 1)),
    ],
)
def test_which_worker_a_process_is(cluster, task, worker):
    class Strategy(tf.distribute.MultiWorkerMirroredStrategy):
        """One that has not connected to anybody."""

        def __init__(self):
            """Nothing to connect to."""

        @property
        def cluster_resolver(self):
            spec = tf.train.ClusterSpec(cluster)
            kind, index = task
            return tf.distribute.cluster_resolver.SimpleClusterResolver(
                spec, task_type=kind, task_id=index
            )

    assert worker_of(Strategy()) == worker
    assert worker_of(tf.distribute.get_strategy()) == (0, 1)


def test_a_model_fills_its_workers_share(tmp_path, monkeypatch):
    for module in (features, feature_cache):
        monkeypatch.setattr(module, "worker_of", lambda strategy: (1, 2))
    model = zoo.build("test_bert_text_only", 2, seed=0, class_names=["a", "b"])
    model.preprocessor.adapt(tf.data.Dataset.from_tensor_slices(["a dog"]), 30)
    model.predict({"text": ["a", "dog"]}, feature_cache=tmp_path / "fit", verbose=0)
    examples = tf.data.Dataset.from_tensor_slices({"text": ["a", "dog"]})
    training.encode(examples, model, tmp_path / "encode", verbose=0)
    for name in ("fit", "encode"):
        (folder,) = (tmp_path / name).iterdir()
        assert (folder / ".lock-1-of-2").exists()


def test_a_share_of_nothing_leaves_a_folder_that_is_the_caches_own(tmp_path):
    (tmp_path / "cache").mkdir()
    space = Space({"a": "space"}, ("pooled",), tmp_path / "cache")
    with if_idle(space.folder, "0-of-2") as idle, if_idle(space.folder, "0-of-2") as again:
        assert idle and not again
        with if_idle(space.folder, "1-of-2") as other:
            assert other
    assert upkeep.verify(tmp_path / "cache") == []
    assert [found.rows for found in upkeep.list_spaces(tmp_path / "cache")] == [0]
    upkeep.prune(tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())
