"""Class names and their indices."""


def derive(values):
    """Distinct labels in order: as numbers when all are whole numbers, else alphabetically.

    Example:

    >>> derive(["10", "9", "9", ""]), derive(["dog", "cat"])
    (['9', '10'], ['cat', 'dog'])
    """
    names = sorted({value for value in values if value})
    return sorted(names, key=int) if names and all(map(_is_whole, names)) else names


def encode(values, class_names):
    """The index of each label in `class_names`, -1 where it is not among them.

    Labels that are whole numbers count as indices when none of them is itself a class name.

    Example:

    >>> encode(["dog", "cow"], ["cat", "dog"]), encode(["0", "2"], ["cat", "dog"])
    ([1, -1], [0, -1])
    """
    index = {name: i for i, name in enumerate(class_names)}
    filled = {value for value in values if value}
    if filled and not filled & index.keys() and all(map(_is_whole, filled)):
        index = {str(i): i for i in range(len(class_names))}
    return [index.get(value, -1) for value in values]


def check_names(class_names):
    """Returns `class_names` as a list of str.

    Raises:
        ValueError: it is empty, holds something else than non-empty strings, or one twice.
    """
    names = list(class_names) if not isinstance(class_names, str) else []
    valid = all(isinstance(name, str) and name for name in names)
    if not names or not valid or len(set(names)) < len(names):
        raise ValueError(
            "`class_names` must be a list of different, non-empty strings. "
            f"Received: class_names={class_names!r}"
        )
    return names


def as_words(name):
    """A class's name as a text has it: underscores are spaces.

    Example:

    >>> as_words("black_footed_albatross"), as_words("_")
    ('black footed albatross', '_')
    """
    return " ".join(name.replace("_", " ").split()) or name


def texts(class_names, text_from_class):
    """The text that stands for each class.

    Args:
        class_names: list of str.
        text_from_class: `True` for the names themselves, underscores read as spaces, or a dict from
            class name to a description.

    Returns:
        A list of str.

    Raises:
        ValueError: the dict lacks a class.
    """
    if text_from_class is True:
        return [as_words(name) for name in class_names]
    absent = [name for name in class_names if name not in text_from_class]
    if absent:
        raise ValueError(
            "`text_from_class` must be True or have a text for each class. Received: a dict "
            f"without {', '.join(map(repr, absent[:5]))}"
        )
    return [text_from_class[name] for name in class_names]


def _is_whole(value):
    return value.isascii() and value.removeprefix("-").isdigit()
