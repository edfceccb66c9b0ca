"""The fingerprint follows the network and nothing else."""

import keras
import keras_hub
import numpy as np
import pytest

from tatl_keras import encoders
from tatl_keras.encoders import freezing
from tests.encoders.cases import ALL, RESNET, TRANSFORMER


@pytest.mark.parametrize("name", ["test_image", "lstm"])
def test_one_bit_of_any_weight_changes_it(name):
    encoder = ALL[name]()
    digest = encoder.digest()
    assert len(digest) == 64 and int(digest, 16) >= 0
    for weight in encoder.weights:
        old = weight.numpy()
        new = old.copy()
        bits = new.reshape(-1)[-1:].view("uint32")
        bits ^= 1
        weight.assign(new)
        assert encoder.digest() != digest, weight.path
        weight.assign(old)
    assert encoder.digest() == digest


@pytest.mark.parametrize("name", ALL)
def test_it_does_not_depend_on_state_names_or_preset(name):
    encoder = ALL[name]()
    digest = encoder.digest()
    encoder.freeze()
    assert encoder.digest() == digest
    encoder.unfreeze()
    assert encoder.digest() == digest
    config = {**encoder.get_config(), "name": "other", "preset": "elsewhere", "frozen": False}
    again = type(encoder).from_config(config)
    for old, new in zip(encoder.weights, again.weights, strict=True):
        new.assign(old)
    assert again.digest() == digest


def test_it_depends_on_dtype_shape_and_architecture():
    def built(**kwargs):
        encoder = encoders.ImageEncoder(keras_hub.models.ResNetBackbone(**{**RESNET, **kwargs}))
        for weight in encoder.weights:
            weight.assign(np.full(weight.shape, 0.5))
        return encoder.digest()

    plain = built()
    assert built() == plain
    assert built(dtype="bfloat16") != plain
    assert built(stackwise_num_strides=[1, 1]) != plain
    assert built(stackwise_num_filters=[64, 5]) != plain
    assert built(name="other", trainable=False) == plain


def test_pooling_counts():
    backbone = keras_hub.models.DistilBertBackbone(**TRANSFORMER)
    mean, cls = (
        encoders.TransformerTextEncoder(backbone, pooling=pooling) for pooling in ("mean", "cls")
    )
    assert mean.digest() != cls.digest()


def test_swapping_two_weights_changes_it():
    encoder = ALL["test_text"]()
    digest = encoder.digest()
    query, key = (
        next(
            w
            for w in encoder.weights
            if w.path.endswith(f"layer_0/self_attention_layer/{n}/kernel")
        )
        for n in ("query", "key")
    )
    first, second = query.numpy(), key.numpy()
    query.assign(second)
    key.assign(first)
    assert encoder.digest() != digest


def test_loading_weights_under_another_policy_keeps_it(tmp_path):
    encoder = ALL["test_image"]()
    encoder.backbone.save_weights(tmp_path / "w.weights.h5")
    again = encoders.build_image("test_image", seed=7)[0]
    assert again.digest() != encoder.digest()
    again.backbone.load_weights(tmp_path / "w.weights.h5")
    assert again.digest() == encoder.digest()
    keras.config.set_dtype_policy("mixed_bfloat16")
    assert again.digest() == encoder.digest()


def test_equal_bytes_of_another_shape_or_dtype_change_it():
    zeros = np.zeros((2, 6), "float32")
    digests = {
        freezing.digest(*arguments)
        for arguments in [
            ("a", [1], [zeros]),
            ("a", [1], [zeros.reshape(3, 4)]),
            ("a", [1], [zeros.view("int32")]),
            ("a", [1], [zeros[:1], zeros[1:]]),
            ("a", [2], [zeros]),
            ("b", [1], [zeros]),
        ]
    }
    assert len(digests) == 6
    assert freezing.digest("a", [1], [zeros]) == freezing.digest("a", [1], [zeros.copy("F")])
