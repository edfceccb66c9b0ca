"""The certificate as one HTML page that needs no other file."""

from tatl_keras import _html
from tatl_keras.training.certificate_words import (
    headline,
    percent,
    plain_words,
    points,
    probability,
)

ACCURACIES = {
    "prior": "most frequent class",
    "image": "pictures alone",
    "text": "text alone",
    "text_masked": "text alone, without class names",
    "both": "both",
    "both_masked": "both, without class names",
    "both_shuffled": "both, texts of other examples",
    "text_missing": "both, asked without text",
    "text_swapped": "both, asked with a wrong text",
    "image_missing": "both, asked without picture",
}
DIFFERENCES = {
    "text_gain": "both − pictures alone",
    "text_gain_without_names": "both without class names − pictures alone",
    "names_in_text": "text alone − text without class names",
    "other_texts_gain": "texts of other examples − pictures alone",
    "text_missing": "asked without text − pictures alone",
    "text_swapped": "asked with a wrong text − pictures alone",
    "image_gain": "both − text alone",
    "image_missing": "asked without picture − text alone",
}

_ABOUT = (
    "Closed-form heads on frozen features. Intervals are 95 %, Student's t over seeds; where the "
    "training set is larger than the test set they are widened for its overlap (Nadeau and "
    "Bengio, 2003), else they are about further draws of the few examples. The leak alarm has at "
    "most 5 % false alarms."
)
_READABLE = 720  # pixels: the picture has four panels


def certificate_page(results, picture):
    """Makes the page.

    Args:
        results: `Certificate.results`.
        picture: bytes of a PNG file.

    Returns:
        Str, HTML.
    """
    return _html.page(
        headline(results), *certificate_parts(results, picture), footer=f"{about(results)} {_ABOUT}"
    )


def certificate_parts(results, picture=None):
    """What the page shows between its title and its end, as HTML for other pages, too."""
    said = plain_words(results)
    kinds = ["alarm" if sentence.startswith("Leak alarm") else None for sentence in said]
    alt = f"Four charts: accuracies, gains, curves and calibration. {headline(results)}"
    return [
        _html.bullets(said, kinds),
        *([] if picture is None else [_html.figure(picture, alt, least_width=_READABLE)]),
        _table(results, "accuracy", "Accuracy, %", ACCURACIES, _accuracy),
        _table(
            results, "differences", "Paired differences, with the p-value of no difference",
            DIFFERENCES, _difference,
        ),
    ]  # fmt: skip


def about(results):
    """What was certified, in a sentence."""
    return (
        f"{results['num_examples']} examples of {len(results['class_names'])} classes, "
        f"{results['missing_text']} without text, {results['missing_image']} without picture; "
        f"{results['seeds']} seeds; {results['seconds']:g} s."
    )


def _table(results, part, caption, titles, cell):
    sets = results["sets"]
    header = ["training set", *(f"{name} ({one['train']} examples)" for name, one in sets.items())]
    rows = [
        [title, *(cell(one[part][name]) for one in sets.values())] for name, title in titles.items()
    ]
    return _html.table(header, rows, caption=caption)


def _accuracy(value):
    return f"{percent(value['mean'])} ± {100 * value['half_width']:.1f}"


def _difference(value):
    return f"{points(value).removesuffix(' points')}, {probability(value['p_value'])}"
