"""What an explanation says, in words."""

import numpy as np

from tatl_keras.models.explanation.maps import HEADS

STRONGEST = 3
_ROWS = ("top", "middle", "bottom")
_COLUMNS = ("left", "centre", "right")


def signed(value, error=0.0):
    """A Shapley value with its sign, or "≈0" where it is not told from zero.

    Told from zero is what lies beyond two standard errors and does not round to 0.00.

    Args:
        value, error: floats, the value and its standard error.

    Example:

    >>> signed(0.214, 0.01), signed(-0.214, 0.01), signed(0.01, 0.01)
    ('+0.21', '−0.21', '≈0')
    """
    text = f"{value:+.2f}"
    if abs(value) <= 2 * error or text[1:] == "0.00":
        return "≈0"
    return text.replace("-", "−")


def printable(text):
    """Text without what has no shape of its own: control characters, joiners, lone surrogates.

    Example:

    >>> printable("a\\u200bcat\\x00")
    'acat'
    """
    return "".join(letter for letter in text if letter.isprintable())


def short(text, letters):
    """Text as one line of at most so many letters.

    Example:

    >>> short("a long name", 6)
    'a lon…'
    """
    text = printable(" ".join(text.split()))
    return text if len(text) <= letters else f"{text[: letters - 1]}…"


def percent(value):
    """A probability as people read it."""
    return f"{value:.1%}"


def region_name(row, column, grid):
    """Where a region of a grid lies.

    Example:

    >>> region_name(0, 2, (3, 3)), region_name(1, 1, (3, 3)), region_name(3, 0, (4, 2))
    ('top right', 'the centre', 'row 4 of 4, column 1 of 2')
    """
    if tuple(grid) != (3, 3):
        return f"row {row + 1} of {grid[0]}, column {column + 1} of {grid[1]}"
    if (row, column) == (1, 1):
        return "the centre"
    return f"{_ROWS[row]} {_COLUMNS[column]}"


def strongest_regions(explanation, count=STRONGEST):
    """The regions that weigh most, those not told from zero left out.

    Args:
        explanation: a `models.Explanation`.
        count: int, the most to name.

    Returns:
        List of `(name, value)`, the strongest first, for or against.
    """
    values, errors = np.asarray(explanation.regions), np.asarray(explanation.regions_error)
    rows, columns = values.shape
    names = [region_name(r, c, (rows, columns)) for r in range(rows) for c in range(columns)]
    return _strongest(names, values.ravel(), errors.ravel(), count)


def strongest_words(explanation, count=STRONGEST):
    """As `strongest_regions`, of the words of the text."""
    names = [f"“{word['text']}”" for word in explanation.words]
    return _strongest(names, explanation.word_values, explanation.word_errors, count)


def _strongest(names, values, errors, count):
    order = np.argsort(-np.abs(values), kind="stable")
    told = [i for i in order if signed(values[i], errors[i]) != "≈0"]
    return [(names[i], float(values[i])) for i in told[:count]]


def enumerate_values(pairs):
    """What `strongest_regions` and `strongest_words` give, as one phrase."""
    return ", ".join(f"{name} {signed(value)}" for name, value in pairs)


def best_class(explanation):
    """Number of the most probable class."""
    return int(np.argmax(explanation.probabilities))


def probability_in_words(explanation, index):
    """The probability of a class with its uncertainty, where that is known."""
    error = explanation.probability_error
    value = percent(explanation.probabilities[index])
    return value if error is None else f"{value} ± {percent(error[index])}"


def grade_lines(grade):
    """What a map's grade says, a line each; ticks where it beats what is random.

    Args:
        grade: an entry of `Explanation.grades`, or `None`.

    Example:

    >>> grade_lines({"deletion": 0.21, "random_deletion": 0.44, "insertion": 0.4,
    ...     "random_insertion": 0.5, "random_weights_correlation": -0.031, "refused": False,
    ...     "reason": ""})
    ['✓ deletion 0.21, random 0.44', '✗ insertion 0.40, random 0.50', 'random weights: r = −0.03']
    """
    if grade is None:
        return ["not graded"]
    lines = []
    for name, sign in (("deletion", -1), ("insertion", 1)):
        value, chance = grade[name], grade[f"random_{name}"]
        if value is not None and chance is not None:
            mark = "✓" if sign * (value - chance) > 0 else "✗"
            lines.append(f"{mark} {name} {value:.2f}, random {chance:.2f}")
    correlation = grade["random_weights_correlation"]
    if correlation is not None:
        lines.append(f"random weights: r = {correlation:.2f}".replace("-", "−"))
    elif grade["reason"] and not grade["refused"]:
        lines.append(f"random weights: none. {grade['reason']}")
    return lines or ["not graded"]


def shown_maps(explanation):
    """The maps that are drawn and graded: all but those of single heads, which are in the JSON."""
    return {n: m for n, m in explanation.maps.items() if not n.startswith(HEADS)}


def is_refused(explanation, name):
    """Whether a map has a grade that refuses it."""
    return bool((explanation.grades or {}).get(name, {}).get("refused"))


def describe(explanation):
    """All that the picture of an explanation shows, for those who cannot see it.

    Args:
        explanation: a `models.Explanation`.

    Returns:
        Str, a few sentences.
    """
    name, index = explanation.class_name, explanation.class_index
    said = [f"Why {name}, {probability_in_words(explanation, index)}."]
    said.append(f"It rests on: {explanation.evidence}.")
    parts = (
        ("image", "The picture", "regions", strongest_regions),
        ("text", "The text", "words", strongest_words),
    )
    for modality, title, units, strongest in parts:
        if modality not in explanation.evidence:
            continue
        value = signed(explanation.modality[modality])
        found = enumerate_values(strongest(explanation))
        which = f"strongest {units}: {found}" if found else f"no {units} told from zero"
        if is_refused(explanation, "shapley"):
            reason = explanation.grades["shapley"]["reason"].rstrip(".")
            which = f"values of {units} are refused: {reason}"
        said.append(f"{title} adds {value}; {which}.")
    maps = shown_maps(explanation).items()
    drawn = [m.title for key, m in maps if not is_refused(explanation, key)]
    refused = [m.title for key, m in maps if is_refused(explanation, key)]
    said += [f"Further maps: {', '.join(drawn)}."] if drawn else []
    said += [f"Refused: {', '.join(refused)}."] if refused else []
    return " ".join(said)
