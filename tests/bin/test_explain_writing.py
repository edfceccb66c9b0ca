"""`tatl-explain` of models that write: where they looked, as a picture, lines and numbers."""

import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import zoo
from tatl_keras.bin import trained as trained_runs
from tests.bin.conftest import read_json, read_lines, run_program, succeed

FAST = ("--sampler=greedy", "--max_length=4")

pytestmark = pytest.mark.usefixtures("models_loaded_once")


@pytest.fixture(scope="module")
def picture(manifest):
    return sorted((manifest.parent / "images").iterdir())[0]


@pytest.fixture(scope="module")
def translator(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "translator.keras"
    model = zoo.build("test_transformer_translate", seed=1)
    model.fit({"text": ["red cat", "a dog"], "target": ["rote Katze", "ein Hund"]}, verbose=0)
    model.save(path)
    return path


def test_a_caption_word_by_word(pretrained, picture):
    outcome = succeed("explain", f"--model={pretrained}", picture, "--output=why.png")
    assert tf.io.decode_png(tf.io.read_file("why.png")).shape[0] > 200
    found = read_json("why.json")
    model = trained_runs.load_model(str(pretrained))  # of a run with --sampler=greedy
    (written,) = model.generate({"image": [str(picture)]}, max_length=4, return_details=True)
    assert (found["written"], found["id"]) == (written.text, str(picture))
    assert found["grid"] == [4, 4] and found["reference"] is None and found["valid"]
    assert [token for word in found["words"] for token in word["tokens"]] == [*written.tokens]
    start = 0
    for word in found["words"]:
        rows = written.attention[start : start + len(word["tokens"])]
        start += len(word["tokens"])
        np.testing.assert_allclose(word["attention"], rows.mean(0).reshape(4, 4), atol=2e-6)
        assert np.sum(word["attention"]) == pytest.approx(1, abs=2e-5)
    head, _, *lines, last = outcome.out.splitlines()
    assert head == f"{picture}: {written.text}" and last == "Written: why.png, why.json"
    assert [line.split()[0] for line in lines] == [word["word"] for word in found["words"]]


def test_a_page_of_the_runs_own_examples(pretrained):
    outcome = succeed("explain", f"--workdir={pretrained}", "--count=2", "--output=page")
    first, last = read_lines("page/explanations.jsonl")
    assert first["id"] != last["id"] and first["reference"] and first["words"]
    with open("page/gallery.html", encoding="utf-8") as file:
        page = file.read()
    assert page.count("<figure>") == 2 and "2 of 16 examples" in page
    assert outcome.out.endswith("Written: page/gallery.html, page/explanations.jsonl\n")


def test_a_translation_token_by_token(translator):
    words = [f"--model={translator}", "--text=red cat", *FAST, "--output=why.svg"]
    outcome = succeed("explain", *words)
    found = read_json("why.json")
    start, *pieces, end = found["source_tokens"]
    assert (start, end) == ("[CLS]", "[SEP]")
    assert "".join(piece.removeprefix("##") for piece in pieces) == "redcat"
    assert np.shape(found["attention"]) == (len(found["tokens"]), len(found["source_tokens"]))
    np.testing.assert_allclose(np.sum(found["attention"], 1), 1, atol=2e-5)
    assert outcome.out.startswith(f"text 1: {found['written']}")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--text=a cat"], "--text='a cat'"),
        (["PICTURE", "--regions=2x2"], "--regions must be left out"),
        (["PICTURE", "--class_name=cat"], "Received: cat"),
    ],
)
def test_errors_name_what_was_received(flags, said, pretrained, picture):
    flags = [str(picture) if flag == "PICTURE" else flag for flag in flags]
    outcome = run_program("explain", f"--model={pretrained}", *flags)
    assert outcome.status == 2 and said in outcome.err
