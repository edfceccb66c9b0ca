"""What a model sees of a picture, against what its converter really makes of it."""

import keras_hub
import numpy as np
import pytest
import tensorflow as tf

from tatl_keras import data
from tatl_keras.training import picture_view
from tatl_keras.training.explanation_figure import explanation_figure
from tatl_keras.training.explanation_heat import pixels_of
from tests.training import explanations


class Model:
    """As much of a model as is looked at."""

    def __init__(self, size, **options):
        converter = keras_hub.layers.ImageConverter(image_size=size, **options)
        self.preprocessor = data.Preprocessor(converter)


def ramp(height, width):
    """A picture whose red grows to the right and whose green grows to the bottom."""
    rows = np.linspace(20, 220, height)[:, None] * np.ones((1, width))
    columns = np.linspace(20, 220, width) * np.ones((height, 1))
    pixels = np.stack([columns, rows, 0 * rows + 255], axis=-1)
    return tf.io.encode_png(pixels.round().astype(np.uint8)).numpy()


FILLED = {"crop_to_aspect_ratio": False, "pad_to_aspect_ratio": True}


@pytest.mark.parametrize("options", [{}, {"crop_to_aspect_ratio": False}, FILLED], ids=str)
@pytest.mark.parametrize("shape", [(60, 200), (200, 60), (81, 200)])
@pytest.mark.parametrize("size", [(48, 48), (32, 64)])
def test_it_is_what_the_converter_hands_on(options, shape, size):
    model, image = Model(size, **options), ramp(*shape)
    seen = model.preprocessor({"image": [image]})["images"][0].numpy()
    view = picture_view(model, image)
    cut = pixels_of(image, view)
    assert cut.shape[1] / cut.shape[0] == pytest.approx(
        shape[1] * (view[3] - view[1]) / (shape[0] * (view[2] - view[0])), rel=0.02
    )
    drawn = tf.image.resize(cut.astype(np.float32), size, "area").numpy()
    blue = np.pad(seen[..., 2] > 250, 2)  # what is not filled up, but for its rim
    inside = np.all([np.roll(blue, step, axis) for step in (-2, 2) for axis in (0, 1)], axis=0)
    inside = inside[2:-2, 2:-2] & blue[2:-2, 2:-2]
    assert inside.sum() > 100
    np.testing.assert_allclose(drawn[inside][:, :2], seen[inside][:, :2], atol=8)


def test_what_has_no_picture_is_seen_whole():
    assert picture_view(Model((48, 48)), b"") == (0, 0, 1, 1)
    model = Model((48, 48))
    model.preprocessor = None
    assert picture_view(model, ramp(10, 30)) == (0, 0, 1, 1)


def test_maps_lie_on_what_is_seen_and_a_frame_says_so():
    example = {"image": ramp(60, 180), "text": "", "label": None, "view": (0, 1 / 3, 1, 2 / 3)}
    figure = explanation_figure(example, explanations.make())
    axes = {axes.get_label(): axes for axes in figure.axes}
    (whole,), (part,) = axes["picture"].images, axes["regions"].images
    assert whole.get_array().shape[1] == 3 * whole.get_array().shape[0]
    assert part.get_array().shape[1] == part.get_array().shape[0]
    frame = axes["picture"].patches[-1]
    assert (frame.get_x(), frame.get_width()) == pytest.approx((159.5, 160))
    assert axes["picture"].xaxis.label.get_text().startswith("The model sees what is in the frame")
    figure = explanation_figure(example | {"view": (0, 0, 1, 1)}, explanations.make())
    assert not figure.axes[0].patches and not figure.axes[0].xaxis.label.get_text()
