"""The words of class names, and texts without them."""

import collections
import re

_WORD = re.compile(r"[^\W_]+")
_SMALL = frozenset("a an and at by de for from in la le not of on or other the to with".split())


def words_of(text):
    """The words of a text in order, in lower case and without the ending of a plural.

    Words are runs of letters and digits; an underscore or hyphen separates them.

    Example:

    >>> words_of("Two wolves, 3 puppies & a bus_stop")
    ['two', 'wolve', '3', 'puppy', 'a', 'bus', 'stop']
    """
    return [_stem(word) for word in _WORD.findall(text.lower())]


def class_words(class_names):
    """The words of each class's name, as a list of sets.

    Words such as "of" and "and", single letters and numbers are left out, and so are words that are
    in more than half of the names: they tell no class.

    Example:

    >>> [sorted(words) for words in class_words(["food-drink", "Bag of tools", "7"])]
    [['drink', 'food'], ['bag', 'tool'], []]
    >>> class_words(["red wine", "white wine"])
    [{'red'}, {'white'}]
    """
    found = [
        {w for w in words_of(str(name)) if w not in _SMALL and len(w) > 1 and not w.isdigit()}
        for name in class_names
    ]
    times = collections.Counter(word for words in found for word in words)
    return [{word for word in words if 2 * times[word] <= len(found)} for words in found]


def mask_class_words(texts, class_names):
    """Texts without the words of any class's name.

    The words of all classes are taken out of every text: taking out only those of a text's own
    class would tell the label by what is missing.

    Args:
        texts: list of str.
        class_names: list of str.

    Returns:
        List of str; a text that held nothing else is empty.

    Example:

    >>> mask_class_words(["A flag: Chad, flags", "a dog"], ["flags", "animals"])
    ['A Chad,', 'a dog']
    """
    hidden = set().union(*class_words(class_names))

    def replace(match):
        return "" if _stem(match.group().lower()) in hidden else match.group()

    return [_tidy(_WORD.sub(replace, text), text) for text in texts]


def _stem(word):
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-1] if len(word) > 3 and word[-1] == "s" and word[-2] not in "su" else word


def _tidy(masked, text):
    """Without punctuation that stands alone where something was taken out."""
    if masked == text:
        return text
    kept = [part for part in masked.split() if _WORD.search(part)]
    return " ".join(kept).strip()
