"""The picture of an explanation: what is drawn, where, and in which colours."""

import numpy as np
import pytest
import tensorflow as tf
from matplotlib.image import AxesImage
from matplotlib.patches import FancyBboxPatch, Rectangle

from tatl_keras.training import explanation_text
from tatl_keras.training.explanation_figure import draw_explanation, explanation_figure
from tests.training import explanations
from tests.training.explanations import NAMES, PROBABILITIES

VERMILLION, BLUE = np.array([213, 94, 0]) / 255, np.array([0, 114, 178]) / 255
TEXT = "a dog, asleep"
WHITE = tf.io.encode_png(np.full((40, 60, 3), 255, np.uint8)).numpy()
BLACK = tf.io.encode_png(np.zeros((40, 60, 3), np.uint8)).numpy()


def draw(image=WHITE, text=TEXT, label=None, **changes):
    found = explanations.make(text, bool(image), **changes)
    figure = explanation_figure({"image": image, "text": text, "label": label}, found)
    return found, {axes.get_label(): axes for axes in figure.axes}, figure


def said(axes):
    """All that is written in and on some axes."""
    labels = [axes.title, axes._left_title, axes.xaxis.label]
    return [text.get_text() for text in [*axes.texts, *labels] if text.get_text()]


def drawn(axes):
    """The pixels (H, W, 3) of the one picture on some axes."""
    (image,) = [one for one in axes.get_children() if isinstance(one, AxesImage)]
    return np.asarray(image.get_array())


def bars(axes):
    """Left ends, lengths and colours of horizontal bars, from the top."""
    boxes = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    return [(box.get_x(), box.get_width(), box.get_facecolor()[:3]) for box in boxes]


def test_regions_are_coloured_by_their_values():
    values = np.array([[0.4, -0.4, 0.0], [0.2, -0.1, 0.001]])
    _, axes, _ = draw(regions=values)
    pixels = drawn(axes["regions"])
    height, width, _ = pixels.shape
    assert width / height == pytest.approx(1.5, rel=0.01)
    for (row, column), value in np.ndenumerate(values):
        share = 0.78 * abs(value) / 0.4  # of the strongest, which leaves 22 % of the picture
        wanted = (1 - share) * 0.97 + share * (VERMILLION if value > 0 else BLUE)
        cell = pixels[
            row * height // 2 + 1 : (row + 1) * height // 2 - 1,
            column * width // 3 + 1 : (column + 1) * width // 3 - 1,
        ]
        np.testing.assert_allclose(cell, np.broadcast_to(wanted, cell.shape), atol=0.005)
    texts = [text.get_text() for text in axes["regions"].texts]
    assert texts == ["+0.40", "−0.40", "≈0", "+0.20", "−0.10", "≈0"]
    for text, (row, column) in zip(axes["regions"].texts, np.ndindex(2, 3), strict=True):
        x, y = text.get_position()
        assert (int(3 * x / width), int(2 * y / height)) == (column, row)


def test_colours_are_seen_on_black_and_white():
    for image in (WHITE, BLACK):
        pixels = drawn(draw(image, regions=np.array([[0.0, 0.3, -0.3]]))[1]["regions"])
        ground, for_it, against = pixels[10, ::180][:3]
        assert np.ptp(ground) == 0 and 0.3 < ground[0] < 0.98
        assert for_it[0] - for_it[2] > 0.5 and against[2] - against[0] > 0.4
        assert np.abs(for_it - ground).max() > 0.25 and np.abs(against - ground).max() > 0.25


def test_weak_values_are_not_made_to_look_strong():
    _, axes, _ = draw(regions=np.full((1, 1), 0.002), word_values=np.zeros(3))
    wanted = 0.922 * 0.97 + 0.078 * VERMILLION  # 0.002 of 0.02, the least full colour
    np.testing.assert_allclose(drawn(axes["regions"])[5, 5], wanted, atol=0.005)


