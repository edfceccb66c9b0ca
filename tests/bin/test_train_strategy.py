"""`tatl-train --strategy`: the same run on several replicas."""

from tests.bin.conftest import read_json, run_program, succeed


def test_two_replicas_write_the_same_run(tmp_path):
    words = ["--model=test_efficientnet_bert_gated", "--smoke"]
    accuracies = []
    for strategy in ("one_device", "mirrored"):
        workdir = tmp_path / strategy
        succeed("train", *words, f"--workdir={workdir}", f"--strategy={strategy}")
        metrics = read_json(workdir, "metrics.json")
        accuracies.append((metrics["accuracy"], round(metrics["loss"], 4)))
        assert read_json(workdir, "config.json")["flags"]["strategy"] == strategy
    assert accuracies[0] == accuracies[1]


def test_solving_takes_one_device():
    outcome = run_program("train", "--smoke", "--head_solver=exact", "--strategy=mirrored")
    assert outcome.status == 2
    assert "Received: --head_solver=exact with --strategy=mirrored" in outcome.err


def test_workers_that_nobody_names(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    outcome = run_program("train", "--smoke", "--strategy=multi_worker")
    assert outcome.status == 1 and "no workers are named" in outcome.err
