"""The examples that a report shows: a few of each kind, with pictures small enough for a page."""

import heapq

import numpy as np
import tensorflow as tf

from tatl_keras._probabilities import log_softmax
from tatl_keras.data import decode_image

MISTAKES = 12
EXAMPLES = 8
_SIDE = 200  # pixels
_QUALITY = 82
_MOST_TEXT = 280


def pick_examples(examples, logits):
    """Goes through labelled examples once and keeps those that a report shows.

    Args:
        examples: data set of `data.load`, single examples with labels.
        logits: floats (N, C), a row for each of them.

    Returns:
        A dict: `labels` (list of N ints); `mistakes`, the wrong answers with the highest
        probabilities, that first; and `some`, the first example of each of the first classes. These
        are dicts: `id`, `image` (a JPEG, or `None` where there is none), `text`, `label`,
        `predicted`, `probability`.

    Raises:
        ValueError: there are more or fewer examples than rows.

    Example:

    >>> from tatl_keras import data
    >>> picked = pick_examples(data.synthetic.examples(2, 4), [[2.0, 0.0]] * 4)
    >>> picked["labels"], len(picked["some"]), len(picked["mistakes"])
    ([0, 1, 0, 1], 2, 2)
    >>> picked["mistakes"][0]["label"], picked["mistakes"][0]["predicted"]
    ('red square', 'blue circle')
    """
    probabilities = np.exp(log_softmax(np.asarray(logits, np.float64)))
    answers = probabilities.argmax(axis=1)
    labels: list[int] = []
    worst: list[tuple] = []
    first: dict[int, tuple] = {}
    for number, (x, label) in enumerate(examples.as_numpy_iterator()):
        labels.append(int(label))
        if number >= len(answers):
            continue
        found = (float(probabilities[number, answers[number]]), -number, x)
        if len(first) < EXAMPLES or label in first:
            first.setdefault(int(label), found)
        if answers[number] != label:
            (heapq.heappush if len(worst) < MISTAKES else heapq.heappushpop)(worst, found)
    if len(labels) != len(answers):
        raise ValueError(
            f"`logits` must have a row for each of {len(labels)} examples. "
            f"Received: logits with {len(answers)} rows."
        )

    def shown(found):
        probability, number, x = found
        names = examples.class_names
        return {
            "id": str(examples.ids[-number]), "image": thumbnail(x["image"]),
            "text": _shorten(x["text"].decode("utf-8", "replace")),
            "label": names[labels[-number]], "predicted": names[answers[-number]],
            "probability": probability,
        }  # fmt: skip

    return {
        "labels": labels,
        "mistakes": [shown(found) for found in sorted(worst, key=lambda f: (-f[0], -f[1]))],
        "some": [shown(first[label]) for label in sorted(first)],
    }


def thumbnail(image, side=_SIDE):
    """An encoded picture as a JPEG whose longer side has so many pixels.

    Args:
        image: bytes of a picture; none, or nothing that can be read, gives `None`.
        side: int.

    Example:

    >>> red = tf.io.encode_png(tf.constant([[[255, 0, 0]] * 2], "uint8")).numpy()
    >>> tf.io.decode_jpeg(thumbnail(red, 100)).shape
    TensorShape([50, 100, 3])
    >>> thumbnail(b"") is None
    True
    """
    if not image:
        return None
    try:
        pixels = decode_image(tf.constant(image))
    except tf.errors.OpError:
        return None
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    size = [max(1, round(height * scale)), max(1, round(width * scale))]
    method = "area" if scale < 1 else "nearest"
    resized = tf.image.resize(pixels, size, method)
    resized = tf.cast(tf.round(tf.cast(resized, tf.float32)), tf.uint8)
    return tf.io.encode_jpeg(resized, quality=_QUALITY).numpy()


def _shorten(text):
    text = " ".join(text.split())
    return text if len(text) <= _MOST_TEXT else text[: _MOST_TEXT - 1] + "…"
