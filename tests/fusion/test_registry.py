"""Fusions by name, config or instance."""

import keras
import pytest

from tatl_keras import fusion

CLASSES = {
    "concat": fusion.ConcatFusion,
    "gated": fusion.GatedFusion,
    "film": fusion.FiLMFusion,
    "bilinear": fusion.BilinearFusion,
    "cross": fusion.CrossAttentionFusion,
    "joint": fusion.JointAttentionFusion,
    "no_harm": fusion.NoHarmFusion,
    "image_only": fusion.SingleModality,
    "text_only": fusion.SingleModality,
}


def test_every_name_and_every_class():
    assert set(fusion.registry.NAMES) == set(CLASSES)
    for name, cls in CLASSES.items():
        assert type(fusion.get(name)) is cls
    final = {v for v in vars(fusion).values() if isinstance(v, type)}
    final = {v for v in final if issubclass(v, fusion.Fusion)} - {fusion.Fusion}
    assert final == set(CLASSES.values())


def test_the_single_modalities():
    assert fusion.get("image_only").uses == ("image_pooled", "has_image")
    assert fusion.get("text_only").uses == ("text_pooled", "has_text")


def test_arguments_reach_the_fusion():
    layer = fusion.get("bilinear", rank=3, dropout=0.25, seed=5)
    assert (layer.rank, layer.dropout, layer.seed) == (3, 0.25, 5)


def test_a_config_and_an_instance():
    layer = fusion.GatedFusion(3, seed=4)
    assert fusion.get(layer) is layer
    copy = fusion.get(keras.saving.serialize_keras_object(layer))
    assert type(copy) is fusion.GatedFusion and copy.get_config() == layer.get_config()


def test_a_users_own_layer():
    class Own(keras.layers.Layer):
        uses = ("image_pooled",)

    layer = Own()
    assert fusion.get(layer) is layer


@pytest.mark.parametrize(
    ("identifier", "message"),
    [
        ("cros", r"`identifier` must be one of concat, .*'cros'. Did you mean \"cross\"\?"),
        ("zzz", r"`identifier` must be one of .*Received: identifier='zzz'"),
        (3, r"`identifier` must be the name .*Received: identifier=3"),
        (None, r"`identifier` must be the name .*Received: identifier=None"),
        (keras.layers.Dense(1, name="d"), r"`identifier` must be the name .*identifier=<Dense"),
    ],
)
def test_unknown_identifiers(identifier, message):
    with pytest.raises(ValueError, match=message):
        fusion.get(identifier)


def test_arguments_need_a_name():
    with pytest.raises(ValueError, match=r"`arguments` must be empty.*\{'seed': 1\}"):
        fusion.get(fusion.ConcatFusion(), seed=1)
