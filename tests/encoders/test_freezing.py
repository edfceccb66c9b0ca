"""Frozen means frozen: inference mode, no weight learns, no gradient; unfreezing is exact."""

import warnings

import keras
import keras_hub
import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import encoders
from tests.encoders.cases import ALL, RESNET, changed, inputs_of, model_of, values

LABELS = np.array([0, 1, 0])
# Encoders whose network differs between training and inference (dropout or BatchNorm).
MOVING = ["test_image", "test_vit", "resnet", "test_text", "distil_bert", "lstm", "transformer"]


def pooled(encoder, inputs, training):
    return keras.ops.convert_to_numpy(encoder(inputs, training=training)["pooled"])


def moving_statistics(encoder):
    return {w.path for w in encoder.weights if "moving" in w.path}


@pytest.mark.parametrize("name", MOVING)
def test_training_mode_has_no_effect_while_frozen(name):
    encoder, inputs = ALL[name](frozen=True), inputs_of(name)
    inference = pooled(encoder, inputs, False)
    np.testing.assert_array_equal(pooled(encoder, inputs, True), inference)
    np.testing.assert_array_equal(pooled(encoder, inputs, True), inference)
    encoder.unfreeze()
    assert np.abs(pooled(encoder, inputs, True) - inference).max() > 1e-4
    encoder.freeze()
    assert encoder.frozen
    if not moving_statistics(encoder):
        np.testing.assert_array_equal(pooled(encoder, inputs, True), inference)


@pytest.mark.parametrize("name", ["test_image", "test_vit", "resnet", "test_text", "lstm"])
def test_fit_changes_no_bit_of_a_frozen_encoder(name):
    encoder = ALL[name]()
    encoder.freeze()
    before = values(encoder)
    model = model_of(name, encoder, run_eagerly=False)
    head = values(model.get_layer("head"))
    model.fit(inputs_of(name), LABELS, epochs=2, verbose=0)
    assert changed(before, encoder) == set()
    assert len(changed(head, model.get_layer("head"))) == 2
    assert model.trainable_weights == model.get_layer("head").trainable_weights
    assert encoder.trainable_weights == []


@pytest.mark.parametrize("name", ALL)
def test_gradients_stop_at_a_frozen_encoder(name):
    encoder, inputs = ALL[name](), inputs_of(name)
    watched = [w.value for w in encoder.weights]

    def gradients():
        with tf.GradientTape() as tape:
            tape.watch(watched)
            features = encoder(inputs)
            loss = tf.reduce_sum(features["pooled"] ** 2) + tf.reduce_sum(features["tokens"] ** 2)
        return tape.gradient(loss, watched)

    encoder.freeze()
    assert gradients() == [None] * len(watched)
    encoder.unfreeze()
    assert sum(g is not None for g in gradients()) >= len(encoder.trainable_weights)


@pytest.mark.parametrize("name", ALL)
def test_keras_flags_do_not_unfreeze(name):
    encoder = ALL[name]()
    encoder.freeze()
    model = model_of(name, encoder)
    model.trainable = False
    model.trainable = True
    assert encoder.trainable_weights == []
    assert len(model.trainable_weights) == 2
    encoder.unfreeze()
    count = len(encoder.trainable_weights)
    model.trainable = False
    assert not [w for w in encoder.weights if w.trainable]
    model.trainable = True
    assert len(encoder.trainable_weights) == count > 0


def test_a_backbone_that_says_frozen_but_is_not_is_repaired():
    backbone = keras_hub.models.ViTBackbone(
        image_shape=(8, 8, 3),
        patch_size=4,
        num_layers=1,
        num_heads=1,
        hidden_dim=6,
        mlp_dim=7,
        trainable=False,
    )
    assert any(w.trainable for w in backbone.weights)
    encoder = encoders.ImageEncoder(backbone)
    assert not any(w.trainable for w in encoder.weights)


@pytest.mark.parametrize("name", ["test_image", "test_text"])
def test_loading_keeps_the_state_and_the_optimizer(name, tmp_path):
    encoder = ALL[name]()
    model = model_of(name, encoder)
    inputs = inputs_of(name)
    model.fit(inputs, LABELS, epochs=3, batch_size=3, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    again = loaded.get_layer(encoder.name)
    assert int(loaded.optimizer.iterations.numpy()) == 3
    assert [v.shape for v in loaded.optimizer.variables] == [
        v.shape for v in model.optimizer.variables
    ]
    before = values(again)
    loaded.fit(inputs, LABELS, verbose=0)
    model.fit(inputs, LABELS, verbose=0)
    assert changed(before, again) == set()
    assert int(loaded.optimizer.iterations.numpy()) == 4
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(loaded(inputs)),
        keras.ops.convert_to_numpy(model(inputs)),
        rtol=1e-5,
        atol=1e-6,
    )


