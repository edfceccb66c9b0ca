"""`rethink`: equal samples for all arms, going on after a stop, words that follow the numbers."""

import collections
import contextlib
import csv
import dataclasses
import json
import sys

import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import models, training
from tatl_keras.data import synthetic
from tatl_keras.features.locks import if_free
from tatl_keras.training import rethink_runs, rethink_samples, rethink_words
from tatl_keras.training.rethink import _seconds_left

MODEL = "test_efficientnet_bert_concat"
ARMS = rethink_runs.ARMS
REAL = {"arms": ("random", "frozen"), "sizes": [6], "seeds": 1, "steps": 2}


@pytest.fixture(scope="module")
def splits():
    return synthetic.examples(3, 30, seed=0), synthetic.examples(3, 12, seed=1)


@pytest.fixture
def pretended(monkeypatch):
    """Replaces training by a formula; returns the list of (arm, seed, order) asked for."""
    asked = []

    def run(self, arm, seed, order, steps):
        asked.append((arm, seed, order.copy()))
        base = 0.1 if arm == "random" else 0.6
        return [
            {"step": step, "accuracy": base + 0.01 * seed + 1e-9 * order[0, 0], "loss": 1 / 3}
            for step in steps
        ]

    monkeypatch.setattr(rethink_runs.Runner, "run", run)
    return asked


def compare(splits, workdir, **options):
    options = {"sizes": [6, 12], "steps": 4, "seeds": 2, "batch_size": 5} | options
    return training.rethink(MODEL, *splits, workdir, **options)


