"""`tatl-certify`: files, columns of groups and splits, and what it refuses."""

import re

import pytest

from tatl_keras.bin import common, train
from tatl_keras.data import synthetic
from tests.bin.conftest import read_json, run_program, succeed

MODEL = "--model=test_efficientnet_bert_concat"


@pytest.fixture(scope="module")
def torn(tmp_path_factory):
    """A manifest with splits, and groups of which one is in both splits."""
    folder = tmp_path_factory.mktemp("torn")
    manifest = synthetic.write_manifest(str(folder), 2, 40, format="csv")
    with open(manifest, encoding="utf-8") as file:
        head, *lines = file.read().splitlines()
    more = [("train", "both"), ("test", "both"), ("test", ""), ("test", "alone")]
    more += [("train", "")] * (len(lines) - 4)
    lines = [f"{line},{split},{group}" for line, (split, group) in zip(lines, more, strict=True)]
    with open(manifest, "w", encoding="utf-8") as file:
        file.write("\n".join([f"{head},split,group", *lines]) + "\n")
    return manifest


def test_it_writes_a_certificate(torn, tmp_path):
    output = tmp_path / "certificate"
    words = [MODEL, f"--data={torn}", f"--output={output}", "--shots=2", "--seeds=2"]
    outcome = succeed("certify", *words)
    numbers = read_json(output, "certificate.json")
    assert numbers["num_examples"] == 40 and numbers["seeds"] == 2
    assert set(numbers["sets"]) == {"k2", "80/20"}
    assert numbers["leaks"]["groups"] == 1 and "groups" in numbers["leaks"]["alarms"]
    assert outcome.out.startswith(numbers["headline"])
    assert all(sentence in outcome.out for sentence in numbers["words"])
    assert "Leak alarm: 1 groups are in two of the given splits." in outcome.out
    for name in ("certificate.html", "certificate.png"):
        assert (output / name).stat().st_size > 1000 and name in outcome.out
    again = run_program("certify", *words)
    assert again.status == 1 and "--output must be a new folder" in again.err


def test_the_default_model_has_encoders_that_come_with_the_library(torn, monkeypatch):
    built = {}

    def build(num_classes):
        built[common.MODEL.value] = num_classes
        raise ValueError("far enough")

    monkeypatch.setattr(train, "build", build)
    outcome = run_program("certify", f"--data={torn}")
    assert outcome.status == 1 and "far enough" in outcome.err
    assert built == {"efficientnet_lite0_minilm_concat": 2}


def test_smoke_needs_no_data(tmp_path):
    outcome = succeed("certify", "--smoke", "--seeds=2", "--shots=2", "--held_out=0.5")
    assert "made-up examples" in outcome.out and "Shapley" in outcome.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--data must be given"),
        (["--data=a.csv", "--shots=1,two"], "--shots must be numbers.*Received: 'two'"),
        (["--data=a.csv", "--shots=0"], "--shots must be numbers.*Received: '0'"),
        (["--data=a.csv", "--text_from_class"], "--text_from_class must be left out"),
        (["--data=a.csv", "--views=2"], "--views must be left out. Received: --views=2"),
        (["--data=a.csv", "stray"], "Received: 'stray'"),
    ],
)
def test_wrong_flags(words, message):
    outcome = run_program("certify", *words)
    assert outcome.status == 2
    assert re.search(message, outcome.err)
