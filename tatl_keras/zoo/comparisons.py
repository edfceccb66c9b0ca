"""An entry beside the controls of its parts, and whether its fusion is worth having."""

import math

from tatl_keras._paired import interval
from tatl_keras.zoo.registry import CLASSIFY, list_models, spec


def compare(name, results):
    """Differences in accuracy from entries that lack something, paired by seed, on one split.

        mean ± √(h² + 1.96² (p (1 - p) + q (1 - q)) / n)

    h is the half width of Student's 95 % interval over the seeds, p and q are the two accuracies, n
    the number of held-out examples. The second part is for the examples, as if each entry had its
    own: too wide rather than too narrow, as both answer the same ones.

    The others are each encoder alone and, for a fusion that is not plain concatenation, the same
    encoders concatenated. Only seeds count that both were measured with on the same data.

    Args:
        name: the entry's name.
        results: dict from entry to the rows of its results.csv.

    Returns:
        A list of `(other, dict)` in the order above, with floats `mean`, `low` and `high`; empty
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
    for other in controls(spec(name)):
        pairs = _pairs(results.get(name, ()), results.get(other, ()))
        if len(pairs) > 1:
            found.append((other, _difference(pairs)))
    return found


def _difference(pairs):
    """Mean and interval of `compare` of rows `(ours, theirs)`."""
    accuracies = [[float(row["accuracy"]) for row in rows] for rows in zip(*pairs, strict=True)]
    seeds = interval([ours - theirs for ours, theirs in zip(*accuracies, strict=True)])
    shares = [sum(values) / len(values) for values in accuracies]
    variance = sum(share * (1 - share) for share in shares) / int(pairs[0][0]["num_examples"])
    half = math.hypot(seeds["half_width"], 1.959964 * math.sqrt(variance))
    return {"mean": seeds["mean"], "low": seeds["mean"] - half, "high": seeds["mean"] + half}


def verdict(found):
    """What an interval of differences says, in words."""
    if found["low"] > 0:
        return "better"
    return "worse" if found["high"] < 0 else "no difference beyond noise"


def controls(entry):
    """Names of the entries that an entry is compared with: its parts alone, then concatenated."""
    if not (entry.image and entry.text):
        return []
    wanted = [(entry.image, None, "image_only"), (None, entry.text, "text_only")]
    if entry.fusion != "concat":
        wanted.append((entry.image, entry.text, "concat"))
    entries = map(spec, list_models(task=CLASSIFY))
    known = {(s.image, s.text, s.fusion): s.name for s in entries}
    return [known[parts] for parts in wanted if parts in known]


def _pairs(ours, theirs):
    """Rows of equal seed, data and numbers of examples."""
    keys = ("seed", "data", "num_train", "num_examples")
    other = {tuple(row[key] for key in keys): row for row in theirs}
    pairs = [(row, other.get(tuple(row[key] for key in keys))) for row in ours]
    return [pair for pair in pairs if pair[1] is not None]
