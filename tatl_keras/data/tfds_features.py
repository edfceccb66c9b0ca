"""The features of a TFDS data set: which hold pictures, texts and classes, and reading them."""

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from tatl_keras.data import columns
from tatl_keras.data.source import ROLES

_SIZES = ("area", "bbox")


def choose(info, wanted, name):
    """The feature of each role, by TFDS's own hint, by type and by name.

    Features inside another are called `captions/text`. They are taken only when they are named.

    Args:
        info: `tfds.core.DatasetInfo`.
        wanted: dict from role to a feature's name, `False` or `None`.
        name: what to call the data set in messages.

    Raises:
        ValueError: a feature asked for is absent or cannot be read as that, or several fit.
    """
    top = dict(info.features.items())
    inner = {path: f for path, f in _nested(info.features) if path not in top}
    hinted = info.supervised_keys if isinstance(info.supervised_keys, tuple) else ()
    chosen = {}
    for role in ROLES:
        allowed = [k for k, v in top.items() if _fits(role, v)]
        named = wanted[role]
        if named is False or role == "split":
            chosen[role] = None
        elif named is not None:
            readable = [k for k, v in top.items() if role == "label" and _is_scalar(v)]
            readable = [*allowed, *readable, *_named_only(role, inner)]
            if named not in readable:
                raise columns.absent(role, named, list(dict.fromkeys(readable)), name)
            chosen[role] = named
        elif role in ("image", "label"):
            best = [k for k in allowed if k in hinted] or columns.by_name(role, allowed) or allowed
            chosen[role] = columns.pick(role, best, name)
        else:
            chosen[role] = columns.pick(role, columns.by_name(role, allowed), name)
    if chosen["image"] is None and chosen["text"] is None:
        raise ValueError(
            "`source` must have a picture feature or a text feature. "
            f"Received: source={name!r} with features {list(info.features)}"
        )
    return chosen


def class_label(info, name):
    """The `ClassLabel` that defines the classes of a label feature, or `None`."""
    if name is None:
        return None
    found = dict(_nested(info.features)) | dict(info.features.items())
    return found[name] if _is_class(found[name]) else None


def read(example, name, is_class=False):
    """One feature of an example, inside a data set's `map`.

    Args:
        example: dict of tensors, nested as the features are.
        name: str, a feature's name, or a path such as `objects/label`.
        is_class: whether it is the label: then of several objects the largest one's is taken, and
            -1 where there is no object.

    Returns:
        A tensor.
    """
    if name in example:
        return example[name]
    *path, last = name.split("/")
    for part in path:
        example = example[part]
    if not is_class or not example[last].shape.rank:
        return example[last]
    sizes = _sizes(example)
    # A last one of no size, for examples without objects.
    sizes = tf.concat([sizes, [-1.0]], 0)
    return tf.concat([example[last], [-1]], 0)[tf.argmax(sizes)]


def is_picture(feature):
    integer = isinstance(feature, tfds.features.Image) and feature.np_dtype != np.float32
    return integer and not isinstance(feature, tfds.features.LabeledImage)


def _fits(role, feature):
    """Whether a feature can be that role's without being named."""
    tests = {"image": is_picture, "label": _is_class, "text": _is_text}
    return tests.get(role, _is_scalar)(feature)


def _named_only(role, inner):
    """Features inside others that can be a text or, where objects have a size, a label."""
    if role == "text":
        return [k for k, v in inner.items() if _is_text(v)]
    if role == "label":
        siblings = {k.rpartition("/")[0] for k in inner if k.rpartition("/")[2] in _SIZES}
        return [k for k, v in inner.items() if _is_class(v) and k.rpartition("/")[0] in siblings]
    return []


def _nested(features, prefix="", in_sequence=False):
    """Pairs of path and feature of what is inside other features, but lists of lists."""
    for name, feature in features.items():
        inner = getattr(feature, "feature", None)  # of a sequence
        if inner is not None and in_sequence:
            continue
        if isinstance(inner or feature, tfds.features.FeaturesDict):
            yield from _nested(inner or feature, f"{prefix}{name}/", inner is not None)
        elif prefix:
            yield f"{prefix}{name}", feature


def _sizes(objects):
    """How large each object is: its area, or that of its box."""
    if "area" in objects:
        return tf.cast(objects["area"], tf.float32)
    low, high = tf.split(tf.cast(objects["bbox"], tf.float32), 2, axis=-1)
    return tf.reduce_prod(high - low, -1)


def _is_class(feature):
    return isinstance(feature, tfds.features.ClassLabel)


def _is_scalar(feature):
    return feature.shape == () and not is_picture(feature)


def _is_text(feature):
    inner = getattr(feature, "feature", feature)
    plain = isinstance(inner, tfds.features.Tensor) and inner.shape == ()
    return isinstance(inner, tfds.features.Text) or (plain and inner.np_dtype == np.object_)
