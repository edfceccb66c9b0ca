"""`tatl-zoo`: the list, the description, and a starter that works."""

import ast
import runpy

import pytest

from tatl_keras import zoo
from tatl_keras.bin import zoo as program
from tests.bin.conftest import run_program, succeed


@pytest.fixture
def unregister():
    """Takes models that a test adds out of the zoo again."""
    before = set(zoo.list_models())
    yield
    for name in set(zoo.list_models()) - before:
        zoo.unregister(name)


def test_list_shows_every_model_with_its_summary():
    lines = succeed("zoo", "list").out.splitlines()
    assert [line.split()[0] for line in lines] == zoo.list_models()
    for line in lines:
        assert line.endswith(zoo.spec(line.split()[0]).summary)


def test_list_takes_a_pattern():
    lines = succeed("zoo", "list", "resnet50_lstm*").out.splitlines()
    assert [line.split()[0] for line in lines] == zoo.list_models("resnet50_lstm*")


def test_show_counts_parameters():
    shown = succeed("zoo", "show", "test_vit_bert_cross", "--num_classes=4").out
    model = zoo.build("test_vit_bert_cross", 4, image_preset=None, text_preset=None)
    counts = {
        "image encoder": model.image_encoder.count_params(),
        "text encoder": model.text_encoder.count_params(),
        "fusion": model.fusion.count_params(),
        "head": model.head.count_params(),
        "learned": model.fusion.count_params() + model.head.count_params(),
    }
    lines = shown.splitlines()
    for part, count in counts.items():
        assert any(line.startswith(part) and f" {count:,} parameters" in line for line in lines)
    assert "for 4 classes" in shown and zoo.spec("test_vit_bert_cross").summary in shown
    assert "tatl-train --model=test_vit_bert_cross" in shown


def test_show_counts_parameters_of_a_model_that_writes():
    shown = succeed("zoo", "show", "test_lstm_translate").out
    model = zoo.build("test_lstm_translate")
    lines = shown.splitlines()
    for part, layer in (("text encoder", model.text_encoder), ("decoder", model.decoder)):
        count = f" {layer.count_params():,} parameters"
        assert any(line.startswith(part) and count in line for line in lines)
    learned = f" {model.count_params():,} parameters  for its largest vocabulary"
    assert any(line.startswith("learned") and learned in line for line in lines)
    assert "fusion" not in shown and "--data=pairs.csv" in shown


def test_show_says_where_weights_come_from():
    expected = "weights: folder minilm_l6, else KerasHub preset all_minilm_l6_v2_en"
    assert program._encoder("minilm") == ["minilm", expected]
    expected = "weights: KerasHub preset resnet_50_imagenet"
    assert program._encoder("resnet50") == ["resnet50", expected]
    assert program._encoder("hf://a/b") == ["hf://a/b", "preset hf://a/b"]
    assert program._encoder(None) == ["-", ""]
    shown = succeed("zoo", "show", "test_efficientnet_lstm_concat").out
    assert "learned from the training text" in shown and "random weights, for tests" in shown


def test_new_writes_a_model_that_works(tmp_path, unregister):
    outcome = succeed("zoo", "new", "my_model")
    path = tmp_path / "my_model.py"
    assert "Wrote my_model.py" in outcome.out
    assert "tatl-train --register=my_model.py --model=my_model --smoke" in outcome.out
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)).startswith("my_model: ")
    assert max(map(len, text.splitlines())) <= 100 and "{" + "{" not in text
    ran = runpy.run_path(str(path), run_name="__main__")
    assert ran["logits"].shape == (1, 3) and ran["model"].name == "my_model"
    assert ran["model"].fusion.hidden_dim == 256


def test_a_registered_file_is_known_to_the_programs(tmp_path, unregister):
    succeed("zoo", "new", "my_model", "--output=mine.py")
    assert "my_model" not in succeed("zoo", "list").out
    shown = succeed("zoo", "list", "my*", "--register=mine.py").out
    assert shown.startswith("my_model  EfficientNet-Lite0 and MiniLM, joined by a gated unit")


def test_new_does_not_replace_a_file(tmp_path):
    (tmp_path / "my_model.py").write_text("mine")
    outcome = run_program("zoo", "new", "my_model")
    assert outcome.status == 1
    assert "--output must be a new file. Received: 'my_model.py'" in outcome.err
    assert (tmp_path / "my_model.py").read_text() == "mine"
    succeed("zoo", "new", "my_model", "--overwrite")
    assert (tmp_path / "my_model.py").read_text() != "mine"


def test_new_with_smoke_tries_the_starter_and_leaves_nothing(tmp_path):
    models = zoo.list_models()
    outcome = succeed("zoo", "new", "my_model", "--smoke")
    assert "smoke: my_model with" in outcome.out
    assert list(tmp_path.iterdir()) == [] and zoo.list_models() == models


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ([], 2, "the first word must be list, show, new"),
        (["lst"], 2, "Received: lst"),
        (["show"], 2, "`tatl-zoo show` must be followed by a name. Received: nothing"),
        (["list", "a", "b"], 2, "Received: a b"),
        (["list", "nothing*"], 1, "Received: 'nothing*'"),
        (["show", "resnet5_bert_cross"], 1, "Did you mean resnet50_bert_cross"),
        (["new", "my-model"], 1, "must be a Python name, such as my_model. Received: 'my-model'"),
        (["new", "class"], 1, "Received: 'class'"),
        (
            ["new", "test_efficientnet_bert_film"],
            1,
            "Received: 'test_efficientnet_bert_film', which is",
        ),
    ],
)
def test_errors(words, status, message):
    outcome = run_program("zoo", *words)
    assert outcome.status == status and message in outcome.err
