"""Figures: what is seen on them, by pixels, and that nothing global is touched."""

import matplotlib
import numpy as np
import pytest
import tensorflow as tf
from matplotlib import pyplot

from tatl_keras.training import draw_curves, draw_predictions

RIGHT, WRONG, UNKNOWN = (0, 115, 92), (181, 18, 14), (68, 68, 68)
HISTORY = {
    "loss": [1.0, 0.5, 0.25], "accuracy": [0.2, 0.6, 0.8],
    "val_loss": [1.1, 0.7, 0.6], "val_accuracy": [0.2, 0.5, 0.6], "seconds": [1, 1, 1],
}  # fmt: skip


def pixels(path):
    return tf.io.decode_png(tf.io.read_file(str(path)), channels=3).numpy().astype(int)


def count(image, colour, tolerance=12):
    return int((np.abs(image - np.array(colour)).max(axis=-1) <= tolerance).sum())


def example(**changes):
    image = np.full((20, 20, 3), 200, np.uint8)
    base = {"image": image, "text": "a cat", "label": "cat", "predicted": "cat", "probability": 0.9}
    return base | changes


def test_curves_have_two_panels_and_one_colour_a_run(tmp_path):
    path = tmp_path / "curves.png"
    higher = {name: [value + 0.15 for value in values] for name, values in HISTORY.items()}
    draw_curves({"image": HISTORY, "both": higher}, path)
    image = pixels(path)
    half = image.shape[1] // 2
    for part in (image[:, :half], image[:, half:]):
        assert count(part, (0, 114, 178)) > 300 and count(part, (213, 94, 0)) > 300


def test_a_level_is_drawn_and_accuracy_alone_is_enough(tmp_path):
    draw_curves({"run": {"accuracy": [0.5, 0.5]}}, tmp_path / "a.png")
    draw_curves({"run": {"accuracy": [0.5, 0.5]}}, tmp_path / "b.png", levels={"run": 0.9})
    first, second = pixels(tmp_path / "a.png"), pixels(tmp_path / "b.png")
    assert count(second, (0, 114, 178)) > count(first, (0, 114, 178)) + 50


def test_one_epoch_is_seen(tmp_path):
    draw_curves({"run": {"loss": [0.7]}}, tmp_path / "a.png")
    assert count(pixels(tmp_path / "a.png"), (0, 114, 178), 60) > 20


@pytest.mark.parametrize("histories", [{}, {"run": {}}, {"run": {"loss": []}}])
def test_no_curves(tmp_path, histories):
    with pytest.raises(ValueError, match="at least one run.*Received: histories="):
        draw_curves(histories, tmp_path / "a.png")


@pytest.mark.parametrize(
    ("label", "predicted", "colour"),
    [("cat", "cat", RIGHT), ("cat", "dog", WRONG), (None, "dog", UNKNOWN), ("cat", None, UNKNOWN)],
)
def test_the_frame_tells_right_from_wrong(tmp_path, label, predicted, colour):
    path = tmp_path / "p.png"
    draw_predictions([example(label=label, predicted=predicted)], path)
    image = pixels(path)
    found = {c: count(image, c, 2) for c in (RIGHT, WRONG, UNKNOWN)}
    assert found[colour] > 1000 and max(found, key=found.get) == colour


def test_pictures_of_every_kind_are_drawn(tmp_path):
    red = np.zeros((30, 20, 3), np.uint8)
    red[...] = (250, 10, 130)
    encoded = tf.io.encode_png(red).numpy()
    kinds = [red, red.astype("float32"), encoded, b"", "", None, np.zeros((8, 8, 1), np.uint8)]
    path = tmp_path / "p.png"
    draw_predictions([example(image=kind) for kind in kinds], path, columns=3)
    image = pixels(path)
    top, middle = image[: image.shape[0] // 3], image[image.shape[0] // 3 :]
    assert count(top, (250, 10, 130), 2) > 3 * 5000
    assert count(middle, (250, 10, 130), 2) == 0


@pytest.mark.filterwarnings("error")
def test_texts_of_every_kind_are_drawn(tmp_path):
    texts = ["", "costs $5 or $6 _x^2", "猫 Ünï \x00 \\frac", "long " * 200, "x" * 500]
    examples = [example(text=text, predicted="$a$ or $b$") for text in texts]
    draw_predictions(examples, tmp_path / "p.png")


def test_no_examples(tmp_path):
    with pytest.raises(ValueError, match=r"at least one example. Received: examples=\[\]"):
        draw_predictions([], tmp_path / "p.png")


def test_settings_of_the_user_stay(tmp_path):
    before, figures = dict(matplotlib.rcParams), pyplot.get_fignums()
    draw_curves({"run": HISTORY}, tmp_path / "a.svg")
    assert dict(matplotlib.rcParams) == before and pyplot.get_fignums() == figures
    assert (tmp_path / "a.svg").read_text().startswith("<?xml")
