"""Which classes are taken for which."""


def confused_pairs(confusion, class_names):
    """Pairs of a class and what it was wrongly taken for, the most frequent first.

    Args:
        confusion: counts (C, C), rows: true class, columns: predicted class.
        class_names: list of str (C,).

    Returns:
        List of dicts: `label`, `predicted`, `count` (at least 1) and `share`, of the examples with
        that label. Equal counts are in the order of the classes.

    Example:

    >>> confused_pairs([[3, 1], [0, 2]], ["cat", "dog"])
    [{'label': 'cat', 'predicted': 'dog', 'count': 1, 'share': 0.25}]
    """
    pairs = [
        {"label": name, "predicted": other, "count": int(count), "share": count / sum(row)}
        for name, row in zip(class_names, confusion, strict=True)
        for other, count in zip(class_names, row, strict=True)
        if count and other != name
    ]
    return sorted(pairs, key=lambda pair: -pair["count"])


def most_often_taken_for(confusion, class_names):
    """For each class the most frequent wrong answer, as "dog (2)", or "" where there is none.

    Example:

    >>> most_often_taken_for([[3, 1], [0, 2]], ["cat", "dog"])
    {'cat': 'dog (1)', 'dog': ''}
    """
    found = dict.fromkeys(class_names, "")
    for pair in confused_pairs(confusion, class_names):
        found[pair["label"]] = found[pair["label"]] or f"{pair['predicted']} ({pair['count']})"
    return found
