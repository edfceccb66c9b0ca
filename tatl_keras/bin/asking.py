"""The examples that a client asks about, in the order in which they were given."""

from absl import flags

from tatl_keras.bin import data_flags, predictors
from tatl_keras.bin import predict as _predict  # noqa: F401  (it defines --text)


def load(pictures, labelled=False):
    """Loads pictures and `--text`, or `--data`.

    Args:
        pictures: list of paths.
        labelled: bool, whether labels of `--data` are read, if `--label_column` is not none.

    Returns:
        `None` where nothing is asked, or `(plan, examples, labels)`: a list of (id, reason), the
        reason `None` where an example can be read; a data set of those that can, or `None`; and a
        list of their labels, or `None`.
    """
    if data_flags.DATA.value:
        return _load_data(labelled and flags.FLAGS.label_column != "none")
    texts = flags.FLAGS.text
    if not pictures and not texts:
        return None
    count = max(len(pictures), len(texts))
    images = pictures or [""] * count
    examples, errors = predictors.load_named(images, texts or [""] * count)
    reasons = {row["id"]: row["error"] for row in errors}
    return [(name, reasons.get(name)) for name in predictors.names_of(images)], examples, None


def _load_data(labelled):
    labels = None
    if labelled:
        found = data_flags.load("all", on_bad="skip")
        labels = [found.class_names[int(y)] for y in found.map(lambda x, y: y)]
        examples = found.map(lambda x, y: x)
    else:
        examples = found = predictors.load_manifest(data_flags.DATA.value)
    skipped = found.summary["skipped"]
    good, bad = iter(found.ids), iter([(row["id"], row["reason"]) for row in skipped])
    # A frame of rows keeps the numbers that they had among all.
    places = set(range(len(found.ids)) if found.rows is None else found.rows.index)
    count = len(found.ids) + len(skipped)
    plan = [(next(good), None) if place in places else next(bad) for place in range(count)]
    return plan, examples, labels


def rows(plan, examples):
    """Yields ids, pictures and texts; an exception stands for a picture nobody can read.

    Args:
        plan, examples: what `load` returned.
    """
    readable = iter(() if examples is None else examples.as_numpy_iterator())
    for name, reason in plan:
        if reason is None:
            example = next(readable)
            yield name, example["image"], example["text"]
        else:
            yield name, OSError(reason), b""
