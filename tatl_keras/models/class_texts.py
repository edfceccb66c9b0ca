"""Texts that describe classes: their form, their embeddings, and as examples without a picture."""

import keras
import numpy as np
import tensorflow as tf

from tatl_keras.data.labels import as_words
from tatl_keras.data.prompts import prompt_ensemble
from tatl_keras.features.rows import is_batched
from tatl_keras.fusion.normalization import LENGTH
from tatl_keras.models.checks import is_linear, reads
from tatl_keras.models.class_embeddings import class_embeddings
from tatl_keras.models.few_shot_head import CLASS_TEXT_HEADS

FIRST_SCALE = 20.0  # of cosines: near what calibrates them with sentence encoders
WORDS = ("names", "prompts")  # texts that are made of class names
_BATCH_SIZE = 64


def labelled_texts(model, class_texts):
    """List of (label, text).

    Args:
        model: a `TextAssistedClassifier`.
        class_texts: `None`; "names" for the class names; "prompts" for the `data.prompt_ensemble`
            of them; a dict from class name or label to a text or a list of texts.

    Raises:
        ValueError: it is none of these, a class is unknown, a text is blank, or the model cannot
            read texts.
    """
    if class_texts is None:
        return []
    check_reads_texts(model, class_texts)
    if isinstance(class_texts, str) and class_texts in WORDS:
        if model.class_names is None:
            raise ValueError(
                "`class_texts` must be a dict while the model has no class names. "
                f"Received: class_texts={class_texts!r}. Or set `model.class_names`."
            )
        texts = [as_words(name) for name in model.class_names]
        if class_texts == "prompts":
            texts = prompt_ensemble(model.class_names).values()
        class_texts = dict(enumerate(texts))
    if not isinstance(class_texts, dict):
        raise ValueError(
            '`class_texts` must be None, "names", "prompts" or a dict from class to texts. '
            f"Received: class_texts={class_texts!r}"
        )
    found = []
    for key, texts in class_texts.items():
        label = label_of(model, key, "class_texts")
        found += [(label, text) for text in checked_texts(key, texts)]
    return found


def check_reads_texts(model, class_texts):
    """Raises a ValueError unless a model can make embeddings of texts."""
    if model.text_encoder is None:
        raise ValueError(
            "`class_texts` must be None for a model that reads no text. "
            f"Received: class_texts={class_texts!r}"
        )
    if model.preprocessor is None:
        raise ValueError(
            "`class_texts` must be None for a model without preprocessor, which cannot tokenise. "
            f"Received: class_texts={class_texts!r}"
        )


def checked_texts(key, texts):
    """The texts of class `key` as a list of str."""
    texts = [texts] if isinstance(texts, str) else list(texts)
    wrong = [text for text in texts if not isinstance(text, str) or not text.strip()]
    if wrong:
        raise ValueError(
            f"`class_texts` must hold texts that are not blank. Received: {wrong[0]!r} for "
            f"class {key!r}"
        )
    return texts


def label_of(model, key, argument):
    """The int of a class given as int or name."""
    names = model.class_names or []
    if isinstance(key, str) and key in names:
        return names.index(key)
    if isinstance(key, (int, np.integer)) and 0 <= key < model.num_classes:
        return int(key)
    raise ValueError(
        f"`{argument}` must have keys that are classes: 0 to {model.num_classes - 1}, or one of "
        f"{names[:20]}. Received: {key!r}"
    )


def weights_of(labels, class_weight=None):
    """Weights of class texts as examples: those of a class make one, times the class's weight.

    Args:
        labels: ints (M,), the classes of the texts.
        class_weight: dict from label to weight, or `None`.

    Example:

    >>> weights_of([0, 0, 2], {2: 3.0}).tolist()
    [0.5, 0.5, 3.0]
    """
    factors = np.array([(class_weight or {}).get(int(label), 1.0) for label in labels])
    return factors / np.bincount(labels)[labels]


def embeddings_of(model, labelled, num_classes):
    """The `class_embeddings` (num_classes, De) of (label, text) pairs."""
    labels, texts = zip(*labelled, strict=True)
    tensors = model.preprocessor.text_tensors(tf.constant(texts))
    found = []
    for start in range(0, len(texts), _BATCH_SIZE):
        some = {name: value[start : start + _BATCH_SIZE] for name, value in tensors.items()}
        found.append(keras.ops.convert_to_numpy(model.text_encoder(some)["pooled"]))
    return class_embeddings(np.concatenate(found), np.array(labels), num_classes)


