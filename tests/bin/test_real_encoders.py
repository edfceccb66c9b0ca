"""The way a user goes, with the two real frozen encoders and real drawings of emoji."""

import csv
import json

import numpy as np
import pytest

from tests.bin.conftest import read_json, succeed

HELD_OUT = 80
MODEL = "--model=efficientnet_lite0_minilm_concat"


@pytest.fixture(scope="module")
def emoji(shared, tmp_path_factory):
    """Eight emoji a class to learn from, 80 others to be asked about; text for all."""
    folder = shared / "data" / "emoji"
    split = json.loads((folder / "splits.json").read_text())["splits"]["0"]["k8"]
    chosen = np.random.default_rng(0).permutation(sorted(split["test"]))[:HELD_OUT]
    where = {i: "train" for i in split["train"]} | {i: "test" for i in chosen}
    path = tmp_path_factory.mktemp("emoji") / "emoji.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "text", "label", "split", "id", "vendor"])
        for line in (folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if row["id"] in where:
                cells = (row["text"], row["label"], where[row["id"]])
                name = row["id"] if row["vendor"] == "google" else f"{row['vendor']} {row['id']}"
                writer.writerow([folder / row["image"], *cells, name, row["vendor"]])
    return path


def test_few_emoji_are_enough_to_be_right_more_often_than_not(emoji, tmp_path):
    workdir = tmp_path / "run"
    data = [f"--data={emoji}", "--where=vendor=google"]
    succeed("train", MODEL, *data, f"--workdir={workdir}")
    metrics, config = read_json(workdir, "metrics.json"), read_json(workdir, "config.json")
    assert config["data"]["train"]["num_examples"] == 64
    assert metrics["num_examples"] == HELD_OUT
    assert metrics["accuracy"] > metrics["majority"]["accuracy"] + 0.2
    assert metrics["accuracy"] > 0.5, "the usual is about 0.69"
    encoders = config["model"]["encoders"]
    assert encoders["image"] == {"preset": "efficientnet_lite0", "frozen": True}
    assert encoders["text"] == {"preset": "minilm", "frozen": True}
    assert config["model"]["trainable_parameters"] < 20_000 < config["model"]["parameters"]
