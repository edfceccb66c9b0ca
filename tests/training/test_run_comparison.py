"""Runs side by side: numbers against brute force, and what must not be compared."""

import collections
import json

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tatl_keras import training
from tatl_keras._shares import share_interval
from tatl_keras.training import run_comparison_page
from tatl_keras.training import run_comparison_words as words
from tests.pages import check_alone, parse
from tests.training.runs import VERSIONS, draw, write_run

NAMES = ["ant", "bee <i>", "cow"]
COUNT = 80


@pytest.fixture(scope="module")
def answers():
    labels, first = draw(3, COUNT, skill=1.0)
    second = (
        first + 1.5 * np.eye(3, dtype=np.float32)[labels] * (np.arange(COUNT) % 3 == 0)[:, None]
    )
    return labels, first, second


@pytest.fixture(scope="module")
def folders(answers, tmp_path_factory):
    """Two runs on the same test examples, and one on others."""
    root = tmp_path_factory.mktemp("runs")
    labels, first, second = answers
    write_run(root / "a" / "pets", NAMES, labels, first)
    changes = {"flags": {"epochs": 9, "debug": True, "where": ["x=1"]}, "seed": 7, "model": "other"}
    newer = VERSIONS | {"keras": "3.99"}
    write_run(root / "b" / "pets", NAMES, labels, second, versions=newer, **changes)
    other = {"ids": [f"new {i}" for i in range(COUNT)], "fingerprint": "c" * 64}
    write_run(root / "elsewhere", NAMES, *draw(3, COUNT, seed=5), **other)
    return [root / "a" / "pets", root / "b" / "pets", root / "elsewhere"]


@pytest.fixture(scope="module")
def compared(folders):
    return training.compare_runs(folders)


def test_each_run_is_summed_up(compared, answers):
    labels, *both = answers
    first, second, _ = compared.results["runs"]
    assert [run["name"] for run in (first, second)] == ["a/pets", "b/pets"]
    for run, logits in zip((first, second), both, strict=True):
        right = int((logits.argmax(axis=1) == labels).sum())
        interval = scipy.stats.binomtest(right, COUNT).proportion_ci(method="wilson")
        assert (run["correct"], run["accuracy"]) == (right, right / COUNT)
        assert (run["low"], run["high"]) == pytest.approx((interval.low, interval.high))
        powers = np.exp(np.float64(logits))
        chances = powers / powers.sum(axis=1, keepdims=True)
        assert run["loss"] == pytest.approx(-np.log(chances[np.arange(COUNT), labels]).mean())
        bins = collections.defaultdict(list)
        for row, label in zip(chances, labels, strict=True):
            bins[int(np.ceil(row.max() * 15))].append((row.argmax() == label) - row.max())
        assert run["ece"] == pytest.approx(sum(abs(sum(b)) for b in bins.values()) / COUNT)
    rows = words.rows_of(compared.results)
    assert rows[1][:2] == ["b/pets", f"{second['accuracy']:.1%}"]
    assert rows[1][-5:] == ["1,000", "1 min 15 s", "7", "other", "pets.csv"]
    assert len(rows[0]) == len(words.HEADER)
    json.dumps(compared.results, allow_nan=False)


def test_the_same_examples_are_compared_pair_by_pair(compared, answers):
    labels, first, second = answers
    right = [logits.argmax(axis=1) == labels for logits in (first, second)]
    b, c = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    (pair,) = compared.results["pairs"]
    assert (pair["only_first"], pair["only_second"]) == (b, c) and c > 3
    assert pair["only_second_ids"] == [f"row {i}" for i in np.flatnonzero(right[1] & ~right[0])]
    assert pair["difference"] == pytest.approx(right[1].mean() - right[0].mean())
    assert pair["p_value"] == pytest.approx(scipy.stats.binomtest(b, b + c).pvalue)

    def losses(logits):
        return scipy.special.logsumexp(np.float64(logits), axis=1) - logits[range(COUNT), labels]

    test = scipy.stats.ttest_rel(losses(second), losses(first))
    ends = test.confidence_interval()
    assert pair["loss"]["p_value"] == pytest.approx(test.pvalue)
    assert (pair["loss"]["low"], pair["loss"]["high"]) == pytest.approx((ends.low, ends.high))
    (said,) = words.sentences(compared.results)
    assert said.startswith("b/pets is better than a/pets on the same 80 examples: +")
    assert f"b/pets alone is right for {c}" in said


def test_what_differs_is_named_and_what_does_not_matter_is_not(compared):
    flags = compared.results["flags"]
    assert flags == {"epochs": [3, 9, 3], "where": [None, ["x=1"], None]}
    assert compared.results["versions"] == {"keras": ["3.15.1", "3.99", "3.15.1"]}
    assert compared.results["data"]["test: fingerprint"] == ["b" * 12, "b" * 12, "c" * 12]
    header, rows = words.different_rows(compared.results, "flags")
    assert header == ["flags", "a/pets", "b/pets", "elsewhere"]
    assert rows == [["epochs", "3", "9", "3"], ["where", "-", "x=1", "-"]]


