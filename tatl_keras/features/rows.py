"""The examples of a data set, one by one, as NumPy values."""

import keras
import numpy as np
import tensorflow as tf

TENSORS = {"image": ("images", "has_image"), "text": ("token_ids", "padding_mask", "has_text")}


def is_raw(spec):
    """Whether examples hold raw "image" and "text", not tensors made of them."""
    return bool({"image", "text"} & spec.keys())


def rows_of(dataset):
    """Yields the rest `(x, y, sample_weight)` of every example of a data set, in its order.

    Args:
        dataset: `tf.data.Dataset` of `x`, `(x, y)` or `(x, y, sample_weight)`: raw examples,
            single or batched, or batches of tensors.

    Yields:
        `(x, y, sample_weight)` of NumPy values without a batch axis; `None` for what is not there.

    Example:

    >>> batches = tf.data.Dataset.from_tensors(({"text": ["a", "b"]}, [0, 1]))
    >>> [(x["text"], int(y), weight) for x, y, weight in rows_of(batches)]
    [(b'a', 0, None), (b'b', 1, None)]
    """
    x, *_ = keras.utils.unpack_x_y_sample_weight(dataset.element_spec)
    single = is_raw(x) and not is_batched(x)
    for element in dataset.prefetch(tf.data.AUTOTUNE).as_numpy_iterator():
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(element)
        if single:
            yield x, y, sample_weight
            continue
        for i in range(len(next(iter(x.values())))):
            one = {name: values[i] for name, values in x.items()}
            yield one, *(None if part is None else part[i] for part in (y, sample_weight))


def value_of(x, modality, raw):
    """What an example holds of a modality, or `None` where it is missing.

    Args:
        x: dict of one example.
        modality: "image" or "text".
        raw: bool, see `is_raw`.

    Returns:
        Encoded bytes, pixels or text of a raw example; a dict of arrays of one made of tensors.
    """
    if raw:
        value = x.get(modality, b"")
        return None if isinstance(value, bytes) and not value else value
    *names, has = TENSORS[modality]
    value = {name: x[name] for name in names}
    if has in x:
        return value if x[has] else None
    return None if modality == "text" and not value["padding_mask"].any() else value


def size_of(value):
    """Bytes of a value that `value_of` gave."""
    if isinstance(value, dict):
        return sum(part.nbytes for part in value.values())
    return value.nbytes if isinstance(value, np.ndarray) else len(value)


def is_batched(spec):
    """Whether raw examples come in batches: strings of rank 1, pixels of rank 4."""
    if "text" in spec:
        return spec["text"].shape.rank == 1
    return spec["image"].shape.rank in (1, 4)
