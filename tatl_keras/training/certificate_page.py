"""The certificate as one HTML page that needs no other file."""

import html

from tatl_keras.training.certificate_words import (
    headline,
    percent,
    plain_words,
    points,
    probability,
)

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 60em; margin: 2em auto;
       padding: 0 1em; }
h1 { font-size: 1.5em; } h2 { font-size: 1.1em; margin-top: 2em; }
.alarm { color: #B5120E; font-weight: bold; }
table { border-collapse: collapse; font-size: 0.9em; }
td, th { padding: 0.2em 1em 0.2em 0; text-align: right; border-bottom: 1px solid #E4E4E4; }
td:first-child, th:first-child { text-align: left; }
img { max-width: 100%; } footer { color: #666; font-size: 0.85em; margin-top: 2em; }
"""
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


def certificate_page(results, picture):
    """Makes the page.

    Args:
        results: `Certificate.results`.
        picture: PNG, base64.

    Returns:
        Str, HTML.
    """
    said = "\n".join(_sentence(sentence) for sentence in plain_words(results))
    title = html.escape(headline(results))
    about = (
        f"{results['num_examples']} examples of {len(results['class_names'])} classes, "
        f"{results['missing_text']} without text, {results['missing_image']} without picture; "
        f"{results['seeds']} seeds; {results['seconds']:g} s."
    )
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Does text help?</title>
<style>{_STYLE}</style></head><body>
<h1>{title}</h1>
<ul>
{said}
</ul>
<img alt="accuracies, gains, curves and calibration" src="data:image/png;base64,{picture}">
<h2>Accuracy, %</h2>
{_table(results, "accuracy", ACCURACIES, _accuracy)}
<h2>Paired differences, with the p-value of no difference</h2>
{_table(results, "differences", DIFFERENCES, _difference)}
<footer>{html.escape(about)} Closed-form heads on frozen features. Intervals are 95 %, Student's t
over seeds; where the training set is larger than the test set they are widened for its overlap
(Nadeau and Bengio, 2003), else they are about further draws of the few examples. The leak alarm
has at most 5 % false alarms.</footer>
</body></html>
"""


def _sentence(sentence):
    kind = ' class="alarm"' if sentence.startswith("Leak alarm") else ""
    return f"<li{kind}>{html.escape(sentence)}</li>"


def _table(results, part, titles, cell):
    sets = results["sets"]
    head = "".join(f"<th>{html.escape(name)} ({one['train']})</th>" for name, one in sets.items())
    lines = [f"<table><tr><th>training set (examples)</th>{head}</tr>"]
    for name, title in titles.items():
        cells = "".join(f"<td>{cell(one[part][name])}</td>" for one in sets.values())
        lines.append(f"<tr><td>{html.escape(title)}</td>{cells}</tr>")
    return "\n".join([*lines, "</table>"])


def _accuracy(value):
    return f"{percent(value['mean'])} ± {100 * value['half_width']:.1f}"


def _difference(value):
    return f"{points(value).removesuffix(' points')}, {html.escape(probability(value['p_value']))}"
