"""The pages under zoo/ are those that the registry, the recipes and the results give."""

import csv
import json
import re
import statistics

import pytest

from tatl_keras import training, zoo
from tatl_keras.zoo import card_proofs, cards


@pytest.mark.parametrize("path", sorted(cards.pages()), ids=lambda p: f"{p.parent.name}/{p.name}")
def test_page_is_up_to_date(path):
    assert path.exists(), f"{path} is missing: run `make docs`"
    assert path.read_text(encoding="utf-8") == cards.pages()[path], f"{path}: run `make docs`"


def test_there_is_no_page_of_a_model_that_is_gone():
    folders = {path.name for path in cards.FOLDER.iterdir() if path.is_dir()}
    assert folders == set(cards.card_names())
    files = {path.name for path in cards.FOLDER.glob("*/*")}
    assert files <= {"README.md", "train.flags", "results.csv", "proofs.json"}


def test_results_carry_their_conditions_and_their_controls():
    found = {path.parent.name: path for path in cards.FOLDER.glob("*/results.csv")}
    measured = {name: found[name] for name in cards.card_names(task="classify") if name in found}
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
        (
            "data",
            "num_train",
            "num_examples",
            "command",
            "commit",
            "date",
            "device",
            "tensorflow",
            "keras",
        ),
        "x",
    )
    row |= {"majority_accuracy": "0.25", "fit_seconds": "3.2"}
    rows = [row | {"seed": str(s), "accuracy": a} for s, a in enumerate(("0.5", "0.6", "0.7"))]
    text = cards.card("vit_b16_bert_cross", {"vit_b16_bert_cross": rows})
    assert "Accuracy 60.0% ± 10.0% (standard deviation) over 3 seeds" in text
    assert "| 2 | 70.0% | 3 |" in text and "`vit_base_patch16_224_imagenet`" in text
    assert "Not measured yet." in cards.card("vit_b16_bert_cross")


def _rows(*accuracies):
    row = dict.fromkeys(("command", "commit", "date", "device", "tensorflow", "keras"), "x")
    row |= {"majority_accuracy": "0.25", "fit_seconds": "3", "data": "d"}
    row |= {"num_train": "80", "num_examples": "2000"}
    return [row | {"seed": str(s), "accuracy": str(a)} for s, a in enumerate(accuracies)]


def test_a_card_says_what_text_and_attention_are_worth():
    results = {
        "vit_b16_bert_cross": _rows(0.80, 0.84, 0.85),
        "vit_b16_image_only": _rows(0.50, 0.52, 0.57),
        "vit_b16_bert_concat": _rows(0.80, 0.86, 0.83),
        "bert_text_only": _rows(0.90, 0.95, 0.94),
    }
    text = cards.card("vit_b16_bert_cross", results)
    # differences 0.30, 0.32, 0.28 have s = 0.02; t of two degrees of freedom is 4.3027
    seeds, pictures = 4.3027**2 * 0.02**2 / 3, 1.96**2 * (0.83 * 0.17 + 0.53 * 0.47) / 2000
    half = 100 * (seeds + pictures) ** 0.5
    interval = f"{30 - half:+.1f} to {30 + half:+.1f}"
    assert f"| `vit_b16_image_only` | +30.0 | {interval} | better |" in text
    assert "| `bert_text_only` | -10.0 |" in text and "| worse |" in text
    assert "| `vit_b16_bert_concat` | +0.0 |" in text and "| no difference beyond noise |" in text


def test_a_card_compares_equal_seeds_on_equal_data_only():
    results = {
        "vit_b16_bert_concat": _rows(0.8, 0.9),
        "vit_b16_image_only": [row | {"data": "other"} for row in _rows(0.5, 0.5)],
        "bert_text_only": _rows(0.7),
    }
    assert "accuracy against" not in cards.card("vit_b16_bert_concat", results)
    assert "accuracy against" not in cards.card("vit_b16_image_only", results)


