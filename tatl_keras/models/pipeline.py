"""From what a user passes to `fit`, `evaluate` or `predict` to what Keras takes."""

import logging

import keras
import numpy as np
import tensorflow as tf
from keras import tree

from tatl_keras.data.epoch_order import EpochOrder
from tatl_keras.data.preprocessing import cardinality
from tatl_keras.features.rows import is_batched
from tatl_keras.models import static
from tatl_keras.models.class_texts import check_tensors_suffice, with_class_texts
from tatl_keras.models.examples import as_dataset, inputs_spec

DEFAULT_BATCH_SIZE = 32


def prepare(
    model, x, y=None, sample_weight=None, *, batch_size=None, shuffle=False, seed=None, learn=False,
    describe=False,
):  # fmt: skip
    """Preprocesses raw examples; hands tensors and features through.

    Args:
        model: a `TextAssistedClassifier`.
        x, y, sample_weight: as `fit` takes them.
        batch_size: int or `None`, for examples that do not come in batches.
        shuffle: bool, a new order each epoch.
        seed: int, `None` or an `EpochOrder`, of the order of raw examples.
        learn: bool, take the class names and the tokenizer's vocabulary from these examples where
            the model has none yet.
        describe: bool, add the model's class texts, see `class_texts.with_class_texts`.

    Returns:
        A dict of `x`, `y`, `sample_weight`, `batch_size` and `shuffle` for `keras.Model`, and of
        `rows` unless `learn`: the number of examples where batches are filled up, else `None`.

    Raises:
        ValueError: `x` is neither raw examples nor tensors; labels and classes do not fit.
    """
    if is_tensors(x):
        if describe:
            check_tensors_suffice(model)
        rows, fixed = None, static.has_fixed_shapes(model)
        if isinstance(x, tf.data.Dataset):
            if fixed:
                static.check_static(x)
        elif shuffle or learn or fixed:
            order = EpochOrder.get(seed) if shuffle else None
            size = batch_size or DEFAULT_BATCH_SIZE
            rows = len(tree.flatten(x)[0])
            x = _batches((x, y, sample_weight), size, order)
            x, rows = of_one_size(model, x, size, rows, learn)
            y = sample_weight = None
        size = None if isinstance(x, tf.data.Dataset) else batch_size
        given = {"x": x, "y": y, "sample_weight": sample_weight} | ({} if learn else {"rows": rows})
        return given | {"batch_size": size, "shuffle": False}
    examples = raw_examples(model, x, y, sample_weight, learn, describe)
    size = batch_size or DEFAULT_BATCH_SIZE
    modalities = [*model.encoders, *(["text"] if model.text_in_training else [])]
    batches = model.preprocessor.dataset(examples, size, shuffle, seed, modalities)
    batches, rows = of_one_size(model, batches, size, examples, learn)
    rest = {"y": None, "sample_weight": None, "batch_size": None, "shuffle": False}
    return {"x": batches, **rest, **({} if learn else {"rows": rows})}


def of_one_size(model, batches, batch_size, examples, learn):
    """`batches`, as a TPU needs them where the model is on one, and how many rows they then have.

    Args:
        model: a `TextAssistedClassifier`.
        batches: `tf.data.Dataset` of batches.
        batch_size: int.
        examples: their number, or the data set of raw examples that they were made of.
        learn: bool, see `static.static_batches`.

    Returns:
        `(batches, rows)`; rows is `None` where batches are as they were.
    """
    if not static.has_fixed_shapes(model):
        return batches, None
    if not isinstance(examples, int):
        if is_batched(inputs_spec(examples)):
            static.check_static(batches)
            return batches, None
        examples = cardinality(examples)
    replicas = model.distribute_strategy.num_replicas_in_sync
    return static.static_batches(batches, batch_size, examples, learn, replicas), examples


