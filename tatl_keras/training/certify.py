"""Does text help on these examples, and is the gain an honest one?"""

import hashlib
import time

import numpy as np
import tensorflow as tf

from tatl_keras import fusion as fusions
from tatl_keras._units import units_of
from tatl_keras.features import FeatureCache
from tatl_keras.features.rows import rows_of, value_of
from tatl_keras.models import TextAssistedClassifier
from tatl_keras.models.examples import as_dataset
from tatl_keras.models.pipeline import learn_vocabulary
from tatl_keras.training.certificate import Certificate
from tatl_keras.training.class_words import mask_class_words
from tatl_keras.training.feature_cache import encode
from tatl_keras.training.leaks import find_leaks
from tatl_keras.training.measurements import measure
from tatl_keras.training.paired_runs import PairedRuns
from tatl_keras.training.paired_splits import draw_splits


def certify(
    model,
    x,
    y=None,
    *,
    class_names=None,
    groups=None,
    splits=None,
    shots=(1, 2, 4, 8),
    held_out=0.2,
    seeds=5,
    batch_size=32,
    feature_cache="memory",
    verbose="auto",
):
    """Measures what text is worth on labelled examples, and looks for text that tells the label.

    Heads are solved in closed form on features of the frozen encoders, which are computed once. For
    each seed and each training set (k examples a class, and all but `held_out`) they learn from
    and are asked with pictures, text, both, texts of other examples, text without the words of
    class names, and with text or picture missing. All runs of a seed have the same rows, and
    differences are tested as paired by seed. The model's own head plays no part.

        gain of text         accuracy(both) - accuracy(image), mean ± Student's t interval (95 %)
        share of a modality  its Shapley value of accuracy, of the sum of both
        calibration          expected calibration error, 15 bins, test rows of all seeds

    Rows of one group, and of one picture, are never torn apart by the splits drawn here.

    Args:
        model: a `TextAssistedClassifier` with frozen encoders for image and text. A vocabulary
            that it lacks is learned from the texts, as in `fit`.
        x, y: as `model.fit` takes them, but with raw pictures and texts.
        class_names: list of str. Defaults to those of `x`, then those of the model.
        groups: list of keys, one an example, of what belongs together; `None` or "" for none.
        splits: list of names, one an example, of splits that are given: pictures and groups that
            are in two of them raise the alarm. The runs draw their own.
        shots: ints, examples a class of the few-shot sets.
        held_out: share of the examples that the largest training set leaves out.
        seeds: int, at least 2: how many draws of each training set.
        batch_size: int, how many examples the encoders see at once.
        feature_cache: "memory", a folder or a `FeatureCache`.
        verbose: 0 for silence while features are computed.

    Returns:
        A `Certificate`; `print` it, or `save` it as a page, a picture and JSON.

    Raises:
        ValueError: an argument is not one of the above, or some class has too few examples.

    Example:

    >>> from tatl_keras import data, training, zoo
    >>> model = zoo.build("test_efficientnet_bert_concat", num_classes=2, seed=0)
    >>> examples = data.synthetic.examples(2, 40, seed=0)
    >>> certificate = training.certify(model, examples, shots=(2,), seeds=2, verbose=0)
    >>> sorted(certificate.results["sets"])
    ['80/20', 'k2']
    """
    _check_model(model)
    _check_numbers(shots, held_out, seeds)
    cache = _cache(feature_cache)
    names = class_names or getattr(x, "class_names", None) or model.class_names
    dataset = as_dataset(x, y, None, names)
    texts, labels, pictures = _read(dataset)
    names = _names(names, labels)
    for name, keys in (("groups", groups), ("splits", splits)):
        if keys is not None and len(keys) != len(labels):
            raise ValueError(
                f"`{name}` must have one key for each of {len(labels)} examples. "
                f"Received: {len(keys)} keys"
            )
    masked = mask_class_words(texts, names)
    options = {"batch_size": batch_size, "verbose": int(verbose != 0)}
    features = _features(model, dataset, masked, cache, options)
    start = time.monotonic()
    units = units_of(len(labels), groups, pictures)
    drawn = _draw(labels, units, shots, held_out, seeds, names)
    runs = PairedRuns(*features, labels, len(names))
    leaks = find_leaks(texts, labels, names, pictures=pictures, groups=groups, splits=splits)
    results = {
        "num_examples": len(labels),
        "missing_text": sum(not text for text in texts),
        "missing_image": sum(picture is None for picture in pictures),
        "class_names": list(names),
        "seeds": seeds,
        **measure(runs, drawn),
        "leaks": leaks,
        "seconds": round(time.monotonic() - start, 2),
    }
    return Certificate(results)


