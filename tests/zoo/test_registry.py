"""The registry: names, did-you-mean errors, composition, a user's own models."""

import numpy as np
import pytest

from tatl_keras import encoders, fusion, zoo

PAIRS = [
    *(
        f"resnet50_{t}_{f}"
        for t in ("bert", "lstm", "minilm")
        for f in ("concat", "gated", "cross")
    ),
    *(f"vit_b16_{t}_{f}" for t in ("bert", "minilm") for f in ("concat", "cross", "joint")),
    *(
        f"efficientnet_lite0_minilm_{f}"
        for f in ("concat", "gated", "film", "bilinear", "cross", "joint")
    ),
]
CONTROLS = [
    "resnet50_image_only", "vit_b16_image_only", "efficientnet_lite0_image_only",
    "minilm_text_only", "bert_text_only",
]  # fmt: skip
# Named after their one encoder, which learns from scratch.
ALONE = ["sasa_resnet26", "sasa_resnet38", "sasa_resnet50", "test_sasa"]


def test_the_promised_models_are_there():
    assert set(PAIRS + CONTROLS + ALONE) <= set(zoo.list_models())
    assert zoo.list_models("*_image_only") == sorted(
        [*(n for n in CONTROLS if n.endswith("image_only")), "test_efficientnet_image_only"]
    )


@pytest.mark.parametrize("name", zoo.list_models(task="classify"))
def test_every_entry_names_parts_that_exist(name):
    spec = zoo.spec(name)
    assert spec.name == name == spec.build.__name__
    assert spec.summary.endswith(".") and len(spec.summary) < 120
    assert spec.image is None or spec.image in encoders.names("image")
    assert spec.text is None or spec.text in encoders.names("text")
    if name.endswith("_class_texts"):  # texts of classes, none of examples
        assert spec.image and spec.text and spec.fusion == "image_only"
        return
    assert {"image_only": spec.text, "text_only": spec.image}.get(spec.fusion) is None
    assert name.endswith(spec.fusion) != (name in ALONE)
    assert name not in ALONE or (name == spec.image and spec.fusion == "image_only")


@pytest.mark.parametrize("name", zoo.list_models("test_*", task="classify"))
def test_tiny_entries_answer_before_training(name):
    model = zoo.build(name, num_classes=3, class_names=["a", "b", "c"])
    if model.preprocessor.tokenizer is not None:
        model.preprocessor.tokenizer.set_vocabulary(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    logits = model.predict({"image": [""], "text": ["x"]}, verbose=0)
    assert logits.shape == (1, 3) and np.isfinite(logits).all() and np.ptp(logits) == 0


@pytest.mark.parametrize(
    "name", ["resnet50_bert_concat", "vit_b16_bert_cross", "resnet50_minilm_gated"]
)
def test_unreachable_presets_say_so(name):
    with pytest.raises(encoders.PresetError, match="(?s)Three ways out.*preset=None"):
        zoo.build(name, num_classes=3)


def test_unknown_names_and_arguments_get_hints():
    with pytest.raises(ValueError, match="'vit_b16_bert_cros'. Did you mean vit_b16_bert_cross"):
        zoo.build("vit_b16_bert_cros", num_classes=2)
    with pytest.raises(ValueError, match=r"zoo.list_models\(\)"):
        zoo.spec("qqqqqqqq")
    with pytest.raises(ValueError, match=r"hiden_dim=5. Did you mean `hidden_dim`"):
        zoo.build("test_efficientnet_bert_gated", num_classes=2, hiden_dim=5)
    with pytest.raises(ValueError, match=r"sequence_lenth=5. Did you mean `sequence_length`"):
        zoo.build("test_efficientnet_bert_concat", num_classes=2, sequence_lenth=5)
    with pytest.raises(ValueError, match="image=None, text=None"):
        zoo.compose(2)
    with pytest.raises(ValueError, match="identifier='konkat'. Did you mean"):
        zoo.compose(2, image="test_image", text="embed", fusion="konkat")


def test_arguments_reach_the_parts():
    model = zoo.build(
        "test_efficientnet_bert_gated", num_classes=2, hidden_dim=7, dropout=0.25,
        sequence_length=9, image_size=(16, 24), class_names=["no", "yes"], seed=3, name="mine",
    )  # fmt: skip
    assert (model.fusion.hidden_dim, model.fusion.dropout, model.fusion.seed) == (7, 0.25, 3)
    assert model.preprocessor.sequence_length == 9
    assert model.preprocessor.image_size == (16, 24)
    assert model.class_names == ["no", "yes"] and model.name == "mine"
    own = zoo.compose(2, image="test_image", text="embed", fusion=fusion.ConcatFusion(5))
    assert own.fusion.hidden_dim == 5
    free = zoo.build("test_efficientnet_bert_concat", num_classes=2, frozen=False)
    assert free.image_encoder.trainable_weights and free.text_encoder.trainable_weights


def test_a_users_own_model():
    @zoo.register
    def my_model(num_classes, *, width=4):
        """Mine. The second sentence is not shown elsewhere."""
        return zoo.compose(num_classes, image="test_image", text="embed", fusion=fusion.get(
            "gated", hidden_dim=width))  # fmt: skip

    try:
        assert "my_model" in zoo.list_models("my_*")
        assert zoo.build("my_model", num_classes=2, width=5).fusion.hidden_dim == 5
        with pytest.raises(ValueError, match="'my_model', which is"):
            zoo.register(my_model)
    finally:
        zoo.unregister("my_model")
    with pytest.raises(ValueError, match="'my_model'"):
        zoo.unregister("my_model")


def test_registering_badly():
    def undocumented(num_classes):
        return None

    def wrong_order(name, num_classes):
        """Documented."""

    with pytest.raises(ValueError, match="undocumented"):
        zoo.register(undocumented)
    with pytest.raises(ValueError, match=r"wrong_order\(name, num_classes\)"):
        zoo.register(wrong_order)
