"""Bad arguments and features are refused with the value in the message."""

import keras
import numpy as np
import pytest

from tatl_keras import fusion

FEATURES = {
    "image_tokens": np.zeros((2, 5, 3), "float32"),
    "image_pooled": np.zeros((2, 3), "float32"),
    "image_mask": np.ones((2, 5), "int32"),
    "has_image": np.ones(2, "int32"),
    "text_tokens": np.zeros((2, 7, 4), "float32"),
    "text_pooled": np.zeros((2, 4), "float32"),
    "text_mask": np.ones((2, 7), "int32"),
    "has_text": np.ones(2, "int32"),
}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: fusion.ConcatFusion(0), r"`hidden_dim` must be .*hidden_dim=0\."),
        (lambda: fusion.GatedFusion(None), r"`hidden_dim` must be .*hidden_dim=None\."),
        (lambda: fusion.JointAttentionFusion(-2), r"`hidden_dim` must be .*hidden_dim=-2\."),
        (lambda: fusion.CrossAttentionFusion(1.5), r"`value_dim` must be .*value_dim=1\.5\."),
        (lambda: fusion.BilinearFusion(0), r"`rank` must be .*rank=0\."),
        (lambda: fusion.BilinearFusion(2, output_dim=0), r"`output_dim` must .*output_dim=0\."),
        (lambda: fusion.FiLMFusion(dropout=1.0), r"`dropout` must be .*dropout=1\.0\."),
        (lambda: fusion.ConcatFusion(dropout=-0.1), r"`dropout` must be .*dropout=-0\.1\."),
        (lambda: fusion.SingleModality("sound"), r"`modality` must be .*modality='sound'\."),
    ],
)
def test_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("built", [False, True])
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("image_tokens", (2, 3), r"`image_tokens` must have shape \(B, T, Di\).*\(2, 3\)"),
        ("text_pooled", (2, 7, 4), r"`text_pooled` must have shape \(B, Dt\).*\(2, 7, 4\)"),
        ("text_mask", (2, 7, 1), r"`text_mask` must have shape \(B, L\).*\(2, 7, 1\)"),
        ("has_image", (2, 1), r"`has_image` must have shape \(B\).*\(2, 1\)"),
        ("image_mask", (2, 4), r"`image_mask` must have one entry per token.*\(2, 4\)"),
        ("text_mask", (3, 7), r"`text_mask` must have one entry per token.*\(3, 7\)"),
    ],
)
def test_shapes_of_features(name, value, message, built):
    layer = fusion.CrossAttentionFusion()
    if built:
        layer(FEATURES)
    with pytest.raises(ValueError, match=message):
        layer({**FEATURES, name: np.ones(value, FEATURES[name].dtype)})


def test_features_must_be_a_dict():
    with pytest.raises(ValueError, match=r"`features` must be a dict.*type ndarray"):
        fusion.ConcatFusion().check_tensors(FEATURES["image_pooled"])
    with pytest.raises(ValueError, match=r"`features` must be a dict.*type tuple"):
        fusion.ConcatFusion()(FEATURES["image_pooled"])


def test_missing_features_are_named():
    some = {name: FEATURES[name] for name in ("image_pooled", "has_image", "has_text")}
    message = r"`features` must hold .*features with has_image, .*Missing: text_pooled\."
    with pytest.raises(ValueError, match=message):
        fusion.ConcatFusion()(some)


@pytest.mark.parametrize("name", sorted(fusion.registry.NAMES))
def test_other_channels_than_built_for(name):
    layer = fusion.get(name)
    layer(FEATURES)
    modality = "text" if "has_text" in layer.uses else "image"
    other = {**FEATURES, f"{modality}_pooled": np.zeros((2, 11), "float32")}
    message = rf"`{modality}_pooled` must have \d channels.*shape=\(2, 11\)"
    with pytest.raises(ValueError, match=message):
        layer(other)


def test_unknown_channels():
    inputs = {
        "image_pooled": keras.Input((None,)),
        "has_image": keras.Input((), dtype="int32"),
    }
    with pytest.raises(ValueError, match=r"`image_pooled` must have a known .*\(None, None\)"):
        fusion.SingleModality("image")(inputs)