def start_from_texts(model, labelled):
    """Gives the head what it knows of the classes before it has seen an example.

    A head of class texts gets the embeddings. A linear head on a linear fusion whose last channels
    are the text's takes the nearest class text, unless it has learned already, a class has no text
    or the text encoder learns. Nothing happens before the tokenizer has its vocabulary.

    Args:
        model: a `TextAssistedClassifier`.
        labelled: list of (label, text).
    """
    if not labelled or model.preprocessor.needs_vocabulary:
        return
    missing = sorted(set(range(model.num_classes)) - {label for label, _ in labelled})
    if isinstance(model.head, CLASS_TEXT_HEADS):
        if missing:
            names = model.class_names or range(model.num_classes)
            raise ValueError(
                "`class_texts` must describe every class for a head of class texts. Received: no "
                f"text for {[names[label] for label in missing[:10]]}"
            )
        model.head.embed(embeddings_of(model, labelled, model.num_classes))
        return
    linear = isinstance(model.head, keras.layers.Dense) and is_linear(model.fusion)
    linear = linear and "text" in reads(model.fusion)
    if missing or not linear or not model.text_encoder.frozen or model.head.kernel.numpy().any():
        return
    kernel = np.zeros(model.head.kernel.shape)
    dim = model.text_encoder.output_dim
    kernel[-dim:] = FIRST_SCALE / LENGTH * embeddings_of(model, labelled, model.num_classes).T
    model.head.kernel.assign(kernel)


def with_class_texts(model, examples):
    """Examples to learn from, and behind them the class texts, for a head that is not made of them.

    Each text is an example without a picture; the texts of a class weigh as much as one example.

    Args:
        model: a `TextAssistedClassifier`.
        examples: `tf.data.Dataset` of `(x, y)` or `(x, y, sample_weight)`, raw, one by one.

    Returns:
        A dataset.

    Raises:
        ValueError: the examples come in batches, with pixels for pictures, or without int labels.
    """
    start_if_new(model)
    if not model.labelled_texts or isinstance(model.head, CLASS_TEXT_HEADS):
        return examples
    x, y, weight = keras.utils.unpack_x_y_sample_weight(examples.element_spec)
    if is_batched(x) or ("image" in x and x["image"].dtype != tf.string):
        raise ValueError(
            "`x` must hold examples one by one, pictures as bytes or paths, for class texts to be "
            f"added. Received: x with {x}. Use `unbatch()`, or class_texts=None."
        )
    if y is None or y.shape.rank != 0 or not y.dtype.is_integer:
        raise ValueError(
            "`y` must hold one int an example for class texts to be added. "
            f"Received: labels {y}. Use class_texts=None."
        )
    labels, texts = (list(column) for column in zip(*model.labelled_texts, strict=True))
    weights = weights_of(labels)
    weighted = weight is not None or bool((weights != 1).any())
    dtype = tf.float32 if weight is None else weight.dtype

    def example(x, y, sample_weight=1.0):
        rest = (tf.cast(sample_weight, dtype),) if weighted else ()
        return ({"text": ""} | x, y, *rest)

    rows = {"text": texts} | ({"image": [b""] * len(texts)} if "image" in x else {})
    columns = [rows, tf.constant(labels, y.dtype), *([tf.constant(weights, dtype)] * weighted)]
    return examples.map(example).concatenate(tf.data.Dataset.from_tensor_slices(tuple(columns)))


def check_tensors_suffice(model):
    """Raises a ValueError where class texts can not be added, since the examples are tensors."""
    start_if_new(model)
    if model.labelled_texts and not isinstance(model.head, CLASS_TEXT_HEADS):
        raise ValueError(
            "`x` must hold raw examples for class texts to be added. Received: tensors or "
            f"features, class_texts={model.class_texts}. Use `training.solve_head`."
        )


def start_if_new(model):
    """Takes up texts that waited for class names, an error without them, or for a vocabulary."""
    labelled_texts(model, model.class_texts)
    if not (isinstance(model.head, CLASS_TEXT_HEADS) and model.head.has_embeddings):
        start_from_texts(model, model.labelled_texts)