def test_words_have_colours_and_numbers_and_the_rest_has_none():
    _, axes, _ = draw(text="a dog, asleep.", regions=np.zeros((2, 3)))
    boxes = [patch for patch in axes["words"].patches if isinstance(patch, FancyBboxPatch)]
    for box, value in zip(boxes, [0.1, -0.2, 0.1], strict=True):
        share = 0.78 * abs(value) / 0.2
        wanted = (1 - share) + share * (VERMILLION if value > 0 else BLUE)
        np.testing.assert_allclose(box.get_facecolor()[:3], wanted, atol=1e-6)
    assert said(axes["words"])[1:] == [*("a", "+0.10", "dog", "−0.20", ",", "asleep", "+0.10", ".")]
    texts = {text.get_text(): text.get_position() for text in axes["words"].texts}
    assert texts["a"][0] < texts["dog"][0] < texts[","][0] < texts["asleep"][0] < texts["."][0]
    assert texts["dog"][1] < texts["−0.20"][1] and texts["dog"][0] == texts["−0.20"][0]


def test_words_from_the_right():
    hello, world = "שלום", "עולם"
    _, axes, _ = draw(text=f"{hello} {world}")
    places = {text.get_text(): text.get_position()[0] for text in axes["words"].texts}
    assert places[world] < places[hello] < axes["words"].get_xlim()[1]
    assert places[hello] > axes["words"].get_xlim()[1] - 1


def test_long_words_and_long_texts_stay_on_the_page():
    _, axes, figure = draw(text="x" * 300 + " " + "word " * 400)
    renderer = figure.canvas.get_renderer()
    right = figure.bbox.x1
    for text in axes["words"].texts:
        box = text.get_window_extent(renderer)
        assert box.x0 >= 0 and box.x1 <= right
    letters = "".join(t for t in said(axes["words"]) if set(t) == {"x"})
    assert letters == "x" * 300
    shown = said(axes["words"]).count("word")
    assert said(axes["words"])[-1] == f"… and {400 - shown} more" and 50 < shown < 200


def test_an_endless_word_is_measured_no_further_than_the_page(monkeypatch):
    measured, width = [], explanation_text.text_width

    def counted(text, *args):
        measured.append(len(text))
        return width(text, *args)

    monkeypatch.setattr(explanation_text, "text_width", counted)
    _, axes, _ = draw(text="x" * 5000)
    lines = [text for text in said(axes["words"]) if set(text) == {"x"}]
    assert len(lines) == 12 and said(axes["words"])[-1] == "… and 1 more"
    assert sum(measured) < 30_000 and max(measured) < 300


@pytest.mark.parametrize(("height", "width"), [(60, 400), (1, 400), (400, 60)])
def test_panels_are_no_higher_than_the_picture(height, width):
    picture = tf.io.encode_png(np.full((height, width, 3), 200, np.uint8)).numpy()
    grades = {"gradient": explanations.grade("it looks alike with random weights " * 3)}
    _, axes, figure = draw(picture, maps=MAPS)
    inches = figure.get_size_inches()
    places = {name: one.get_position(original=True) for name, one in axes.items()}
    size = places["regions"].width * inches[0], places["regions"].height * inches[1]
    assert size[1] == pytest.approx(max(0.2, size[0] * min(1, height / width)), rel=0.02)
    below = (places["regions"].y0 - places["words"].y1) * inches[1]
    assert 0.2 < below < 1.2
    _, axes, figure = draw(picture, maps=MAPS, grades=grades)
    (note,) = axes["gradient"].texts
    box = axes["gradient"].get_window_extent()
    assert note.get_window_extent(figure.canvas.get_renderer()).height < box.height


