"""The entries that write: their parts, their cards, their recipes."""

import csv
import statistics

import numpy as np
import pytest

from tatl_keras import encoders, models, zoo
from tatl_keras.zoo import card_texts, cards
from tatl_keras.zoo.compose_writers import DECODERS

CAPTIONERS = [
    *("efficientnet_lite0_lstm_caption", "efficientnet_lite0_transformer_caption"),
    *("resnet50_lstm_caption", "resnet50_transformer_caption"),
    *("test_efficientnet_lstm_caption", "test_efficientnet_transformer_caption"),
    "vit_b16_transformer_caption",
]
TRANSLATORS = [
    *("lstm_translate", "minilm_lstm_translate", "minilm_transformer_translate"),
    *("test_lstm_translate", "test_transformer_translate", "transformer_translate"),
]
WRITERS = CAPTIONERS + TRANSLATORS


def test_the_promised_models_are_there():
    assert zoo.list_models(task="caption") == CAPTIONERS
    assert zoo.list_models(task="translate") == TRANSLATORS
    assert not set(WRITERS) & set(zoo.list_models(task="classify"))
    with pytest.raises(ValueError, match="Received: task='write'"):
        zoo.list_models(task="write")


@pytest.mark.parametrize("name", WRITERS)
def test_every_entry_names_parts_that_exist(name):
    spec = zoo.spec(name)
    assert spec.name == name == spec.build.__name__ and spec.fusion is None
    assert spec.summary.endswith(".") and len(spec.summary) < 120
    assert spec.decoder in DECODERS and f"{spec.decoder}_{spec.task}" in name
    if spec.task == "caption":
        assert spec.image in encoders.names("image") and spec.text is None
    else:
        assert spec.text in encoders.names("text") and spec.image is None


@pytest.mark.parametrize("name", [name for name in WRITERS if name.startswith("test_")])
def test_tiny_entries_are_what_they_say(name):
    model, spec = zoo.build(name, seed=1), zoo.spec(name)
    assert type(model) is {"caption": models.Captioner, "translate": models.Translator}[spec.task]
    assert type(model.decoder) is DECODERS[spec.decoder] and model.name == name
    assert model.count_params() < 60_000
    with pytest.raises(ValueError, match=f"`num_classes` must be None .* for '{name}'"):
        zoo.build(name, 3)
    with pytest.raises(ValueError, match="hiden_dim=5. Did you mean `hidden_dim`"):
        zoo.build(name, hiden_dim=5)


def test_a_decoder_that_is_given_has_a_twin_with_weights_of_its_own():
    decoder = models.LSTMDecoder(4096, hidden_dim=6, seed=3)
    model = zoo.compose_captioner(image="test_image", decoder=decoder, bidirectional=True)
    twin = model.backward_decoder
    assert model.decoder is decoder and type(twin) is models.LSTMDecoder
    assert twin.hidden_dim == 6 and twin.name == f"{decoder.name}_backward"
    pairs = [*zip(decoder.weights, twin.weights, strict=True)]
    assert all(one is not other and one.shape == other.shape for one, other in pairs)
    assert any(np.any(one.numpy() != other.numpy()) for one, other in pairs)


def test_a_decoder_that_is_given_takes_no_arguments():
    decoder = models.LSTMDecoder(4096, hidden_dim=6, name="mine")
    with pytest.raises(ValueError, match="`hidden_dim` must be left out .*=3 with decoder=mine"):
        zoo.compose_captioner(image="test_image", decoder=decoder, hidden_dim=3)


def rows(*scores):
    """A results.csv with these chrF."""
    row = dict.fromkeys(("command", "commit", "date", "device", "tensorflow", "keras"), "x")
    row |= {"fit_seconds": "3", "data": "d", "num_train": "80", "num_examples": "20"}
    row |= {"bleu": "7.0", "exact_match": "0.25", "perplexity": "4", "unigram_perplexity": "90"}
    row |= {"nearest_chrf": "20.0", "nearest_bleu": "5.0", "copy_chrf": "1", "copy_bleu": "0"}
    return [row | {"seed": str(seed), "chrf": str(chrf)} for seed, chrf in enumerate(scores)]