def test_loading_keeps_partly_unfrozen_blocks(tmp_path):
    encoder = ALL["test_text"]()
    encoder.unfreeze(last_n=1)
    model = model_of("test_text", encoder)
    model.fit(inputs_of("test_text"), LABELS, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    again = loaded.get_layer(encoder.name)
    assert (again.frozen, again.unfrozen_last_n) == (False, 1)
    assert len(again.trainable_weights) == 16
    assert len(loaded.optimizer.variables) == len(model.optimizer.variables)
    before = values(again)
    loaded.fit(inputs_of("test_text"), LABELS, verbose=0)
    assert changed(before, again) == {w.path for w in again.trainable_weights}


def test_clones_are_frozen_too():
    model = model_of("test_image", ALL["test_image"]())
    clone = keras.models.clone_model(model)
    assert len(clone.trainable_weights) == 2


# name, last_n → pattern that the path of every learning weight contains.
PARTS = [
    ("test_image", 1, ("block2b_", "top_")),
    ("test_image", 3, ("block1a_", "block2a_", "block2b_", "top_")),
    ("test_vit", 1, ("transformer_block_2/", "vit_encoder/ln/")),
    ("test_vit", 2, ("transformer_block_", "vit_encoder/ln/")),
    ("resnet", 1, ("stack1_block1_",)),
    ("resnet", 3, ("stack",)),
    ("test_text", 1, ("transformer_layer_1/",)),
    ("distil_bert", 2, ("transformer_layer_1/", "transformer_layer_2/")),
    ("lstm", 1, ("_lstm/",)),
    ("lstm", 2, ("_lstm/", "token_embedding/")),
    ("embed", 1, ("token_embedding/",)),
    ("transformer", 1, ("block_1/", "output_norm/")),
]


@pytest.mark.parametrize(("name", "last_n", "parts"), PARTS)
def test_unfreezing_the_last_blocks_is_exact(name, last_n, parts):
    encoder = ALL[name]()
    encoder.freeze()
    encoder.unfreeze(last_n=last_n)
    learns = {
        w.path
        for w in encoder.weights
        if any(part in w.path for part in parts) and "moving" not in w.path
    }
    assert {w.path for w in encoder.trainable_weights} == learns
    assert (encoder.frozen, encoder.unfrozen_last_n) == (False, last_n)
    before = values(encoder)
    model = model_of(name, encoder)
    model.fit(inputs_of(name), LABELS, verbose=0)
    statistics = {p for p in moving_statistics(encoder) if any(part in p for part in parts)}
    allowed = learns | statistics
    found = changed(before, encoder)
    assert found <= allowed
    assert statistics <= found
    # A key's bias shifts all scores alike: softmax gives it no gradient but rounding.
    assert {p for p in learns - found if "key/bias" not in p} == set()


@pytest.mark.parametrize("name", ALL)
def test_unfreezing_all(name):
    encoder = ALL[name]()
    encoder.freeze()
    encoder.unfreeze()
    expected = {
        w.path
        for w in encoder.weights
        if not any(part in w.path for part in ("moving", "pooled_dense", "position_ids"))
    }
    assert {w.path for w in encoder.trainable_weights} == expected
    assert (encoder.frozen, encoder.unfrozen_last_n) == (False, None)
    model = model_of(name, encoder)
    before = values(encoder)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Gradients do not exist")
        model.fit(inputs_of(name), LABELS, verbose=0)
    assert changed(before, encoder) <= expected | moving_statistics(encoder)


def test_backbone_flags_agree_with_the_state():
    encoder = ALL["test_vit"]()
    encoder.unfreeze(last_n=1)
    assert len(encoder.backbone.trainable_weights) == len(encoder.trainable_weights) == 18
    encoder.freeze()
    assert encoder.backbone.trainable is False


@pytest.mark.parametrize(
    ("name", "value"), [("test_text", 3), ("test_text", 0), ("resnet", -1), ("test_vit", True)]
)
def test_a_wrong_number_of_blocks_is_refused(name, value):
    encoder = ALL[name]()
    count = encoder.num_blocks
    with pytest.raises(ValueError, match=rf"`last_n`.*\({count}\).*last_n={value!r}\."):
        encoder.unfreeze(last_n=value)
    assert encoder.frozen and not encoder.trainable_weights
    config = {**encoder.get_config(), "frozen": False, "unfrozen_last_n": value}
    with pytest.raises(ValueError, match=rf"`unfrozen_last_n`.*unfrozen_last_n={value!r}\."):
        type(encoder).from_config(config)


def test_blocks_must_be_known_for_last_n():
    inputs = keras.Input((None, None, 3))
    plain = keras.Model(inputs, keras.layers.Conv2D(5, 3)(inputs))
    encoder = encoders.ImageEncoder(plain)
    assert encoder.num_blocks == 0
    with pytest.raises(ValueError, match=r"without recognised blocks. Received: last_n=2"):
        encoder.unfreeze(last_n=2)
    encoder.unfreeze()
    assert len(encoder.trainable_weights) == 2


def test_contradicting_states_are_refused():
    backbone = keras_hub.models.ResNetBackbone(**RESNET)
    with pytest.raises(ValueError, match=r"`unfrozen_last_n`.*unfrozen_last_n=2"):
        encoders.ImageEncoder(backbone, frozen=True, unfrozen_last_n=2)
    with pytest.raises(ValueError, match=r"`frozen`.*frozen='yes'"):
        encoders.ImageEncoder(backbone, frozen="yes")


def test_a_layer_that_ignores_its_flag_is_noticed():
    class Stubborn(keras.layers.Dense):
        @property
        def trainable(self):
            return True

        @trainable.setter
        def trainable(self, value):
            pass

    inputs = keras.Input((2, 2, 3))
    backbone = keras.Model(inputs, Stubborn(5, name="stubborn")(inputs))
    with pytest.raises(RuntimeError, match=r"2 of them, the first is 'stubborn/kernel'"):
        encoders.ImageEncoder(backbone)


def test_refrozen_weights_are_not_the_presets_any_more():
    encoder, _ = encoders.build_image("efficientnet_lite0")
    encoder.freeze()
    assert encoder.preset == "efficientnet_lite0"
    encoder.unfreeze(last_n=1)
    assert encoder.preset == "efficientnet_lite0"
    encoder.freeze()
    assert encoder.preset is None