def test_other_examples_are_not_compared(compared):
    (warning,) = compared.results["warnings"]
    assert warning.startswith("elsewhere was asked about other test examples than a/pets")


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        ({"smoke": True}, "run is a trial run (--smoke): its numbers mean nothing."),
        ({"names": ["ant", "bee <i>", "eel"]}, "run has other classes than pets"),
        ({"fingerprint": "d" * 64}, "of the same names as pets, whose contents are not the same."),
        ({"ids": [f"x{i}" for i in range(COUNT)]}, "run was asked about other test examples than"),
        ({"removed": True}, "pets or run has kept no predictions: their intervals are not paired"),
    ],
)
def test_warnings(changes, warning, folders, answers, tmp_path):
    changes = dict(changes)
    names, removed = changes.pop("names", NAMES), changes.pop("removed", False)
    write_run(tmp_path / "run", names, *answers[:2], **changes)
    if removed:
        (tmp_path / "run" / "predictions.npz").unlink()
    found = training.compare_runs([folders[0], tmp_path / "run"]).results
    assert any(warning in said for said in found["warnings"]), found["warnings"]
    assert len(found["warnings"]) <= 2
    assert bool(found["pairs"]) == ("fingerprint" in changes or "smoke" in changes)
    assert removed == (words.rows_of(found)[1][4] == "-")


def test_an_order_of_classes_of_its_own_is_no_other_question(folders, answers, tmp_path):
    labels, first, _ = answers
    turned = [2, 0, 1]
    names = [NAMES[i] for i in turned]
    write_run(tmp_path / "run", names, np.argsort(turned)[labels], first[:, turned],
              fingerprint="e" * 64)  # fmt: skip
    found = training.compare_runs([folders[0], tmp_path / "run"]).results
    (pair,) = found["pairs"]
    assert pair["difference"] == 0 and pair["loss"]["mean"] == pytest.approx(0, abs=1e-12)
    assert found["warnings"] == []


def test_the_page_holds_all_of_it(compared, tmp_path):
    compared.save(tmp_path / "compare.html")
    page = (tmp_path / "compare.html").read_text(encoding="utf-8")
    check_alone(page)
    tree = parse(page)
    assert tree.text_of("h1") == ["3 runs side by side"]
    for row in words.rows_of(compared.results):
        assert tree.table(*words.HEADER)[row[0]] == row[1:]
    for said in (*words.sentences(compared.results), *compared.results["warnings"]):
        assert said in tree.text_of("li")
    classes = tree.table("class", "a/pets")
    spreads = []
    for name, column in classes.items():
        shares = [run["metrics"] for run in map(_read, compared.results["runs"])]
        expected = [metrics["per_class"][name]["accuracy"] for metrics in shares]
        assert column == [f"{share:.1%}" for share in expected]
        spreads.append(max(expected) - min(expected))
    assert len(spreads) == 3 and spreads == sorted(spreads, reverse=True)
    pictures = tree.attributes("img")
    assert len(pictures) == 3 and all(picture["alt"] for picture in pictures)
    sizes = [tf.io.decode_png(tf.io.decode_base64(_web(p["src"]))).shape for p in pictures]
    assert all(size[1] > 300 for size in sizes)


def _read(run):
    return {"metrics": training.read_json(f"{run['folder']}/metrics.json")}


def _web(source):
    encoded = source.partition(",")[2].rstrip("=")
    return encoded.replace("+", "-").replace("/", "_")


@pytest.mark.parametrize(("right", "count"), [(8, 8), (60, 60), (0, 10)])
def test_shares_at_the_ends_have_a_bar(right, count):
    low, high = share_interval(right, count)
    run = {"name": "a", "accuracy": right / count, "low": low, "high": high}
    assert run_comparison_page._accuracies([run])


def test_one_run_is_enough(folders, tmp_path):
    found = training.compare_runs([str(folders[0])])
    assert found.results["runs"][0]["name"] == "pets" and not found.results["pairs"]
    assert not found.results["flags"] and not found.results["warnings"]
    found.save(tmp_path / "one.html")
    assert "1 run side by side" in (tmp_path / "one.html").read_text(encoding="utf-8")


def test_what_is_no_finished_run_is_refused(folders, tmp_path):
    with pytest.raises(ValueError, match=r"one or more different folders. Received: workdirs=\[\]"):
        training.compare_runs([])
    twice = [folders[0], folders[0] / ".." / "pets"]
    with pytest.raises(ValueError, match="different folders. Received: workdirs="):
        training.compare_runs(twice)
    with pytest.raises(FileNotFoundError, match="folders of tatl-train. Received: '.*nothing'"):
        training.compare_runs([tmp_path / "nothing"])
    (tmp_path / "run").mkdir()
    training.write_json(tmp_path / "run" / "config.json", {"program": "tatl-train"})
    with pytest.raises(FileNotFoundError, match="run', which has no metrics.json: the training"):
        training.compare_runs([folders[0], tmp_path / "run"])
