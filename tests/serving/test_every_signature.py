"""Every signature answers each row by itself: alone, in any order, in a session, in threads."""

import concurrent.futures
import gc
import pathlib
import re

import numpy as np
import pytest
import tensorflow as tf

from tatl_keras.models.lint import saved_model
from tests.data import nasty
from tests.serving.questions import ask, compare, example, questions, strings

TOUCHES = re.compile(r"File|TextLine|TFRecord|Restore|Save|Checkpoint|Shard|LMDB|Http|Rpc|PyFunc")


@pytest.fixture(scope="module")
def loaded(directory):
    return tf.saved_model.load(directory)


@pytest.fixture(scope="module")
def asked(loaded):
    """Dict from signature to a question of seven rows."""
    return questions(loaded.signatures)


@pytest.fixture(scope="module")
def answers(loaded, asked):
    found = {name: ask(loaded.signatures[name], feed) for name, feed in asked.items()}
    for name, answer in found.items():
        assert {len(value) for value in answer.values()} == {7}, name
        assert any(np.any(value[1:] != value[:1]) for value in answer.values()), name
    return found


def rows_of(arrays, rows):
    return {name: value[rows] for name, value in arrays.items()}


def test_a_row_alone_and_rows_in_another_order(loaded, asked, answers, rng):
    for name, feed in asked.items():
        for rows in ([0], [3], [6], rng.permutation(7), [5, 0, 0]):
            answer = ask(loaded.signatures[name], rows_of(feed, rows))
            expected = rows_of(answers[name], rows)
            largest = max(np.abs(x).max() for x in expected.values() if x.dtype.kind == "f")
            assert largest < 100
            compare(answer, expected, atol=1e-6 * max(1, largest))  # sums round as the largest do


def test_a_session_answers_alike_and_in_threads(directory, asked, answers):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        signatures = tf.compat.v1.saved_model.load(session, ["serve"], directory).signature_def

        def run(name):
            signature = signatures[name]
            feed = {signature.inputs[key].name: value for key, value in asked[name].items()}
            return session.run({k: v.name for k, v in signature.outputs.items()}, feed)

        with concurrent.futures.ThreadPoolExecutor(6) as threads:
            runs = [(name, threads.submit(run, name)) for _ in range(2) for name in asked]
            found = [(name, one.result(timeout=300)) for name, one in runs]
    first = dict(found)
    for name, answer in found:
        compare(answer, first[name], atol=0)
        compare(answer, answers[name], atol=1e-6)


def test_no_operation_touches_a_file_but_the_variables(directory):
    nodes = saved_model.read(directory).nodes()
    found = {(node.op, place) for place, node in nodes if TOUCHES.search(node.op)}
    expected = {"RestoreV2", "SaveV2", "MergeV2Checkpoints", "ShardedFilename"}
    assert {op for op, _ in found} == expected
    assert all(place.startswith("__inference__traced_") for _, place in found)  # no signature


@pytest.mark.large
@pytest.mark.skipif(not pathlib.Path("/proc/self/statm").exists(), reason="reads Linux's /proc")
@pytest.mark.parametrize("name", ["classify", "classify_examples", "embed", "explain"])
def test_no_request_leaves_anything_behind(loaded, name):
    """New words and new pictures, readable and not, in 300 requests after 600 others."""

    def feed(number):
        images = strings(nasty.mutated(3, number) + [nasty.encode(nasty.noise(seed=number), "PNG")])
        words = [f"word{number}x{row} 猫{number}".encode() for row in range(4)]
        if name == "classify_examples":
            return {"inputs": strings(list(map(example, images, words)))}
        return {"image_bytes": images, "text": strings(words)}

    def mebibytes():
        gc.collect()
        return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

    for number in range(600):
        ask(loaded.signatures[name], feed(number))
    before = mebibytes()
    for number in range(600, 900):
        ask(loaded.signatures[name], feed(number))
    assert mebibytes() - before < 3
