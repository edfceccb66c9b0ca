"""The pages under zoo/ are those that the registry, the recipes and the results give."""

import csv
import statistics

import pytest

from tatl_keras import zoo
from tatl_keras.zoo import cards


@pytest.mark.parametrize("path", sorted(cards.pages()), ids=lambda p: f"{p.parent.name}/{p.name}")
def test_page_is_up_to_date(path):
    assert path.exists(), f"{path} is missing: run `make docs`"
    assert path.read_text(encoding="utf-8") == cards.pages()[path], f"{path}: run `make docs`"


def test_there_is_no_page_of_a_model_that_is_gone():
    folders = {path.name for path in cards.FOLDER.iterdir() if path.is_dir()}
    assert folders == set(cards.card_names())
    files = {path.name for path in cards.FOLDER.glob("*/*")}
    assert files <= {"README.md", "train.flags", "results.csv"}


def test_results_carry_their_conditions_and_their_controls():
    measured = {path.parent.name: path for path in cards.FOLDER.glob("*/results.csv")}
    assert {"efficientnet_lite0_image_only", "minilm_text_only"} <= set(measured)
    seeds = {}
    for name, path in measured.items():
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        seeds[name] = [row["seed"] for row in rows]
        for row in rows:
            assert 0 <= float(row["accuracy"]) <= 1 and float(row["fit_seconds"]) > 0
            assert all(row[key] for key in ("command", "commit", "date", "device", "tensorflow"))
        mean = statistics.mean(float(row["accuracy"]) for row in rows)
        assert f"Accuracy {mean:.1%}" in (path.parent / "README.md").read_text(encoding="utf-8")
    assert len(set(map(tuple, seeds.values()))) == 1, f"different seeds: {seeds}"


def test_the_table_lists_every_model_once():
    table = cards.table({})
    assert all(table.count(f"[`{name}`]") == 1 for name in cards.card_names())
    assert not any(name in table for name in zoo.list_models("test_*"))


def test_a_card_shows_mean_and_spread():
    row = dict.fromkeys(
        ("data", "num_examples", "command", "commit", "date", "device", "tensorflow", "keras"), "x"
    )
    row |= {"majority_accuracy": "0.25", "fit_seconds": "3.2"}
    rows = [row | {"seed": str(s), "accuracy": a} for s, a in enumerate(("0.5", "0.6", "0.7"))]
    text = cards.card("vit_b16_bert_cross", rows)
    assert "Accuracy 60.0% ± 10.0% (standard deviation) over 3 seeds" in text
    assert "| 2 | 70.0% | 3 |" in text and "`vit_base_patch16_224_imagenet`" in text
    assert "Not measured yet." in cards.card("vit_b16_bert_cross")
