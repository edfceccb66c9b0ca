"""What `fit`, `evaluate` and `predict` accept, made into one `tf.data.Dataset` of raw examples."""

import os

import keras
import numpy as np
import tensorflow as tf

from tatl_keras.data.images import is_encoded

_LONGEST_PATH = 4096
_KEYS = ("image", "text", "target")


def as_dataset(x, y=None, sample_weight=None, class_names=None):
    """Makes a `tf.data.Dataset` of raw examples of what a user passes to `fit`.

    Args:
        x: a `tf.data.Dataset` of `{"image", "text"}`, `(x, y)` or `(x, y, sample_weight)`, single
            or batched; or a dict of equally long lists or arrays; or a list of dicts. `"image"` is
            encoded bytes, a path (`str` or `os.PathLike`), pixels `(H, W, C)` from 0 to 255, or
            empty (`None`, `""`) where there is none; `"text"` is a string, empty where there is
            none, and so is `"target"`, for a model that writes another text.
        y: labels for dicts and lists: ints, or names from `class_names`.
        sample_weight: optional, one float an example.
        class_names: list of str, the order of the classes; needed when `y` holds names.

    Returns:
        A dataset of `x`, `(x, y)` or `(x, y, sample_weight)`.

    Raises:
        ValueError: `x` is none of these, is an empty list, has neither image nor text, has columns
            of different lengths, or `y` holds a name that `class_names` lacks.

    Example:

    >>> x, names = {"text": ["a cat", "a dog"]}, ["cat", "dog"]
    >>> examples = as_dataset(x, ["cat", "dog"], class_names=names)
    >>> [int(label) for _, label in examples]
    [0, 1]
    """
    if isinstance(x, tf.data.Dataset):
        if y is not None or sample_weight is not None:
            raise ValueError(
                "`y` must be None when `x` is a tf.data.Dataset, which carries the labels itself. "
                f"Received: y={y!r}, sample_weight={sample_weight!r}"
            )
        return _read_paths(x)
    columns = {key: column for key, column in _columns(x).items() if key in _KEYS}
    if not {"image", "text"} & columns.keys():
        raise ValueError(
            '`x` must hold "image", "text" or both. '
            f"Received: x with {sorted(map(str, _columns(x)))}"
        )
    scalars = [
        key for key, column in columns.items() if isinstance(column, (str, bytes, os.PathLike))
    ]
    if scalars:
        raise ValueError(
            f"`x` must hold lists or arrays. Received: a single {scalars[0]}. "
            'For one example pass [{"image": …, "text": …}].'
        )
    lengths = {key: len(column) for key, column in columns.items()}
    lengths |= {"y": len(y)} if y is not None else {}
    lengths |= {"sample_weight": len(sample_weight)} if sample_weight is not None else {}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"`x`, `y` must be equally long. Received: lengths {lengths}")
    parts = {}
    if "image" in columns:
        parts["image"] = _image_dataset(columns["image"])
    for key in columns.keys() & {"text", "target"}:
        texts = ["" if _is_missing(text) else text for text in columns[key]]
        parts[key] = tf.data.Dataset.from_tensor_slices(tf.constant(texts, tf.string))
    extra = [] if y is None else [_label_dataset(y, class_names)]
    if sample_weight is not None:
        weights = np.asarray(sample_weight, "float32")
        extra.append(tf.data.Dataset.from_tensor_slices(weights))
    return tf.data.Dataset.zip((parts, *extra)) if extra else tf.data.Dataset.zip(parts)


def inputs_spec(dataset):
    """The element spec of `x` in a dataset of `x`, `(x, y)` or `(x, y, sample_weight)`."""
    return keras.utils.unpack_x_y_sample_weight(dataset.element_spec)[0]


def _columns(x):
    if isinstance(x, dict):
        return x
    if isinstance(x, (list, tuple)) and not x:
        raise ValueError(
            f"`x` must hold at least one example. Received: an empty {type(x).__name__}"
        )
    if isinstance(x, (list, tuple)) and all(isinstance(row, dict) for row in x):
        keys = sorted({key for row in x for key in row})
        return {key: [row.get(key) for row in x] for key in keys}
    raise ValueError(
        "`x` must be a tf.data.Dataset, a dict of columns or a list of dicts. "
        f'Received: x of type {type(x).__name__}. For one example pass [{{"image": …, "text": …}}].'
    )