def read(workdir):
    with open(workdir / "curves.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_one_process_at_a_time_works_in_a_folder(splits, tmp_path, pretended, monkeypatch):
    free, folder = [], tmp_path / "other"

    def look(run=None):
        with if_free(tmp_path) as nobody:
            free.append(nobody)

    compare(splits, tmp_path, on_run=look)
    look()
    assert free == [False] * 16 + [True]

    @contextlib.contextmanager
    def wait_for_another(workdir):  # a process that began another comparison in the meantime
        folder.mkdir()
        (folder / "config.json").write_text('{"program": "tatl-rethink", "model": "another"}')
        yield

    monkeypatch.setattr(sys.modules[training.rethink.__module__], "taking_turns", wait_for_another)
    with pytest.raises(ValueError, match="`workdir` must be .* differs in .*there 'another'"):
        compare(splits, folder)


def test_rows_are_chosen_in_proportion_and_small_sets_are_in_large_ones():
    labels = np.array([0] * 60 + [1] * 30 + [2] * 9 + [3])
    before = set()
    for size in (4, 10, 20, 50, 100):
        rows = rethink_samples.choose_rows(labels, size, seed=3)
        assert len(set(rows)) == size and before <= set(rows)
        before = set(rows)
        counts = np.bincount(labels[rows], minlength=4)
        assert counts.min() >= 1
        expected = np.array([60, 30, 9, 1]) * size / 100
        assert np.abs(counts - expected).max() <= 2.0
    first, other = (rethink_samples.choose_rows(labels, 20, seed) for seed in (0, 1))
    assert set(first) != set(other)


def test_the_order_is_one_permutation_after_the_other():
    rows = np.array([3, 5, 8, 13, 21, 34, 55])
    order = rethink_samples.draw_order(rows, steps=13, batch_size=5, seed=0)
    assert order.shape == (13, 5)
    stream = order.ravel()
    epochs = [stream[i : i + 7] for i in range(0, 63, 7)]
    assert all(sorted(epoch) == rows.tolist() for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1
    assert set(stream[63:]) < set(rows)


def test_evaluations_are_at_equal_distances_on_a_logarithmic_scale():
    steps = rethink_samples.evaluation_steps(6400)
    assert len(steps) == 12 and (steps[0], steps[-1]) == (100, 6400)
    assert np.ptp(np.diff(np.log(steps))) < 0.02
    assert rethink_samples.evaluation_steps(1) == [1]
    assert rethink_samples.evaluation_steps(4) == [1, 2, 3, 4]


def test_all_arms_are_asked_to_see_the_same(pretended, splits, tmp_path):
    compare(splits, tmp_path / "run")
    orders = collections.defaultdict(list)
    for arm, seed, order in pretended:
        orders[len(set(order.ravel())), seed].append((arm, order))
    assert set(orders) == {(6, 0), (6, 1), (12, 0), (12, 1)}  # sizes, all of whose rows are seen
    for runs in orders.values():
        assert [arm for arm, _ in runs] == list(ARMS)
        assert all(np.array_equal(order, runs[0][1]) for _, order in runs)
    assert not np.array_equal(orders[6, 0][0][1], orders[6, 1][0][1])


@pytest.fixture(scope="module")
def whole(splits, tmp_path_factory):
    """The workdir of a real comparison, and what reached `fit`: batches, by arm."""
    fit, seen = models.TextAssistedClassifier.fit, collections.defaultdict(list)

    def spy(self, batches, **kwargs):
        raw = "image" in batches.element_spec[0]
        seen["random" if raw else "frozen"] += list(batches.as_numpy_iterator())
        return fit(self, batches, **kwargs)

    workdir = tmp_path_factory.mktemp("runs") / "whole"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models.TextAssistedClassifier, "fit", spy)
        compare(splits, workdir, **REAL)
    return workdir, seen


def test_all_arms_do_see_the_same(whole, splits):
    workdir, seen = whole
    labels = {arm: np.concatenate([y for _, y in batches]) for arm, batches in seen.items()}
    assert len(labels["random"]) == 2 * 5
    assert np.array_equal(labels["random"], labels["frozen"])
    pictures = np.concatenate([x["image"] for x, _ in seen["random"]])
    known = {x["image"].numpy(): int(y) for x, y in splits[0]}
    assert [known[picture] for picture in pictures] == labels["random"].tolist()
    features = np.concatenate([x["image_pooled"] for x, _ in seen["frozen"]])
    first = {picture: features[pictures == picture][0] for picture in pictures}
    assert len(first) == len(np.unique(features, axis=0)) == 6
    assert all(np.array_equal(first[p], f) for p, f in zip(pictures, features, strict=True))
    assert [int(row["samples"]) for row in read(workdir)] == [5, 10] * 2


def test_a_second_call_trains_what_is_missing_and_changes_nothing_else(whole, splits, tmp_path):
    trained, parts = [], tmp_path / "parts"
    for arms in (["frozen"], REAL["arms"], REAL["arms"]):
        compare(splits, parts, on_run=trained.append, **(REAL | {"arms": arms}))
    assert [run["arm"] for run in trained] == ["frozen", "random"]
    curves = [(folder / "curves.csv").read_bytes() for folder in (whole[0], parts)]
    assert curves[0] == curves[1]
    found = [json.loads((folder / "summary.json").read_text()) for folder in (whole[0], parts)]
    assert found[0] == found[1] and set(found[0]["sizes"]["6"]) == {"frozen"}


def test_a_stop_keeps_what_was_finished(pretended, splits, tmp_path):
    def stop(run):
        if run["left"] == 13:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(splits, tmp_path / "run", on_run=stop)
    assert len(pretended) == 3 and len(read(tmp_path / "run")) == 3 * 4
    assert not (tmp_path / "run" / "summary.json").exists()
    shown = []
    compare(splits, tmp_path / "run", on_run=shown.append)
    assert len(pretended) == 16 and len(shown) == 13
    assert (shown[0]["done"], shown[0]["left"], shown[-1]["left"]) == (4, 12, 0)
    compare(splits, tmp_path / "whole")
    names = ("run", "whole")
    assert len({(tmp_path / name / "curves.csv").read_bytes() for name in names}) == 1


def test_time_left_knows_that_arms_differ():
    seconds = {"random": [30.0, 50.0], "frozen": [4.0]}
    left = _seconds_left(seconds, ["random", "frozen", "frozen", "finetuned"])
    assert left == pytest.approx(40 + 4 + 4 + 28)  # 28: the mean of all three


def test_a_training_with_lines_missing_is_done_again(pretended, splits, tmp_path):
    compare(splits, tmp_path / "run")
    path = tmp_path / "run" / "curves.csv"
    whole = path.read_bytes()
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[:-1]))
    compare(splits, tmp_path / "run")
    assert len(pretended) == 17 and path.read_bytes() == whole


def test_another_comparison_is_refused_and_named(pretended, splits, tmp_path):
    compare(splits, tmp_path / "run")
    with pytest.raises(ValueError, match="batch_size: there 5, now 6"):
        compare(splits, tmp_path / "run", batch_size=6)
    with pytest.raises(ValueError, match=r"evaluation_steps: there \[1, 2, 3, 4\], now \[1, 2"):
        compare(splits, tmp_path / "run", steps=5)
    with pytest.raises(ValueError, match="differs in train: there "):
        compare((synthetic.examples(3, 30, seed=7), splits[1]), tmp_path / "run")
    compare(splits, tmp_path / "run", image_size=None, learning_rates={"random": None})
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("")
    with pytest.raises(ValueError, match="other files .letter.txt"):
        compare(splits, tmp_path / "other")
    with pytest.raises(ValueError, match="letter.txt', a file"):
        compare(splits, tmp_path / "other" / "letter.txt")
    assert len(pretended) == 16


