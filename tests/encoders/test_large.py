"""The big architectures with random weights: sizes as published."""

import numpy as np
import pytest

from tatl_keras import encoders
from tatl_keras.encoders.backbones import essential_config

pytestmark = pytest.mark.filterwarnings("ignore:.*random weights")

# name → parameters, channels, tokens, blocks
IMAGE = [
    ("resnet50", 23_561_152, 2048, 49, 16),
    pytest.param("resnet101", 42_605_504, 2048, 49, 33, marks=pytest.mark.large),
    pytest.param("vit_b16", 85_798_656, 768, 196, 12, marks=pytest.mark.large),
    pytest.param("vit_l16", 303_301_632, 1024, 196, 24, marks=pytest.mark.large),
]
TEXT = [
    pytest.param("bert_base", 109_482_240, 768, 12, marks=pytest.mark.large),
    ("bert_tiny", 4_385_920, 128, 2),
    pytest.param("minilm", 22_713_216, 384, 6, marks=pytest.mark.large),
]


@pytest.mark.parametrize(("name", "parameters", "channels", "tokens", "blocks"), IMAGE)
def test_image_architectures(name, parameters, channels, tokens, blocks):
    encoder, converter = encoders.build_image(name, preset=None, seed=0)
    assert encoder.count_params() == parameters
    assert (encoder.output_dim, encoder.num_blocks) == (channels, blocks)
    assert encoder.grid == (int(tokens**0.5), int(tokens**0.5))
    features = encoder(converter(np.zeros((1, 300, 200, 3), "uint8")))
    assert features["tokens"].shape == (1, tokens, channels)
    assert features["pooled"].shape == (1, channels)


@pytest.mark.parametrize(("name", "parameters", "channels", "blocks"), TEXT)
def test_text_architectures(name, parameters, channels, blocks):
    encoder, tokenizer = encoders.build_text(name, preset=None, seed=0)
    assert encoder.count_params() == parameters
    assert (encoder.output_dim, encoder.num_blocks, tokenizer) == (channels, blocks, None)
    ones = np.ones((1, 5), "int32")
    features = encoder({"token_ids": ones, "padding_mask": ones})
    assert features["tokens"].shape == (1, 5, channels)


def test_the_tables_describe_the_real_presets(lite0, minilm):
    random_image, _ = encoders.build_image("efficientnet_lite0", preset=None)
    random_text, _ = encoders.build_text("minilm", preset=None)
    for random, real in ((random_image, lite0[0]), (random_text, minilm[0])):
        assert essential_config(random.backbone) == essential_config(real.backbone)
        assert [w.shape for w in random.weights] == [w.shape for w in real.weights]
        assert random.digest() != real.digest()