def _is_missing(value):
    return value is None or (isinstance(value, float) and np.isnan(value))


def _label_dataset(y, class_names):
    if all(isinstance(label, (str, bytes)) for label in y):
        index = {name: i for i, name in enumerate(class_names or [])}
        names = [label.decode() if isinstance(label, bytes) else str(label) for label in y]
        unknown = sorted(set(names) - index.keys())
        if unknown:
            raise ValueError(
                f"`y` must hold only names from class_names={class_names}. Received: {unknown[:10]}"
            )
        y = [index[name] for name in names]
    return tf.data.Dataset.from_tensor_slices(np.asarray(y))


def _image_dataset(images):
    """A dataset of encoded bytes, or of pixels, from a column of bytes, paths and arrays."""
    if isinstance(images, np.ndarray) and images.ndim == 4:
        return tf.data.Dataset.from_tensor_slices(images)
    if any(isinstance(image, np.ndarray) for image in images):
        return _pixel_dataset(images)
    contents, paths = [], []
    for row, image in enumerate(images):
        if isinstance(image, bytes):
            contents.append(image)
            paths.append("")
        elif _is_missing(image) or isinstance(image, (str, os.PathLike)):
            contents.append(b"")
            paths.append("" if _is_missing(image) else os.fspath(image))
        else:
            raise ValueError(
                '`x["image"]` must hold encoded bytes, paths or pixel arrays. '
                f"Received: {type(image).__name__} in row {row}"
            )
    missing = [path for path in paths if path and not tf.io.gfile.exists(path)]
    if missing:
        raise ValueError(
            f'`x["image"]` must hold paths of existing files. Received: {missing[:10]} '
            f"({len(missing)} of {len(paths)} are missing)"
        )
    columns = tf.constant(contents, tf.string), tf.constant(paths, tf.string)
    dataset = tf.data.Dataset.from_tensor_slices(columns)
    return dataset.map(
        lambda content, path: tf.cond(
            tf.strings.length(path) > 0, lambda: tf.io.read_file(path), lambda: content
        ),
        tf.data.AUTOTUNE,
    )


def _pixel_dataset(images):
    arrays = [np.asarray(image) for image in images]
    for row, array in enumerate(arrays):
        if array.ndim != 3 or array.shape[-1] not in (1, 2, 3, 4):
            raise ValueError(
                '`x["image"]` must hold arrays (H, W, C) with 1 to 4 channels when one row is an '
                f"array. Received: shape {array.shape} in row {row}"
            )
    dtype = np.result_type(*arrays)

    def rows():
        return (array.astype(dtype) for array in arrays)

    spec = tf.TensorSpec([None, None, None], dtype)
    dataset = tf.data.Dataset.from_generator(rows, output_signature=spec)
    return dataset.apply(tf.data.experimental.assert_cardinality(len(arrays)))


def _read_paths(dataset):
    """Replaces image strings that are paths by the files' contents."""
    spec = inputs_spec(dataset)
    if not isinstance(spec, dict) or not {"image", "text"} & spec.keys():
        raise ValueError(
            '`x` must be a dataset of dicts with "image", "text" or both. '
            f"Received: elements {dataset.element_spec}"
        )
    if "image" not in spec or spec["image"].dtype != tf.string:
        return dataset

    def read_one(image):
        is_path = ~is_encoded(image) & (tf.strings.length(image) > 0)
        is_path &= tf.strings.length(image) <= _LONGEST_PATH
        return tf.cond(is_path, lambda: tf.io.read_file(image), lambda: image)

    def read(x, *rest):
        image = x["image"]
        image = read_one(image) if image.shape.rank == 0 else tf.map_fn(read_one, image)
        x = x | {"image": image}
        return (x, *rest) if rest else x

    return dataset.map(read, tf.data.AUTOTUNE)
