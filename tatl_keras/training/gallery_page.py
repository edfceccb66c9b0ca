"""The gallery of explanations as one HTML page that needs no other file."""

import numpy as np

from tatl_keras import _html
from tatl_keras._probabilities import log_softmax
from tatl_keras.training.explanation_figure import explanation_picture
from tatl_keras.training.explanation_words import (
    best_class,
    describe,
    percent,
    probability_in_words,
)

_TITLES = {
    "best": ("Best", "Right answers with the highest probability of the label."),
    "worst": ("Worst", "Wrong answers with the lowest probability of the label."),
    "changed": (
        "Most changed by text",
        "Answers whose probability differs most from the one without the text.",
    ),
    "uncertain": (
        "Most uncertain",
        "Answers whose probabilities are most spread: the highest entropy.",
    ),
}
_UNKNOWN = {
    "best": "The examples have no labels, so it is not known which answers are best.",
    "worst": "The examples have no labels, so it is not known which answers are worst.",
    "changed": "No example has a text that the model reads.",
}
_NONE = {"best": "No answer is right.", "worst": "No answer is wrong."}
_FOOTER = (
    "Shapley values: what each region and word adds to the probability of the class, on average "
    "over all orders in which they could be shown; vermillion for the class, blue against it. ≈0 "
    "is not told from zero by the sampling. A map that random weights would draw alike is refused."
)


def gallery_page(found, chosen, logits, without_text, labels):
    """Makes the page.

    Args:
        found: what `explanation_gallery` returns.
        chosen: what `select_examples` returns.
        logits, without_text, labels: what it was given.

    Returns:
        Str, HTML.
    """
    by_row = {one["row"]: one for one in found}
    pictures = {  # JPEG, a third of the size of PNG
        row: explanation_picture(one, one["explanation"], "jpeg") for row, one in by_row.items()
    }
    sections = []
    for name, (title, meaning) in _TITLES.items():
        rows = chosen[name]
        if not rows:
            said = _UNKNOWN[name] if rows is None else _NONE[name]
            sections.append(_html.section(title, _html.paragraph(said)))
            continue
        cells = [_cell(by_row[row], pictures[row], logits, without_text) for row in rows]
        sections.append(_html.section(title, _html.paragraph(meaning, "note"), *cells))
    summary = _summary(len(found), logits, without_text, labels)
    return _html.page("What decided", *sections, summary=summary, footer=_FOOTER)


def _cell(one, picture, logits, without_text):
    return _html.figure(
        picture,
        describe(one["explanation"]),
        _caption(one, logits, without_text),
        _html.LEAST_WIDTH,
    )


def _caption(one, logits, without_text):
    """Which example it is, and what the model says of it with and without its text."""
    explanation, row = one["explanation"], one["row"]
    best = best_class(explanation)
    said = [
        f"{one['id']}: {explanation.class_names[best]} {probability_in_words(explanation, best)}"
    ]
    if one["label"] is not None:
        said.append(f"label {one['label']}")
    if without_text is not None and one["text"].strip():
        alone = np.exp(log_softmax(np.asarray(without_text[row], np.float64)))
        place = int(alone.argmax())
        said.append(f"without the text {explanation.class_names[place]} {percent(alone[place])}")
    return "; ".join(said)


def _summary(explained, logits, without_text, labels):
    answers = logits.argmax(axis=1)
    said = [f"{explained} of {len(logits):,} examples are explained."]
    if labels is not None:
        right = int((answers == labels).sum())
        said.append(
            f"{right:,} of {len(logits):,} answers are right ({percent(right / len(logits))})."
        )
    if without_text is not None:
        other = int((answers != without_text.argmax(axis=1)).sum())
        said.append(f"Without the text {other:,} of {len(logits):,} answers would be different.")
    return " ".join(said)
