"""Entries of local self-attention: their stems, and that they learn from pictures."""

import keras
import numpy as np
import pytest

from tatl_keras import data, encoders, zoo


def test_the_stem_is_an_argument():
    for stem, name in (("conv", "test_sasa"), ("attention", "test_sasa_full")):
        model = zoo.build("test_sasa", num_classes=3, stem=stem, seed=1)
        same, _ = encoders.build_image(name, seed=1)
        assert model.image_encoder.digest() == same.digest()
        assert model.name == "test_sasa" and model.text_encoder is None
    with pytest.raises(ValueError, match="`stem` must be one of 'conv', 'attention'.*'pool'"):
        zoo.build("test_sasa", num_classes=3, stem="pool")


def test_it_is_composed_with_text_as_any_other():
    model = zoo.compose(2, image="test_sasa_full", text="embed", fusion="cross")
    assert not model.image_encoder.frozen
    x = {"image": [np.full((32, 32, 3), 99, "uint8")] * 2, "text": ["a cat", "a dog"]}
    model.fit(x, [0, 1], epochs=1, verbose=0)
    assert np.isfinite(model.predict(x, verbose=0)).all()


def test_saved_and_exported(tmp_path):
    model = zoo.build("test_sasa", num_classes=2, class_names=["dark", "light"], seed=0)
    model.head.kernel.assign(np.random.default_rng(0).normal(size=model.head.kernel.shape))
    x = {"image": [np.full((32, 32, 3), value, "uint8") for value in (9, 200)]}
    before = model.predict(x, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), before)
    assert not loaded.image_encoder.frozen
    model.save_to_preset(tmp_path / "preset")
    again = zoo.from_preset(tmp_path / "preset")
    np.testing.assert_array_equal(again.predict(x, verbose=0), before)


@pytest.mark.parametrize("stem", ["conv", "attention"])
def test_it_learns_from_pictures(shared, stem):
    """Eight classes of drawings at 32 × 32 pixels; the most frequent one is 18 % of them."""
    folder = shared / "data" / "emoji"
    if not folder.is_dir():
        pytest.skip("needs ../shared/data/emoji, which is not here")
    train, test = data.load(
        str(folder / "manifest.jsonl"),
        splits=("train", "test"),
        where={"vendor": "google"},
        seed=0,
        verbose=False,
    )
    model = zoo.build("test_sasa", num_classes=8, stem=stem, seed=0)
    model.optimizer.learning_rate = 0.003
    history = model.fit(train, epochs=5, batch_size=64, verbose=0).history
    assert history["loss"][0] > 1.75 and history["loss"][-1] < 1.5
    assert history["accuracy"][-1] > 0.4
    assert model.evaluate(test, verbose=0, return_dict=True)["accuracy"] > 0.3