def raw_examples(model, x, y=None, sample_weight=None, learn=False, describe=False):
    """A checked `tf.data.Dataset` of raw examples; arguments and errors as of `prepare`."""
    if model.preprocessor is None:
        raise ValueError(
            '`x` must hold tensors ("images", "token_ids", …) for a model with preprocessor=None. '
            f"Received: x of type {type(x).__name__} with raw examples"
        )
    if learn:
        _learn_class_names(model, x, y)
    examples = as_dataset(x, y, sample_weight, model.class_names)
    _check_labels(model, x, y)
    if learn:
        learn_vocabulary(model, examples)
    return with_class_texts(model, examples) if describe else examples


def tensor_batches(x, y=None, sample_weight=None):
    """A `tf.data.Dataset` of batches of tensors or features, as `fit` takes them."""
    if isinstance(x, tf.data.Dataset):
        return x
    packed = keras.utils.pack_x_y_sample_weight(x, y, sample_weight)
    return tf.data.Dataset.from_tensor_slices(packed).batch(DEFAULT_BATCH_SIZE)


def _batches(columns, batch_size, order):
    """Batches of arrays, in an order of each epoch or as they come."""
    x, *rest = columns
    rest = [np.asarray(part) for part in rest if part is not None and rest[0] is not None]
    with tf.device("CPU:0"):
        columns = tree.map_structure(tf.convert_to_tensor, (x, *rest))
    lengths = sorted({len(column) for column in tree.flatten(columns)})
    if len(lengths) > 1:
        raise ValueError(f"`x`, `y` must be equally long. Received: lengths {lengths}")
    rows = tf.data.Dataset.range(lengths[0])
    rows = order.shuffle(rows, lengths[0]) if order else rows
    batches = rows.batch(batch_size).map(
        lambda rows: tree.map_structure(lambda column: tf.gather(column, rows), columns),
        tf.data.AUTOTUNE,
    )
    return batches.prefetch(tf.data.AUTOTUNE)


def is_tensors(x):
    """Whether `x` holds tensors or features, not raw `image` and `text`."""
    columns = inputs_spec(x) if isinstance(x, tf.data.Dataset) else x
    return isinstance(columns, dict) and bool(columns) and not {"image", "text"} & columns.keys()


def _learn_class_names(model, x, y):
    names = getattr(x, "class_names", None)
    if names is None and y is not None and all(isinstance(label, str) for label in y):
        names = sorted(set(y))
    if names is not None and model.class_names is None:
        model.class_names = names


def _check_labels(model, x, y):
    names = getattr(x, "class_names", None)
    known = model.class_names
    if None not in (names, known) and list(names) != known[: len(names)]:  # some may be added
        raise ValueError(
            "`x` must have the classes of the model, in the same order: "
            f"class_names={model.class_names[:20]}. Received: {list(names)[:20]}"
        )
    if y is None or any(isinstance(label, (str, bytes)) for label in y):
        return
    labels = np.asarray(y)
    wrong = labels[(labels < 0) | (labels >= model.num_classes)]
    if wrong.size:
        raise ValueError(
            f"`y` must hold labels from 0 to {model.num_classes - 1} (num_classes - 1). "
            f"Received: {sorted(set(wrong.tolist()))[:10]}"
        )


def learn_vocabulary(model, examples):
    """Learns the tokenizer's vocabulary from raw examples, where the model has none yet."""
    if not model.preprocessor.needs_vocabulary:
        return
    spec = inputs_spec(examples)
    if "text" not in spec:
        raise ValueError(
            '`x` must hold "text" to learn a vocabulary from. '
            f"Received: x with {sorted(spec)}. Use an image-only model, or a text preset."
        )
    texts = examples.map(lambda x, *_: x["text"])
    if spec["text"].shape.rank == 1:
        texts = texts.unbatch()
    model.preprocessor.adapt(texts, model.text_encoder.vocabulary_size)
    size = model.preprocessor.tokenizer.vocabulary_size()
    logging.info("Learned a vocabulary of %d WordPieces from the training text.", size)