def test_a_card_shows_texts_beside_baselines():
    text = cards.card("lstm_translate", {"lstm_translate": rows(40, 44, 48)})
    assert "chrF 44.0 ± 4.0 over 3 seeds on 20 held-out examples of `d`." in text
    assert "| the model's | 44.0 ± 4.0 | 7.0 ± 0.0 |" in text
    assert "| baseline nearest | 20.0 ± 0.0 | 5.0 ± 0.0 |" in text and "baseline copy" in text
    assert "baseline unigram" not in text
    alone = cards.card("lstm_translate", {"lstm_translate": rows(40)})
    assert "chrF 40.0 over 1 seed on 20 held-out" in alone
    assert "| 2 | 48.0 | 7.0 | 25.0% | 4.0 | 3 |" in text
    assert 'zoo.build("lstm_translate")' in text and "| decoder | `lstm` |" in text
    assert "the pairs it has learned from, in their direction.\n" in text and "EXIF" not in text
    frozen = cards.card("minilm_lstm_translate")
    assert "The text encoder knows English." in frozen
    assert "Not verified here: see `tatl-zoo verify lstm_translate`." in text
    assert "Not measured yet." in cards.card("resnet50_lstm_caption")
    assert "EXIF" in cards.card("resnet50_lstm_caption")


def test_the_table_has_a_section_of_models_that_write():
    names = [name for name in WRITERS if not name.startswith("test_")]
    counts = {"parameters": {"learned": 7_000, "total": 9_000}, "flops": {"text": 3e9}}
    proofs = {"counts": {"passed": True, "facts": counts}}
    written = {"transformer_translate": {"proofs": proofs, "weights": {"text": "learned"}}}
    table = cards.table({"transformer_translate": rows(40, 44)}, written)
    classify, write = table.split("## Models that write")
    assert all(f"[`{name}`]" in write and f"[`{name}`]" not in classify for name in names)
    (line,) = (line for line in write.splitlines() if line.startswith("| [`transformer_tr"))
    assert "| translates | 7 k / 9 k | 3 |  | `d` |" in line
    assert line.endswith("| 42.0 ± 2.8 | 7.0 ± 0.0 | 20.0 ± 0.0 | by shapes |")


def test_a_row_of_results_is_made_of_measured_texts():
    score = {name: {"value": 30.0 + place} for place, name in enumerate(card_texts.SCORES)}
    metrics = score | {"perplexity": 2.0, "unigram_perplexity": 9.0}
    row = card_texts.result_row(metrics | {"baselines": {"nearest": score, "unigram": score}})
    assert row["chrf"] == row["nearest_chrf"] == 30.0 and row["unigram_bleu"] == 31.0
    assert set(row) - {f"{b}_{s}" for b in ("nearest", "unigram") for s in ("chrf", "bleu")} == {
        *card_texts.SCORES, "perplexity", "unigram_perplexity"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("resnet50_transformer_caption", ["--data=tfds:openmoji", "--text_column=caption"]),
        ("transformer_translate", ["--data=emoji:en-de"]),
    ],
)
def test_recipes_name_their_data(name, flags):
    lines = cards.flagfile(name).splitlines()
    assert set(flags) <= set(lines) and f"--model={name}" in lines and "--seed=0" in lines


def test_results_carry_their_conditions_and_their_baselines():
    for name in card_texts.writers():
        path = cards.FOLDER / name / "results.csv"
        if not path.exists():
            continue
        with path.open(encoding="utf-8", newline="") as file:
            found = list(csv.DictReader(file))
        for row in found:
            assert all(row[key] for key in ("command", "commit", "date", "device", "tensorflow"))
            assert 0 <= float(row["nearest_chrf"]) <= 100 and row["unigram_chrf"]
        mean = statistics.mean(float(row["chrf"]) for row in found)
        assert f"chrF {mean:.1f}" in (path.parent / "README.md").read_text(encoding="utf-8")
