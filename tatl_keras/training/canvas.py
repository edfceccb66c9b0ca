"""What all figures share: a canvas of their own, colours, and how they look."""

import io
import warnings

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

# Okabe and Ito's colours, told apart with any colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY = "#666666"


def new_figure(width, height):
    """A figure of its own: neither pyplot nor the user's back end is touched."""
    figure = Figure(figsize=(width, height), dpi=120, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def add_axes(figure, label, left, top, width, height):
    """Axes in a place given in inches from the upper left corner."""
    whole_width, whole = figure.get_size_inches()
    place = (left / whole_width, 1 - (top + height) / whole, width / whole_width, height / whole)
    return figure.add_axes(place, label=label)


def save(figure, path, **options):
    with warnings.catch_warnings():
        # Scripts that the font lacks are drawn as boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(path, **options)


def text_width(text, size, renderer, weight="normal"):
    """Inches that a text of `size` points takes up.

    Beyond a few hundred letters it only has to be too long.
    """
    if not text:
        return 0.0
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        font = FontProperties(size=size, weight=weight)
        pixels = renderer.get_text_width_height_descent(text[:400], font, False)[0]
    return pixels / renderer.dpi


def to_png(figure):
    """The bytes of a PNG file, for a page."""
    picture = io.BytesIO()
    save(figure, picture)
    return picture.getvalue()


def style_panel(axes, title):
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#E4E4E4", linewidth=0.8)
    axes.set_axisbelow(True)
    if not axes.get_legend_handles_labels()[0]:
        return
    for text in axes.legend(frameon=False, fontsize=9).get_texts():
        text.set_parse_math(False)
