"""One picture of which source tokens a translator looked at for each token that it wrote."""

import io
import os

import numpy as np
from matplotlib.ticker import FixedLocator

from tatl_keras._files import write_whole
from tatl_keras.training.canvas import GREY, new_figure, save
from tatl_keras.training.caption_words import attention_of
from tatl_keras.training.explanation_heat import blend
from tatl_keras.training.explanation_words import short

_CELL, _LETTER, _LEAST_WIDTH, _ROOM, _SCALE = 0.34, 0.085, 4.2, 1.6, 2.4  # inches
_LONGEST = 24  # letters of a token
_INK, _LIGHT = "#222222", "#E4E4E4"


def source_tokens(model, text):
    """The pieces that a translator's encoder reads of a text, marks of start and end included.

    Args:
        model: a `models.Translator`.
        text: str.

    Returns:
        List of str, as long as what of the attention is not padding.

    Example:

    >>> from tatl_keras import zoo
    >>> model = zoo.build("test_transformer_translate", seed=1)
    >>> x = {"text": ["a cat", "a dog"], "target": ["eine Katze", "ein Hund"]}
    >>> history = model.fit(x, epochs=1, verbose=0)
    >>> source_tokens(model, "a")
    ['[CLS]', 'a', '[SEP]']
    """
    found = model.preprocessor({"text": np.array([text], object)})
    real = found["padding_mask"].numpy()[0] > 0
    tokenizer = model.preprocessor.tokenizer
    return [tokenizer.id_to_token(int(i)) for i in found["token_ids"].numpy()[0][real]]


def draw_alignment(generation, source, path):
    """Draws a translation's alignment: a row for each source token, a column for each written one.

    The more vermillion, the more attention a source token got while a token was written.

    Args:
        generation: a `models.Generation` of a translator, with attention.
        source: list of str, what `source_tokens` gives of the text it is about.
        path: PNG, PDF or SVG file to write.

    Raises:
        ValueError: `generation` has no attention, or `source` is longer than what it attended to.

    Example:

    >>> import os, tempfile
    >>> import numpy as np
    >>> from tatl_keras import models
    >>> attention = np.array([[0.9, 0.1], [0.2, 0.8]])
    >>> written = models.Generation(
    ...     "rote Katze", True, -1.0, -1.0, True, ("rote", "Katze"), attention)
    >>> path = os.path.join(tempfile.mkdtemp(), "alignment.png")
    >>> draw_alignment(written, ["red", "cat"], path)
    >>> os.path.exists(path)
    True

    Reference: Bahdanau et al., "Neural machine translation by jointly learning to align and
    translate", 2015, figure 3, https://arxiv.org/abs/1409.0473.
    """
    kind = os.path.splitext(path)[1].lstrip(".").lower() or "png"
    write_whole(path, alignment_picture(generation, source, kind))


def alignment_picture(generation, source, kind="png"):
    """The bytes that `draw_alignment` writes, of the kind that `path` ends in."""
    held = io.BytesIO()
    save(alignment_figure(generation, source), held, format=kind)
    return held.getvalue()


def alignment_figure(generation, source):
    """The figure of `draw_alignment`, not yet written; its axes are "alignment" and "scale"."""
    written = [short(token, _LONGEST) for token in generation.tokens]
    values = aligned(generation, source)
    source = [short(token, _LONGEST) for token in source]
    left, top = (_LETTER * max(map(len, names), default=0) for names in (source, written))
    size = [max(1, len(written)) * _CELL + left + 0.8, max(1, len(source)) * _CELL + top + _ROOM]
    figure = new_figure(max(_LEAST_WIDTH, size[0]), size[1])
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)
    figure.suptitle(
        short(generation.text or "no words", round(8 * max(_LEAST_WIDTH, size[0]))), x=0.03,
        ha="left", fontsize=13, fontweight="bold", parse_math=False,
        color=_INK if generation.text else GREY,
    )  # fmt: skip
    axes = figure.add_subplot(label="alignment")
    axes.set(xlabel="written, in this order", ylabel="source")
    if written:
        axes.imshow(blend(np.ones(3), values, 1.0), aspect="equal")
    for axis, names in ((axes.xaxis, written), (axes.yaxis, source)):
        axis.set_ticks(range(len(names)), labels=names, fontsize=9, parse_math=False)
        axis.set_minor_locator(FixedLocator(np.arange(len(names) + 1) - 0.5))
        axis.label.set(fontsize=8, color=GREY)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.tick_params(axis="x", rotation=90)
    axes.tick_params(which="both", length=0)
    axes.grid(which="minor", color=_LIGHT, linewidth=0.8)
    axes.spines[:].set(color="#AAB1B8", linewidth=0.6)
    _draw_scale(figure, axes)
    return figure


def aligned(generation, source):
    """Attention (source tokens, written tokens), without that to padding.

    Args:
        generation, source: as of `draw_alignment`.
    """
    if not generation.tokens:
        return np.zeros((len(source), 0))
    values = attention_of(generation)
    if len(source) > values.shape[1]:
        raise ValueError(
            f"`source` must be at most {values.shape[1]} tokens, those of the attention. "
            f"Received: {len(source)} tokens, {source[:3]} …"
        )
    return values[:, : len(source)].T


def _draw_scale(figure, axes):
    """Which colour stands for which share of the attention."""
    share = _SCALE / figure.get_size_inches()[0]
    where = {"ax": axes, "location": "bottom", "shrink": share, "aspect": 22, "pad": 0.02}
    scale = figure.colorbar(_colours(), **where)
    scale.ax.set_label("scale")
    scale.set_ticks([0, 0.5, 1], labels=["0", "50%", "100%"], fontsize=8)
    scale.outline.set(edgecolor="#AAB1B8", linewidth=0.6)
    scale.set_label("share of a written token's attention", fontsize=8)


def _colours():
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    colours = ListedColormap(blend(np.ones(3), np.linspace(0, 1, 201), 1.0))
    return ScalarMappable(Normalize(0, 1), colours)
