"""What encoders are shown of an example with parts left out."""

import types

import numpy as np

from tatl_keras.models.explanation.game import Game
from tatl_keras.models.explanation.players import Picture, Text

CONVERTER = types.SimpleNamespace(image_size=(8, 12))


class Encoder:
    """Stands for `Answers`: its features are the pictures."""

    model = types.SimpleNamespace(
        encoders={"image": None}, preprocessor=types.SimpleNamespace(image_converter=CONVERTER)
    )

    def __init__(self):
        self.shown = []

    def encode(self, modality, inputs, there):
        self.shown.append(len(there))
        assert inputs.shape == (len(there), 8, 12, 3)
        return {"image_tokens": inputs, "has_image": there}


def test_pictures_are_made_in_parts_and_features_kept(rng):
    picture = Picture(rng.random((8, 12, 3), np.float32), (4, 4))
    members = rng.random((80, 16)) < 0.5
    members[3] = False
    game = Game(Encoder(), picture, Text("", [], [], None))
    first = game.rows("image", members[:5])
    assert game.answers.shown == [5]
    rows = game.rows("image", members)
    assert game.answers.shown == [5, 32, 32, 11]
    np.testing.assert_array_equal(rows, np.arange(80))
    np.testing.assert_array_equal(first, rows[:5])
    kept = game._features["image"]
    np.testing.assert_array_equal(kept["image_tokens"], picture.inputs(members, None))
    np.testing.assert_array_equal(kept["has_image"], members.any(axis=1))
