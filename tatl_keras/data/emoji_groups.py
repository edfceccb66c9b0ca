"""Emoji that are near duplicates of each other."""

import re

from tatl_keras._units import units_of

# People in code points become one person; joiners, sexes and "facing right" are dropped.
_PEOPLE = set("1F466 1F467 1F468 1F469 1F474 1F475 1F9D1 1F9D2 1F9D3".split())
_SMALL_MARKS = set("FE0F 200D 2640 2642 27A1".split())
_PASSED_OVER = set(
    "man men mans woman women womens person people male female boy boys girl girls child adult "
    "older old black white red orange yellow green blue purple brown grey gray light dark pink "
    "large small medium big heavy left right up down upwards downwards leftwards rightwards "
    "facing one two three four five six seven eight nine ten eleven twelve thirty oclock "
    "0 1 2 3 4 5 6 7 8 9 10 with and of the in a".split()
)


def groups_of(emoji):
    """Names the group of near duplicates that each emoji belongs to.

    Two emoji are in one group when their code points are equal but for the sex of a person and the
    direction, or their names are equal but for words of sex, colour, size, number and direction.

    Args:
        emoji: list of pairs (code points, name).

    Returns:
        A list of str: the code points of the first of the group.

    Example:

    >>> groups_of([("1F468-200D-1F373", "MAN COOK"), ("1F469-200D-1F373", "WOMAN COOK")])
    ['1f468-200d-1f373', '1f468-200d-1f373']
    """
    codes, names = zip(*emoji, strict=True)
    shapes = [_plain_code(code) or "marks alone" for code in codes]
    units = units_of(len(emoji), shapes, [_plain_name(name) for name in names])
    return [codes[unit].lower() for unit in units]


def _plain_code(code):
    parts = [part for part in code.split("-") if part not in _SMALL_MARKS]
    return "-".join("person" if part in _PEOPLE else part for part in parts)


def _plain_name(name):
    words = [word for word in re.findall(r"[a-z0-9]+", name.lower()) if word not in _PASSED_OVER]
    return " ".join(words)
