"""`tatl-rethink`: what it writes and says, how it goes on, what it refuses."""

import csv

import pytest

from tests.bin.conftest import read_json, run_program, succeed

MODEL = "--model=test_efficientnet_bert_concat"


def test_smoke_compares_all_arms(tmp_path):
    workdir = tmp_path / "run"
    outcome = succeed("rethink", "--smoke", f"--workdir={workdir}")
    assert "the numbers mean nothing" in outcome.out and "4/4" in outcome.out
    summary = read_json(workdir, "summary.json")
    assert all(line in outcome.out for line in summary["words"])
    assert set(summary["final_accuracy"]["8"]) == {"random", "finetuned", "frozen", "frozen_text"}
    with open(workdir / "curves.csv", newline="", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 4 * 2  # arms, evaluations
    assert (workdir / "curves.png").stat().st_size > 10_000


def test_flags_reach_the_comparison_and_it_goes_on(manifest, tmp_path):
    workdir = tmp_path / "run"
    words = [MODEL, f"--data={manifest}", f"--workdir={workdir}", "--sizes=9,all", "--steps=2"]
    words += ["--image_size=16", "--learning_rates=frozen=0.5", "--batch_size=4", "--num_seeds=1"]
    first = succeed("rethink", *words, "--arms=frozen")
    assert "1/2  9 examples, seed 0, frozen:" in first.out and "0.0 min left" in first.out
    config = read_json(workdir, "config.json")
    assert config["learning_rates"]["frozen"] == 0.5 and config["batch_size"] == 4
    assert config["image_options"] == {"image_size": [16, 16]}
    assert set(read_json(workdir, "summary.json")["sizes"]) == {"9", "48"}
    again = succeed("rethink", *words, "--arms=frozen")
    assert "examples, seed" not in again.out and "Written to" in again.out
    refused = run_program("rethink", *words, "--arms=frozen", "--batch_norm_momentum=0.5")
    assert refused.status == 1 and "batch_norm_momentum: there 0.9, now 0.5" in refused.err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "--model and --data and --workdir"),
        (["--learning_rates=random"], "Received: 'random'"),
        (["--sizes=many"], "Received: 'many'"),
        (["--sizes=1"], "sizes=[1]"),
        (["--arms=scratch"], "arms=('scratch',)"),
        (["--image_preset=none"], "Received: {'image': 'none'"),
        (["everything"], "'everything'"),
    ],
)
def test_errors_name_what_was_received(flags, said, manifest, tmp_path):
    rest = [MODEL, f"--data={manifest}", f"--workdir={tmp_path / 'run'}"] if flags else []
    outcome = run_program("rethink", *rest, *flags)
    assert outcome.status in (1, 2) and said in outcome.err
