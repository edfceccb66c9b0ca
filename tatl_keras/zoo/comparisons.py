"""An entry beside the controls of its parts, and whether its fusion is worth having."""

from tatl_keras._paired import interval
from tatl_keras.zoo.registry import list_models, spec


def compare(name, results):
    """Differences in accuracy from entries that lack something, paired by seed.

    The others are each encoder alone and, for a fusion that is not plain concatenation, the same
    encoders concatenated. Only seeds count that both were measured with on the same data.

    Args:
        name: the entry's name.
        results: dict from entry to the rows of its results.csv.

    Returns:
        A list of `(other, interval)`, the interval as of `interval`, in the order above; empty
        where there is nothing to compare.

    Example:

    >>> row = {"data": "d", "num_train": "80", "num_examples": "20", "accuracy": "0.5"}
    >>> ours = [row | {"seed": "0", "accuracy": "0.8"}, row | {"seed": "1", "accuracy": "0.7"}]
    >>> theirs = [row | {"seed": "0"}, row | {"seed": "1"}]
    >>> results = {"resnet50_bert_concat": ours, "resnet50_image_only": theirs}
    >>> [(other, gain)] = compare("resnet50_bert_concat", results)
    >>> other, round(gain["mean"], 3)
    ('resnet50_image_only', 0.25)
    """
    found = []
    for other in _others(spec(name)):
        pairs = _pairs(results.get(name, ()), results.get(other, ()))
        if len(pairs) > 1:
            gains = [float(ours["accuracy"]) - float(theirs["accuracy"]) for ours, theirs in pairs]
            ratio = int(pairs[0][0]["num_examples"]) / int(pairs[0][0]["num_train"])
            found.append((other, interval(gains, ratio)))
    return found


def verdict(found):
    """What an interval of differences says, in words."""
    if found["low"] > 0:
        return "better"
    return "worse" if found["high"] < 0 else "no difference beyond noise"


def _others(entry):
    """Names of the entries to compare with."""
    if not (entry.image and entry.text):
        return []
    wanted = [(entry.image, None, "image_only"), (None, entry.text, "text_only")]
    if entry.fusion != "concat":
        wanted.append((entry.image, entry.text, "concat"))
    known = {(s.image, s.text, s.fusion): s.name for s in map(spec, list_models())}
    return [known[parts] for parts in wanted if parts in known]


def _pairs(ours, theirs):
    """Rows of equal seed, data and numbers of examples."""
    keys = ("seed", "data", "num_train", "num_examples")
    other = {tuple(row[key] for key in keys): row for row in theirs}
    pairs = [(row, other.get(tuple(row[key] for key in keys))) for row in ours]
    return [pair for pair in pairs if pair[1] is not None]