def _draw(labels, units, shots, held_out, seeds, names):
    """The training and test sets of each seed."""
    drawn = [draw_splits(labels, units, shots, held_out, seed) for seed in range(seeds)]
    everywhere = set.intersection(*map(set, drawn))
    drawn = [{name: draw[name] for name in draw if name in everywhere} for draw in drawn]
    if not everywhere:
        counts = [len(np.unique(units[labels == label])) for label in range(len(names))]
        least = int(np.argmin([count or len(labels) for count in counts]))
        raise ValueError(
            "`x` must hold at least two examples of every class that do not belong together. "
            f"Received: {counts[least]} of {names[least]!r}"
        )
    return drawn


def _check_model(model):
    if not isinstance(model, TextAssistedClassifier) or set(model.encoders) != {"image", "text"}:
        reads = list(model.encoders) if isinstance(model, TextAssistedClassifier) else None
        raise ValueError(
            "`model` must be a TextAssistedClassifier that reads image and text. Received: model "
            f"of type {type(model).__name__}" + (f" that reads {reads}" if reads else "")
        )
    learning = [name for name, encoder in model.encoders.items() if not encoder.frozen]
    if learning or model.preprocessor is None:
        raise ValueError(
            "`model` must have frozen encoders and a preprocessor. Received: "
            + (f"{learning} not frozen" if learning else "preprocessor=None")
        )


def _cache(feature_cache):
    cache = FeatureCache.get(feature_cache)
    if cache is None:
        raise ValueError(
            '`feature_cache` must be "memory", a folder or a `FeatureCache`. '
            "Received: feature_cache=None"
        )
    return cache


def _check_numbers(shots, held_out, seeds):
    if not isinstance(seeds, (int, np.integer)) or seeds < 2:
        raise ValueError(f"`seeds` must be an int of at least 2. Received: seeds={seeds!r}")
    if not all(isinstance(k, (int, np.integer)) and k >= 1 for k in shots):
        raise ValueError(f"`shots` must be ints of at least 1. Received: shots={shots!r}")
    if not 0 < held_out < 1:
        raise ValueError(f"`held_out` must be above 0 and below 1. Received: held_out={held_out!r}")


def _read(dataset):
    """Texts, labels, and a digest of each picture (`None` where there is none)."""
    texts, labels, pictures = [], [], []
    for x, y, _ in rows_of(dataset):
        if y is None:
            raise ValueError("`y` must hold the labels. Received: y=None")
        text, image = value_of(x, "text", True), value_of(x, "image", True)
        texts.append("" if text is None else text.decode("utf-8", "replace"))
        labels.append(int(y))
        content = image.tobytes() if isinstance(image, np.ndarray) else image
        pictures.append(None if content is None else hashlib.sha256(content).hexdigest())
    if not any(texts) or not any(pictures):
        raise ValueError(
            "`x` must hold pictures and texts. Received: "
            f"{sum(map(bool, texts))} texts and {sum(map(bool, pictures))} pictures in "
            f"{len(texts)} examples"
        )
    return texts, np.array(labels), pictures


def _names(names, labels):
    """Class names that cover the labels."""
    if names is None:
        names = [str(label) for label in range(labels.max() + 1)]
    if labels.min() < 0 or labels.max() >= len(names):
        raise ValueError(
            f"`y` must hold labels from 0 to {len(names) - 1}, one for each class name. "
            f"Received: labels from {labels.min()} to {labels.max()}"
        )
    return names


def _features(model, dataset, masked, cache, options):
    """Fused features of picture, text and masked text, each row of one length or zero."""
    uses = ("image_pooled", "has_image", "text_pooled", "has_text")
    learn_vocabulary(model, dataset)
    x, _, _ = encode(dataset, model, cache, uses=uses, **options).arrays()
    texts = tf.data.Dataset.from_tensor_slices({"text": tf.constant(masked, tf.string)})
    options |= {"preprocessor": model.preprocessor, "uses": uses}
    hidden, _, _ = encode(texts, {"text": model.text_encoder}, cache, **options).arrays()
    fuse, dim = fusions.ConcatFusion(), model.image_encoder.output_dim
    plain = np.asarray(fuse(x), np.float32)
    masked = np.asarray(fuse(x | hidden), np.float32)
    return plain[:, :dim], plain[:, dim:], masked[:, dim:]
