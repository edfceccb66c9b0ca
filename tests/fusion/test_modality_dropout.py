"""Rows that lose a modality: which, how often, and what is left of them."""

import keras
import numpy as np
import pytest

from tatl_keras import fusion

ROWS = 4000


def _features(rows=ROWS):
    """Four kinds of rows in turn: both, image only, text only, nothing."""
    kind = np.arange(rows) % 4
    has = {"image": (kind < 2).astype("int32"), "text": ((kind == 0) | (kind == 2)).astype("int32")}
    features = {}
    for modality, present in has.items():
        features[f"has_{modality}"] = present
        features[f"{modality}_mask"] = present[:, None] * np.ones((rows, 3), "int32")
        features[f"{modality}_pooled"] = np.ones((rows, 2), "float32")
    return features


def _arrays(features):
    return {name: np.asarray(value) for name, value in features.items()}


def test_takes_one_of_two_at_its_rate_and_never_the_last():
    features = _features()
    kept = _arrays(fusion.ModalityDropout(0.4, seed=1)(features, training=True))
    both = features["has_image"] & features["has_text"] == 1
    image, text = kept["has_image"][both], kept["has_text"][both]
    spread = 4 * np.sqrt(0.2 * 0.8 / both.sum())  # four standard deviations of a share of 0.2
    assert abs((1 - image).mean() - 0.2) < spread
    assert abs((1 - text).mean() - 0.2) < spread
    assert (image | text).all()
    for name in ("has_image", "has_text"):
        np.testing.assert_array_equal(kept[name][~both], features[name][~both])


def test_masks_follow_and_values_stay():
    features = _features()
    kept = _arrays(fusion.ModalityDropout(0.5, seed=1)(features, training=True))
    for modality in ("image", "text"):
        want = kept[f"has_{modality}"][:, None] * features[f"{modality}_mask"]
        np.testing.assert_array_equal(kept[f"{modality}_mask"], want)
        assert kept[f"{modality}_mask"].dtype == "int32"
        np.testing.assert_array_equal(kept[f"{modality}_pooled"], features[f"{modality}_pooled"])


def test_draws_anew_at_every_call_and_alike_from_one_seed():
    features = _features(400)
    one, other = (fusion.ModalityDropout(0.5, seed=3) for _ in range(2))
    draws = [np.asarray(one(features, training=True)["has_text"]) for _ in range(2)]
    again = [np.asarray(other(features, training=True)["has_text"]) for _ in range(2)]
    assert (draws[0] != draws[1]).any()
    np.testing.assert_array_equal(draws, again)


@pytest.mark.parametrize("rate, training", [(0.0, True), (0.9, False), (0.9, None)])
def test_leaves_everything_alone(rate, training):
    features = _features(8)
    kept = _arrays(fusion.ModalityDropout(rate)(features, training=training))
    for name, value in features.items():
        np.testing.assert_array_equal(kept[name], value)


def test_leaves_a_single_modality_alone():
    features = {"has_image": np.ones(50, "int32"), "image_pooled": np.ones((50, 2))}
    kept = fusion.ModalityDropout(0.9)(features, training=True)
    assert np.asarray(kept["has_image"]).all()


def test_comes_back_from_its_config():
    layer = fusion.ModalityDropout(0.25, seed=7)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert (again.rate, again.seed) == (0.25, 7)


@pytest.mark.parametrize("rate", [1.0, -0.1, "half"])
def test_refuses_a_wrong_rate(rate):
    with pytest.raises(ValueError, match=rf"`rate` must be .* Received: rate={rate!r}"):
        fusion.ModalityDropout(rate)
