"""The parts of a report that say how good the answers are, and which are wrong."""

import numpy as np

from tatl_keras import _html
from tatl_keras._probabilities import log_softmax
from tatl_keras._reliability import reliability
from tatl_keras._shares import share_interval
from tatl_keras.training.certificate_page import certificate_parts
from tatl_keras.training.confusions import confused_pairs, most_often_taken_for
from tatl_keras.training.report_figures import confusion_png, reliability_png
from tatl_keras.training.report_setup import picture_of

_MOST_DRAWN = 100  # classes of a matrix that is drawn
_MOST_ROWS = 25  # rows of a table that is shown without being asked for
_MOST_PAIRS = 12
_LARGE_NAMES = 20  # classes whose names are drawn larger than they have to be


def calibration_of(predictions):
    """The `reliability` of what `read_predictions` gave."""
    probabilities = np.exp(log_softmax(np.asarray(predictions["logits"], np.float64)))
    return reliability(probabilities, predictions["labels"])


def result(metrics, calibration):
    """The first numbers to know."""
    count, majority = metrics["num_examples"], metrics["majority"]
    correct = sum(row["correct"] for row in metrics["per_class"].values())
    low, high = share_interval(correct, count)
    accuracy = f"{correct:,} of {count:,}; 95 % interval {low:.1%} to {high:.1%}"
    rows = [
        ["accuracy", f"{metrics['accuracy']:.1%}", accuracy],
        ["always the same class", f"{majority['accuracy']:.1%}", majority["class"]],
        ["loss", f"{metrics['loss']:.4f}", "cross-entropy, natural logarithm"],
        ["calibration error", f"{calibration['ece']:.1%}", "expected, in 15 bins (ECE)"],
    ]
    return _html.section(
        f"Result on the {metrics['split']} split",
        _html.table(["measure", "value", "in detail"], rows, numeric=False),
    )


def confusions(metrics):
    """Which classes are taken for which: a picture, as far as it can be read, and the pairs."""
    names, matrix = list(metrics["per_class"]), metrics["confusion"]
    pairs = confused_pairs(matrix, names)
    parts = []
    if len(names) <= _MOST_DRAWN:
        said = f"Confusion matrix of {len(names)} classes. "
        said += f"Most confused: {_in_words(pairs[0])}." if pairs else "No answer is wrong."
        picture = confusion_png(matrix, names)
        width = int.from_bytes(picture[16:20], "big")  # pixels, of the file's header
        least = width if len(names) > _LARGE_NAMES else 0.8 * width
        parts.append(_html.figure(picture, said, least_width=least))
    else:
        said = f"{len(names)} classes are too many for a matrix; these pairs are confused most."
        parts.append(_html.paragraph(said))
    if pairs:
        rows = [
            [f"{pair['label']} → {pair['predicted']}", str(pair["count"]), f"{pair['share']:.1%}"]
            for pair in pairs[:_MOST_PAIRS]
        ]
        header = ["class → taken for", "examples", "share of the class"]
        parts.append(_html.table(header, rows, caption=_caption(pairs)))
    return _html.section("What is taken for what", *parts)


def classes(metrics):
    """Each class, the hardest first."""
    taken = most_often_taken_for(metrics["confusion"], list(metrics["per_class"]))
    asked = [(name, row) for name, row in metrics["per_class"].items() if row["count"]]
    rows = [
        [name, str(row["count"]), str(row["correct"]), f"{row['accuracy']:.1%}", taken[name]]
        for name, row in sorted(asked, key=lambda pair: pair[1]["accuracy"])
    ]
    header = ["class", "examples", "right", "accuracy", "most often taken for"]
    shown = _html.table(header, rows)
    missing = len(metrics["per_class"]) - len(asked)
    parts = [_html.details(f"All {len(rows)} classes", shown) if len(rows) > _MOST_ROWS else shown]
    if missing:
        parts.append(_html.paragraph(f"{missing} classes have no example here.", "note"))
    return _html.section("Each class, the hardest first", *parts)


def honesty(calibration):
    """Whether the probabilities are what they say."""
    error = f"{100 * calibration['ece']:.1f}"
    filled = [row for row in calibration["bins"] if row["count"]]
    mean = sum(row["count"] * (row["confidence"] - row["accuracy"]) for row in filled)
    mean /= sum(row["count"] for row in filled)
    side = "too sure" if mean > 0 else "not sure enough"
    said = f"Probabilities are {error} points off (expected calibration error)"
    said += f"; on average the model is {abs(100 * mean):.1f} points {side}."
    rows = [
        [f"{row['low']:.0%} to {row['high']:.0%}", str(row["count"]),
         f"{row['confidence']:.1%}", f"{row['accuracy']:.1%}"]
        for row in filled
    ]  # fmt: skip
    header = ["probability", "examples", "mean probability", "accuracy"]
    return _html.section(
        "Are its probabilities honest?",
        _html.paragraph(said),
        _html.figure(reliability_png(calibration), f"Reliability diagram. {said}"),
        _html.details("The bins in numbers", _html.table(header, rows)),
    )


def mistakes(metrics, examples):
    """The wrong answers that the model was surest of."""
    wrong = metrics["num_examples"] - sum(row["correct"] for row in metrics["per_class"].values())
    if not wrong:
        return _html.section("Worst mistakes", _html.paragraph("No answer is wrong."))
    said = f"{wrong:,} of {metrics['num_examples']:,} answers are wrong."
    if examples:
        said += f" The {len(examples)} with the highest probability:"
    return _html.section(
        "Worst mistakes",
        _html.paragraph(said),
        *(
            [_html.grid(*[_mistake(example) for example in examples], width=140)]
            if examples
            else []
        ),
    )


def certificate(results, drawn):
    """The certificate of the data, where one lies in the run's folder."""
    return _html.section("Does text help?", *certificate_parts(results, drawn))


def _mistake(example):
    said = f"{example['label']}, taken for {example['predicted']}"
    return "".join([
        picture_of(example, f"Example {example['id']}: {said}"),
        _html.paragraph(f"Says {example['predicted']}, {example['probability']:.0%}", "alarm"),
        _html.paragraph(f"Is {example['label']}"),
        _html.paragraph(f"“{example['text']}”" if example["text"] else "no text", "note"),
        _html.paragraph(example["id"], "note"),
    ])  # fmt: skip


def _in_words(pair):
    return f"{pair['label']} for {pair['predicted']}, {pair['count']} times"


def _caption(pairs):
    shown = min(len(pairs), _MOST_PAIRS)
    return f"The {shown} most frequent of {len(pairs)} confusions" if len(pairs) > shown else None
