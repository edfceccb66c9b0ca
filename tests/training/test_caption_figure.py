"""Pictures of where models looked that write: words and their attention, panels, alignments."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from matplotlib.image import AxesImage

from tatl_keras.models import Generation
from tatl_keras.training import attended_words, draw_alignment, draw_caption
from tatl_keras.training.alignment_figure import alignment_figure
from tatl_keras.training.caption_figure import caption_figure

VERMILLION = np.array([213, 94, 0]) / 255
WHITE = tf.io.encode_png(np.full((40, 60, 3), 255, np.uint8)).numpy()
LONG = "incomprehensibilities-and-antidisestablishmentarianism"


def generation(text, tokens, attention=None, grid=(1, 3), **changes):
    """A text whose pieces look at 1/S everywhere, or as `attention` (pieces, S) says."""
    if attention is None:
        attention = np.full((len(tokens), grid[0] * grid[1]), 1 / (grid[0] * grid[1]))
    known = {"valid": True, "log_prob": -2.5, "score": -2.5, "finished": True}
    attention = np.asarray(attention, np.float32)
    return Generation(text, tokens=tuple(tokens), attention=attention, grid=grid, **known | changes)


def by_label(figure):
    return {axes.get_label(): axes for axes in figure.axes}


def drawn(axes):
    """The pixels (H, W, 3) of the one picture on some axes."""
    (image,) = [one for one in axes.get_children() if isinstance(one, AxesImage)]
    return np.asarray(image.get_array())


@pytest.mark.parametrize(
    ("text", "tokens", "words"),
    [
        ("red cats", ["red", "cat", "##s"], {"red": [0], "cats": [1, 2]}),
        ("man's hat, old", ["man", "'", "s", "hat", ",", "old"],
         {"man's": [0, 1, 2], "hat,": [3, 4], "old": [5]}),
        ("ice cream t-shirt", ["▁ice▁cream", "▁t", "-", "", "shirt"],
         {"ice cream": [0], "t-shirt": [1, 2, 3, 4]}),
        ("ein Übel", ["▁ein", "▁", "<0xC3>", "<0x9C>", "bel"],  # bytes spell no letter
         {"ein": [0], "▁": [1], "<0xC3>": [2], "<0x9C>": [3], "bel": [4]}),
        ("", [], {}),
    ],
)  # fmt: skip
def test_pieces_become_words_whose_attention_is_the_mean(text, tokens, words):
    attention = np.random.default_rng(5).dirichlet(np.ones(7), len(tokens))
    found = attended_words(generation(text, tokens, attention, (1, 7)))
    assert [word.text for word in found] == list(words)
    for word, places in zip(found, words.values(), strict=True):
        assert word.tokens == tuple(tokens[i] for i in places)
        by_hand = sum(attention[i].astype(np.float32).astype(float) for i in places) / len(places)
        np.testing.assert_allclose(word.attention, by_hand, rtol=1e-12)
        assert word.attention.sum() == pytest.approx(1, abs=1e-6)


def test_a_panel_a_word_in_one_scale_of_colours():
    attention = [[0.7, 0.2, 0.1], [0.0, 0.0, 1.0], [0.5, 0.5, 0.0]]
    axes = by_label(caption_figure(generation("a red cat", ["a", "red", "cat"], attention), WHITE))
    assert set(axes) == {"picture", "word 1", "word 2", "word 3", "scale"}
    assert [axes[f"word {n}"].get_title("left") for n in (1, 2, 3)] == ["a", "red", "cat"]
    for number, values in enumerate(attention, 1):
        pixels = drawn(axes[f"word {number}"])
        width = pixels.shape[1]
        for cell, value in enumerate(values):  # four times even is 4/3, but nothing is above 1
            wanted = (1 - 0.78 * value) * 0.97 + 0.78 * value * VERMILLION
            centre = pixels[10, (2 * cell + 1) * width // 6]
            np.testing.assert_allclose(centre, wanted, atol=0.01)
    labels = [tick.get_text() for tick in axes["scale"].get_xticklabels()]
    assert labels == ["0", "100.0%"] and "33.3%" in axes["scale"].get_title("left")


def test_one_region_of_all_attention_does_not_hide_the_others():
    rows = np.full((3, 100), 0.8 / 99)
    rows[0, 5], rows[1, 6], rows[2, :] = 0.2, 0.2, 0.0
    rows[2, 7] = 1.0
    written = generation("a b c", ["a", "b", "c"], rows, (10, 10))
    axes = by_label(caption_figure(written, WHITE))
    assert [tick.get_text() for tick in axes["scale"].get_xticklabels()] == ["0", "≥ 20.0%"]
    even = by_label(caption_figure(generation("a", ["a"], None, (10, 10)), WHITE))
    wanted = (1 - 0.78 / 4) * 0.97 + 0.78 / 4 * VERMILLION  # even attention stays pale
    np.testing.assert_allclose(drawn(even["word 1"])[20, 20], wanted, atol=0.01)


@pytest.mark.parametrize("count", [1, 5, 6, 45])
def test_nothing_overlaps_whatever_the_number_of_words(count):
    words = [f"w{n}" if n % 4 else LONG for n in range(count)]
    figure = caption_figure(generation(" ".join(words), words, finished=False), WHITE)
    canvas = figure.canvas.get_renderer()
    boxes = [axes.get_tightbbox(canvas) for axes in figure.axes]
    boxes += [text.get_window_extent(canvas) for text in figure.texts]
    for one, other in itertools.combinations(boxes, 2):
        apart = one.x1 <= other.x0 or other.x1 <= one.x0 or one.y1 <= other.y0 or other.y1 <= one.y0
        assert apart, (one, other)
    width, height = figure.canvas.get_width_height()
    assert all(box.x0 >= 0 and box.x1 <= width for box in boxes)
    assert all(box.y0 >= 0 and box.y1 <= height for box in boxes)
    assert len(figure.axes) == count + 2
    titles = {by_label(figure)[f"word {n + 1}"].get_title("left") for n in range(count)}
    assert {title for title in titles if title.endswith("…")} and len(titles) == len(set(words))


def test_what_is_known_is_written():
    figure = caption_figure(generation("a cat", ["a", "cat"], finished=False), WHITE)
    title, facts, how = (text.get_text() for text in figure.texts)
    assert title == "a cat" and "not why" in how
    assert facts == (
        "log probability −2.50  ·  28.7% a token (geometric mean)  ·  2 pieces  ·  "
        "stopped at the longest length"  # exp(-2.5 / 2) = 0.2865
    )


def test_a_picture_that_cannot_be_read_has_a_note():
    nothing = Generation("", False, 0.0, 0.0, True, (), None, (4, 4))
    figure = caption_figure(nothing, b"")
    assert [axes.get_label() for axes in figure.axes] == ["picture"]
    assert "no picture" in figure.axes[0].texts[0].get_text()
    assert [text.get_text() for text in figure.texts] == ["no words", "nothing to write about"]


def test_only_the_part_that_the_model_sees_is_coloured(tmp_path):
    pixels = np.zeros((20, 60, 3), np.uint8)
    pixels[:, 20:40] = 255
    image = tf.io.encode_png(pixels).numpy()
    written = generation("a", ["a"], [[1.0]], (1, 1))
    axes = by_label(caption_figure(written, image, view=(0.0, 1 / 3, 1.0, 2 / 3)))
    wanted = 0.22 * 0.97 + 0.78 * VERMILLION
    inner = drawn(axes["word 1"])[60:-60, 60:-60]
    np.testing.assert_allclose(inner, np.broadcast_to(wanted, inner.shape), atol=0.01)
    draw_caption(written, image, tmp_path / "a.svg")
    assert b"<svg" in (tmp_path / "a.svg").read_bytes()


def test_errors_name_what_was_received():
    with pytest.raises(ValueError, match="generation.attention=None"):
        attended_words(Generation("a", True, -1.0, -1.0, True, ("a",), None, (1, 1)))
    with pytest.raises(ValueError, match="generation.grid=None.*draw_alignment"):
        caption_figure(Generation("a", True, -1.0, -1.0, True, ("a",), np.ones((1, 1))), WHITE)
    with pytest.raises(ValueError, match="at most 1 tokens.*Received: 2 tokens"):
        alignment_figure(generation("a", ["a"], [[1.0]], None), ["x", "y"])


def test_an_alignment_has_a_row_a_source_token_and_a_column_a_written_one(tmp_path):
    attention = [[0.75, 0.25, 0.0, 0.0], [0.0, 0.5, 0.5, 0.0]]  # the fourth place is padding
    written = generation("rote Katze", ["rote", "Katze"], attention, None)
    axes = by_label(alignment_figure(written, ["red", "cat", "[SEP]"]))
    assert set(axes) == {"alignment", "scale"}
    share = 0.78 * np.array(attention)[:, :3].T[..., None]
    np.testing.assert_allclose(
        drawn(axes["alignment"]), (1 - share) + share * VERMILLION, atol=1e-6
    )
    names = [[t.get_text() for t in axes["alignment"].get_xticklabels()],
             [t.get_text() for t in axes["alignment"].get_yticklabels()]]  # fmt: skip
    assert names == [["rote", "Katze"], ["red", "cat", "[SEP]"]]
    draw_alignment(written, ["red", "cat", "[SEP]"], tmp_path / "a.png")
    assert tf.io.decode_png((tmp_path / "a.png").read_bytes()).shape[0] > 100
    empty = alignment_figure(Generation("", False, 0.0, 0.0, True, ()), [])
    assert not drawn_images(by_label(empty)["alignment"])


def drawn_images(axes):
    return [one for one in axes.get_children() if isinstance(one, AxesImage)]