@pytest.mark.parametrize(("kind", "licence"), [("clip", "MIT"), ("siglip", "Apache-2.0")])
def test_a_card_says_where_weights_come_from(kind, licence):
    for name in zoo.list_models(f"{kind}_*"):
        text = cards.card(name)
        assert f"{licence}" in text and f"KerasHub preset `{kind}_" in text
        assert "have not been measured here" in text and "linear" not in text
        assert ("`classify_with_texts` is left out" in text) == (kind == "clip")
        assert "--head_solver=auto" in cards.flagfile(name)


def _written(name):
    return json.loads((cards.FOLDER / name / "proofs.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", cards.card_names())
def test_proofs_are_of_a_commit_and_all_were_passed(name):
    written = _written(name)
    assert written["name"] == name
    assert {"counts", "input_sizes", "licences", "measured"} <= set(written["proofs"])
    assert set(written["proofs"]) <= set(card_proofs.TITLES)
    assert all(proof["passed"] is not False for proof in written["proofs"].values())
    assert re.fullmatch("[0-9a-f]{7,}", written["conditions"]["commit"]), "of a clean tree"


@pytest.mark.parametrize("name", ["minilm_text_only", "sasa_resnet26", "lstm_translate"])
def test_proofs_are_of_the_entry_as_it_is(name):
    shapes = ("counts", "input_sizes", "licences", "measured")
    done = training.verify(name, proofs=shapes)
    assert done.differences(_written(name)) == []


def test_a_card_and_the_table_say_what_is_proven():
    counts = {"parameters": {"learned": 16_650, "total": 26_142_900}, "flops": {"image": 2e9}}
    counts["papers"] = [
        {"encoder": "e", "quantity": "multiply_adds", "ours": 90, "theirs": 100.0, "source": "s"}
        | {"why": "they add"}
    ]
    told = {"result": "found", "bound": "bounds"}
    proofs = {name: {"passed": True, "facts": {}} | told for name in card_proofs.TITLES}
    proofs["counts"]["facts"], proofs["speed"]["facts"] = counts, {"speed": "small"}
    conditions = {
        "commit": "abc1234",
        "date": "2026-01-02",
        "device": "CPU",
        "versions": {"x": "1"},
    }
    weights = {"image": "random", "text": "carried"}
    written = {"proofs": proofs, "conditions": conditions, "weights": weights}
    text = cards.card("vit_b16_bert_cross", {}, written)
    assert text.count("| found | bounds |") == len(card_proofs.TITLES)
    assert "| `e` | 90 multiply-adds | 100 | s | -10.0%: they add |" in text
    assert "at abc1234 on 2026-01-02, CPU; x 1. The image encoder had random weights." in text
    table = cards.table({}, {"vit_b16_bert_cross": written})
    assert "| 16.6 k / 26.1 M | 2 | small |  | with random weights |" in table
    proofs["frozen"] = {"passed": False, "reason": "it thawed"}
    del proofs["parity"]
    proofs["replicas"] = {"passed": None, "reason": "draws"}
    text = cards.card("vit_b16_bert_cross", {}, written)
    assert "| FAILED: it thawed | |" in text
    assert "| served as trained | not verified here | |" in text
    assert "| not checked: draws | |" in text
    assert card_proofs.verified(written) == "FAILED"
    proofs["frozen"] = proofs["counts"]
    assert card_proofs.verified(written) == "in part"
    assert "Not verified here" in cards.card("vit_b16_bert_cross")


def test_the_table_of_the_readme_stands_between_its_markers():
    text = f"before\n{card_proofs.BEGIN}\nold\n{card_proofs.END}\nafter\n"
    made = card_proofs.with_models(text, {}, {})
    assert made.startswith("before\n") and made.endswith("\nafter\n") and "old" not in made
    assert all(f"(zoo/{name}/README.md)" in made for name in card_proofs.SHOWN)
    assert card_proofs.with_models(made, {}, {}) == made