def test_bars_are_the_probabilities_with_their_errors():
    found, axes, _ = draw(label="ibis")
    order = [0, 1, 2, 3, 4, 6]
    assert [b[:2] for b in bars(axes["classes"])] == [(0, PROBABILITIES[i]) for i in order]
    assert [t.get_text() for t in axes["classes"].get_yticklabels()] == [
        *(NAMES[i] for i in order[:-1]),
        "✓ ibis",
    ]
    (errors,) = axes["classes"].collections
    for line, i in zip(errors.get_segments(), order, strict=True):
        middle, half = PROBABILITIES[i], found.probability_error[i]
        np.testing.assert_allclose(line[:, 0], [middle - half, middle + half])
    assert said(axes["classes"])[:2] == ["50.0%", "20.0%"]
    _, axes, _ = draw(probability_error=None)
    assert not axes["classes"].collections


def test_modalities_lead_from_nothing_to_the_probability():
    modality = {"image": 0.6, "text": -0.15}
    _, axes, _ = draw(modality=modality)
    wanted = [(0, 0.05), (0.05, 0.6), (0.65, -0.15), (0, 0.5)]
    np.testing.assert_allclose([bar[:2] for bar in bars(axes["modalities"])], wanted)
    colours = [bar[2] for bar in bars(axes["modalities"])]
    np.testing.assert_allclose(colours[1:3], [VERMILLION, BLUE], atol=1e-6)
    texts = [text.get_text() for text in axes["modalities"].texts]
    assert texts == ["5.0%", "+0.60", "−0.15", "50.0%"]


MAPS = {
    "gradient": explanations.make_map("gradient", np.eye(7)),
    "attention": explanations.make_map("attention", np.ones((7, 7)), np.array([0.1, 0.6, 0.3])),
    "attention_head_image_1": explanations.make_map("attention_head_image_1", np.ones((7, 7))),
}


def test_a_refused_map_is_named_and_not_drawn():
    grades = {"shapley": explanations.grade(), "gradient": explanations.grade("looks random")}
    _, axes, _ = draw(maps=MAPS, grades=grades | {"attention": explanations.grade()})
    assert set(axes) == {
        *("picture", "regions", "gradient", "attention", "words", "words: attention"),
        *("scale", "classes", "modalities"),
    }
    assert not any(isinstance(one, AxesImage) for one in axes["gradient"].get_children())
    assert said(axes["gradient"])[0].split() == ["refused:", "looks", "random"]
    assert drawn(axes["attention"]).shape[-1] == 3
    below = axes["regions"].xaxis.label.get_text().splitlines()
    assert below == [
        *("✓ deletion 0.21, random 0.44", "✓ insertion 0.71, random 0.50"),
        *("random weights: r = 0.03", "standard error ≤ 0.001"),
    ]


def test_refused_values_leave_picture_and_words_plain():
    grades = {"shapley": explanations.grade("the sum is wrong")}
    _, axes, _ = draw(grades=grades)
    assert not axes["words"].patches
    assert said(axes["regions"])[0].split() == ["refused:", "the", "sum", "is", "wrong"]
    assert said(axes["words"])[:2] == ["Words", "refused: the sum is wrong"]


def test_a_map_of_cells_is_strongest_where_it_is_largest():
    values = np.zeros((4, 6))
    values[0, 5] = 2.0
    maps = {"gradient": explanations.make_map("gradient", values)}
    _, axes, _ = draw(maps=maps)
    pixels = drawn(axes["gradient"])
    redness = pixels[..., 0] - pixels[..., 2]
    row, column = np.unravel_index(redness.argmax(), redness.shape)
    assert row < pixels.shape[0] / 4 and column > pixels.shape[1] * 5 / 6
    assert redness[-1, 0] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("image", [WHITE, b""], ids=["picture", "none"])
