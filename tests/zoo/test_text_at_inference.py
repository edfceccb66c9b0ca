"""`text_at_inference=False`: pairs become models of pictures that texts teach."""

import pytest

from tatl_keras import fusion, models, zoo

PAIRS = [n for n in zoo.list_models("test_*") if zoo.spec(n).image and zoo.spec(n).text]


@pytest.mark.parametrize("name", [n for n in PAIRS if not n.endswith("_class_texts")])
def test_every_pair_learns_from_text(name):
    model = zoo.build(name, 3, text_at_inference=False, distillation_weight=0.5)
    assert type(model) is models.TextSupervisedClassifier
    assert set(model.encoders) == {"image"} and model.fusion.modality == "image"
    assert model.distillation_weight == 0.5 and model.name == name


@pytest.mark.parametrize("name", [n for n in PAIRS if n.endswith("_class_texts")])
def test_a_head_of_class_texts_reads_texts(name):
    with pytest.raises(ValueError, match="`head` must be.*Received: head="):
        zoo.build(name, 3, text_at_inference=False)


def test_with_text_nothing_changes():
    model = zoo.build("test_efficientnet_bert_concat", 3, text_at_inference=True)
    assert type(model) is models.TextAssistedClassifier


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image": "test_image"}, "`text` must name an encoder.*Received: text=None"),
        ({"text": "test_text"}, "`image` must name an encoder.*Received: image=None"),
        ({"fusion": "text_only"}, "`fusion` must be a name.*Received: fusion='text_only'"),
        ({"fusion": "gated", "hidden_dim": 8}, "`hidden_dim` must be.*Received: hidden_dim=8"),
        ({"head": "class_texts"}, "`head` must be.*Received: head='class_texts'"),
        ({"modality_dropout": 0.3}, "`modality_dropout` must be 0.*modality_dropout=0.3"),
        ({"text_at_inference": "no"}, "`text_at_inference` must be.*text_at_inference='no'"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, message):
    pair = (
        {} if {"image", "text"} & set(arguments) else {"image": "test_image", "text": "test_text"}
    )
    with pytest.raises(ValueError, match=message):
        zoo.compose(3, **({"text_at_inference": False} | pair | arguments))


def test_a_layer_must_read_the_image():
    parts = {"image": "test_image", "text": "test_text", "text_at_inference": False}
    with pytest.raises(ValueError, match="`fusion` must be a name, or a layer that reads"):
        zoo.compose(3, fusion=fusion.ConcatFusion(), **parts)
    layer = fusion.SingleModality("image", dropout=0.25)
    assert zoo.compose(3, fusion=layer, **parts).fusion is layer


def test_the_losses_are_of_such_models_alone():
    with pytest.raises(ValueError, match="`distillation_weight` must be an argument of"):
        zoo.compose(3, image="test_image", text="test_text", distillation_weight=1.0)
