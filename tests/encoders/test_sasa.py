"""SASAResNet: parameters and operations of the paper's table, windows, learning from scratch."""

import math

import keras
import keras_hub
import numpy as np
import pytest

from tatl_keras import encoders, layers
from tatl_keras.encoders.catalog import ARCHITECTURES

CLASSES = 1000
# Parameters in millions and operations in billions, 224 × 224 pixels, 1000 classes: table 1 of
# Ramachandran et al., 2019. Then our own counts, to the last unit.
TABLE = {
    "sasa_resnet26": (10.3, 4.5, 10_331_264, 4_484_311_040),
    "sasa_resnet38": (14.1, 5.7, 14_173_384, 5_725_314_048),
    "sasa_resnet50": (18.0, 7.0, 18_015_504, 6_966_317_056),
    "sasa_resnet26_full": (10.3, 4.7, 10_323_200, 4_595_099_648),
    "sasa_resnet38_full": (14.1, 6.0, 14_165_320, 5_836_102_656),
    "sasa_resnet50_full": (18.0, 7.2, 18_007_440, 7_077_105_664),
}


def head(dim):
    """Parameters and operations of a dense layer for 1000 classes."""
    return (dim + 1) * CLASSES, 2 * dim * CLASSES


@pytest.mark.parametrize("name", TABLE)
def test_parameters_and_operations_of_the_paper(name):
    """Parameters within 0.5 % and operations within 3 % of the table.

    The table has parameters to 0.1 million: 14.1 stands for anything from 14.05 to 14.15. Of the
    printed 14.1 itself, the 14.17 of sasa_resnet38 are 0.52 % away; all others are within 0.5 %.
    """
    millions, billions, own_parameters, own_operations = TABLE[name]
    encoder, converter = encoders.build_image(name)
    assert (converter.image_size, encoder.grid, encoder.output_dim) == ((224, 224), (7, 7), 2048)
    more, operations = head(encoder.output_dim)
    parameters = more + sum(math.prod(w.shape) for w in encoder.trainable_weights)
    operations += encoders.count_flops(encoder.backbone)
    assert (parameters, operations) == (own_parameters, own_operations)
    nearest = min(max(parameters / 1e6, millions - 0.05), millions + 0.05)
    assert abs(parameters / 1e6 / nearest - 1) < 0.005
    assert abs(parameters / 1e6 / millions - 1) < (0.0053 if name == "sasa_resnet38" else 0.005)
    assert abs(operations / 1e9 / billions - 1) < 0.03


def test_operations_are_counted_as_in_the_paper():
    """Its convolutional ResNet-50 has 8.2 billion: two for a multiplication and an addition."""
    config = ARCHITECTURES["resnet50"].config
    backbone = keras_hub.models.ResNetBackbone(**config, image_shape=(224, 224, 3))
    parameters, operations = head(2048)
    parameters += sum(math.prod(w.shape) for w in backbone.trainable_weights)
    operations += encoders.count_flops(backbone)
    assert abs(parameters / 1e6 / 25.6 - 1) < 0.005
    assert abs(operations / 1e9 / 8.2 - 1) < 0.03


def test_operations_of_single_layers():
    """Numbers that can be checked by hand."""

    def count(layer, *shape):
        inputs = keras.Input(shape)
        return encoders.count_flops(keras.Model(inputs, layer(inputs)))

    assert count(keras.layers.Conv2D(5, 3, 2, padding="same"), 8, 6, 2) == 2 * 4 * 3 * 9 * 2 * 5
    assert count(keras.layers.Dense(7), 3) == 2 * 3 * 7
    local = layers.LocalSelfAttention2D(8, 3, num_heads=2, strides=2)
    assert count(local, 6, 4, 5) == 2 * 24 * (3 * 5 * 8 + 3 * 9 * 8)
    stem = layers.AttentionStem(8, 4, num_mixtures=3)
    assert count(stem, 8, 4, 3) == 2 * 32 * (5 * 3 * 8 + 3 * 8 + 2 * 16 * 8)
    assert count(keras.layers.BatchNormalization(), 3) == 0
    with pytest.raises(ValueError, match=r"layer 'gru' of type GRU"):
        count(keras.layers.GRU(2, name="gru"), 3, 2)
    with pytest.raises(ValueError, match=r"known sizes.*\(None, 4, 3\)"):
        count(keras.layers.Conv2D(5, 3, name="conv"), None, 4, 3)


def test_full_attention_has_no_spatial_convolution():
    for name, expected in (("test_sasa", 1), ("test_sasa_full", 0)):
        found = encoders.build_image(name)[0].backbone.layers
        found = [x for x in found if isinstance(x, keras.layers.Conv2D)]
        assert sum(layer.kernel_size != (1, 1) for layer in found) == expected


def test_windows_shrink_with_the_map():
    """Maps of 16, 8, 4 and 2 positions a side; each stack begins on the map of the one before."""
    encoder, converter = encoders.build_image("sasa_resnet26", image_size=(64, 64))
    windows = [
        layer.kernel_size
        for layer in encoder.backbone.layers
        if isinstance(layer, layers.LocalSelfAttention2D)
    ]
    assert windows == [7, 7, 7, 7, 3, 3, 3, 3]
    assert (converter.image_size, encoder.grid) == ((64, 64), (2, 2))


@pytest.mark.parametrize("name", ["test_sasa", "test_sasa_full"])
def test_it_always_learns(name):
    encoder, _ = encoders.build_image(name, frozen=True, seed=1)
    assert not encoder.frozen and encoder.preset is None
    assert len(encoder.trainable_weights) == len(encoder.backbone.trainable_weights) > 20
    again, other = (encoders.build_image(name, seed=seed)[0] for seed in (1, 2))
    assert encoder.digest() == again.digest() != other.digest()
    encoder.freeze()
    assert not encoder.trainable_weights


def test_there_are_no_weights_to_load(tmp_path):
    with pytest.raises(ValueError, match=f"`preset` must be left out.*preset='{tmp_path}'"):
        encoders.build_image("sasa_resnet26", preset=tmp_path)
    assert not encoders.build_image("test_sasa", preset=None)[0].frozen


def test_a_config_makes_the_same_network():
    config = dict(stem="attention", stem_filters=8, kernel_size=5, num_heads=2)
    first = encoders.SASAResNet([8, 16], [1, 2], image_shape=(24, 32, 3), **config)
    serialized = keras.saving.serialize_keras_object(first)
    again = keras.saving.deserialize_keras_object(serialized)
    assert type(again) is encoders.SASAResNet and again.get_config() == first.get_config()
    again.set_weights(first.get_weights())
    pictures = np.random.default_rng(0).normal(size=(2, 24, 32, 3)).astype("float32")
    np.testing.assert_array_equal(again(pictures), first(pictures))
    assert again.output_shape == (None, 3, 4, 64)


def test_half_precision_reaches_every_layer():
    encoder, _ = encoders.build_image("test_sasa_full", dtype="mixed_bfloat16")
    inner = [x for x in encoder.backbone.layers if not isinstance(x, keras.layers.InputLayer)]
    assert {layer.compute_dtype for layer in inner} == {"bfloat16"}


def test_a_stem_that_does_not_exist():
    with pytest.raises(ValueError, match="`stem` must be one of 'conv', 'attention'.*stem='pool'"):
        encoders.SASAResNet([8], [1], stem="pool")