def test_files_hold_what_was_found(pretended, splits, tmp_path):
    summary = compare(splits, tmp_path / "run")
    assert json.loads((tmp_path / "run" / "summary.json").read_text()) == summary
    found = summary["sizes"]["12"]["finetuned"]
    assert found["step"] is None and found["gap"] == pytest.approx(0.5)
    final = summary["final_accuracy"]["6"]
    assert final["random"] == pytest.approx([0.10, 0.11], abs=1e-6)
    assert final["frozen_text"] == pytest.approx([0.60, 0.61], abs=1e-6)
    picture = tf.io.decode_png(tf.io.read_file(str(tmp_path / "run" / "curves.png"))).numpy()
    assert picture.shape[1] > 1000 and picture.std() > 5


def test_words_follow_the_numbers():
    late = training.catch_up([10, 100], random=[[0, 0.5]] * 2, pretrained=[[0.5, 0.5]] * 2)
    late = dataclasses.replace(late, step=72.4, low=50.2, high=None)
    never = training.catch_up([10, 100], random=[[0, 0.3]], pretrained=[[0.5, 0.8]], margin=0.02)
    final = {"random": 0.5, "finetuned": 0.501, "frozen": 0.8}
    said = rethink_words.sentences(1200, 32, {"finetuned": late, "frozen": never}, final)
    assert said[0] == (
        "1,200 training pictures: random initialisation stays within 1 point of 'pretrained, "
        "fine-tuned' from step 72 on (1.9 epochs; 95 % interval 50 to beyond 100; 2 seeds)."
    )
    assert said[1] == (
        "1,200 training pictures: random initialisation does not come within 2 points of "
        "'pretrained, frozen' in 100 steps; it ends 50.0 points behind (one seed: no interval)."
    )
    assert said[2].endswith(
        "after 100 steps: random initialisation 50.0%, pretrained, fine-tuned 50.1%, pretrained, "
        "frozen 80.0%."
    )
    unsure = dataclasses.replace(late, step=None, gap=0.034, gap_low=-0.012, gap_high=0.08)
    (said, _) = rethink_words.sentences(1200, 32, {"finetuned": unsure}, final)
    assert "3.4 points behind (95 % interval -1.2 to 8.0; 2 seeds)" in said
    assert "begins at 50, so more seeds may say otherwise" in said


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"arms": ("random", "scratch")}, r"arms=\('random', 'scratch'\)"),
        ({"arms": ()}, r"arms=\(\)"),
        ({"sizes": [2]}, r"from 3 .classes. to 30 .training examples.. Received: sizes=\[2\]"),
        ({"sizes": [31]}, r"sizes=\[31\]"),
        ({"sizes": [6, 6]}, r"sizes=\[6, 6\]"),
        ({"steps": 0}, "steps=0"),
        ({"seeds": 1.5}, "seeds=1.5"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"margin": -1}, "margin=-1"),
        ({"confidence": 95}, "confidence=95"),
        ({"batch_norm_momentum": 1.0}, "batch_norm_momentum=1.0"),
        ({"learning_rates": {"random": 0.0}}, "learning_rates={'random': 0.0}"),
        ({"learning_rates": {"scratch": 0.1}}, "learning_rates={'scratch': 0.1}"),
    ],
)
def test_errors_name_what_was_received(changed, said, splits, tmp_path):
    with pytest.raises(ValueError, match=said):
        compare(splits, tmp_path / "run", **changed)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("test_bert_text_only", "'test_bert_text_only', whose image encoder is None"),
        ("test_efficientnet_image_only", "text encoder is None. .* arms random,finetuned,frozen"),
        ("test_efficientnet_lstm_concat", "text encoder is 'lstm'"),
        ("nothing", "name='nothing'"),
    ],
)
def test_models_without_what_an_arm_needs_are_refused(model, said, splits, tmp_path):
    with pytest.raises(ValueError, match=said):
        training.rethink(model, *splits, tmp_path / "run")


def test_other_classes_in_the_test_split_are_refused(splits, tmp_path):
    with pytest.raises(ValueError, match="Received: test with"):
        compare((splits[0], synthetic.examples(2, 6)), tmp_path / "run")


def test_an_empty_figure_is_refused():
    with pytest.raises(ValueError, match=r"curves=\{10: \{\}\}"):
        training.draw_rethinking({10: {}}, "curves.png")