@pytest.mark.parametrize(
    ("text", "label", "graded"),
    [(TEXT, None, 1), (TEXT, "cat", 0), ("", "dog", 1), (" \n", "cat", 0)],
)
def test_every_combination_is_drawn(image, text, label, graded):
    maps = MAPS if image and text.strip() and graded else {}
    grades = {name: explanations.grade() for name in ("shapley", *maps)} if graded else {}
    _, axes, figure = draw(image, text, label, maps=maps, grades=grades)
    assert ("regions" in axes) == bool(image) and {"classes", "modalities"} <= set(axes)
    assert bool(drawn(axes["picture"]).size if image else True)
    assert ("no picture" in said(axes["picture"])) == (not image)
    assert ("No text" in said(axes["words"])) == (not text.strip())
    texts = [one.get_text() for one in axes["modalities"].texts]
    assert texts.count("none") == (not image) + (not text.strip())
    title, facts, notes = [one.get_text() for one in figure.texts]
    mark = {None: "", "cat": "✓ ", "dog": "✗ "}[label]
    assert title == f"{mark}cat  50.0% ± 1.0%" and facts.startswith("label: ") == bool(label)
    assert notes.startswith("±: standard deviation") and ("Deletion" in notes) == graded


def test_what_the_model_does_not_read_is_said():
    _, axes, _ = draw(evidence="text", maps=MAPS)
    assert "regions" not in axes and "not read by the model" in said(axes["picture"])
    assert drawn(axes["picture"]).shape[-1] == 3
    _, axes, _ = draw(evidence="image", words=[], word_values=np.zeros(0), word_errors=np.zeros(0))
    assert said(axes["words"]) == ["Text", "not read by the model", "a", "dog,", "asleep"]


def test_a_text_that_is_cut_off():
    words = [{"text": "dog", "start": 2, "end": 5}]
    _, axes, _ = draw(words=words, word_values=np.ones(1), word_errors=np.zeros(1))
    note = "The model does not read the end of the text, which is grey."
    assert said(axes["words"]) == ["Words", note, "a", "dog", "+1.00", ",", "asleep"]


def test_grades_stand_beside_words_where_there_is_no_picture():
    maps = {"gradient": explanations.make_map("gradient", None, np.array([0.1, 0.6, 0.3]))}
    grades = {"shapley": explanations.grade(), "gradient": explanations.grade()}
    _, axes, _ = draw(b"", maps=maps, grades=grades)
    note = "✓ deletion 0.21, random 0.44 · ✓ insertion 0.71, random 0.50 · random weights: r = 0.03"
    assert said(axes["words"])[:2] == ["Words", note]
    assert said(axes["words: gradient"])[:2] == ["Words: the gradient", note]


def test_another_class_than_the_answer():
    _, _, figure = draw(class_name="ibis", class_index=6, label="cat")
    assert figure.texts[0].get_text().startswith("✓ cat")
    assert figure.texts[1].get_text().startswith("explained here: ibis, 2.0%  ·  label: cat")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "text",
    ["costs $5 or $6 _x^2", "猫 Ünï \x00 \\frac", "👩‍👩‍👧 family 😀", "a\u200b\ufeff \ud800 b"],
)
def test_texts_of_every_kind_are_drawn(tmp_path, text):
    names = [f"$a$ {text} " * 20, *NAMES[1:]]
    found = explanations.make(text, True, class_names=names, class_name=names[0])
    path = tmp_path / "a.png"
    draw_explanation({"image": WHITE, "text": text, "label": names[0]}, found, str(path))
    assert tf.io.decode_png(path.read_bytes()).shape[-1] in (3, 4)


def test_the_file_has_the_kind_of_its_name(tmp_path):
    example = {"image": b"", "text": "a", "label": None}
    draw_explanation(example, explanations.make("a", False), tmp_path / "a.svg")
    assert (tmp_path / "a.svg").read_text().startswith("<?xml")
    assert [path.name for path in tmp_path.iterdir()] == ["a.svg"]


def test_examples_that_are_none():
    with pytest.raises(ValueError, match="image, text and label. Received: .* without label, text"):
        draw_explanation({"image": b""}, explanations.make(), "a.png")
