"""From logits to what a client is told."""

import tensorflow as tf

from tatl_keras.models.evidence import EVIDENCE, evidence


def answer(logits, label, features, temperature):
    """The outputs of `serving_default`.

        probabilities = softmax(logits / T)        0 where a row has nothing that the model reads

    Args:
        logits: floats (B, C).
        label: strings (B,), the most probable class.
        features: dict of the rows' features, with `has_image`, `has_text` or both.
        temperature: float > 0, T.

    Returns:
        Dict of `probabilities` and `logits` (B, C), `label`, `evidence` and `valid` (B,).
    """
    found = evidence(features)
    valid = found > 0
    return {
        "probabilities": tf.where(valid[:, None], tf.nn.softmax(logits / temperature), 0.0),
        "logits": tf.identity(logits),
        "label": tf.where(valid, label, ""),
        "evidence": tf.gather(tf.constant(EVIDENCE), found),
        "valid": valid,
    }


def top(given, names, k):
    """The k most probable classes of an `answer`, the most probable first.

    Args:
        given: dict with `probabilities` (B, C) and `valid` (B,).
        names: strings (C,).
        k: int ≤ C.

    Returns:
        Dict of `labels` and `probabilities` (B, k), "" and 0 where a row is not valid, and `valid`.

    Example:

    >>> given = {"probabilities": tf.constant([[0.2, 0.7, 0.1]]), "valid": tf.constant([True])}
    >>> found = top(given, tf.constant(["cat", "dog", "owl"]), 2)
    >>> found["labels"].numpy().tolist(), found["probabilities"].numpy().round(2).tolist()
    ([[b'dog', b'cat']], [[0.699999988079071, 0.20000000298023224]])
    """
    probabilities, places = tf.math.top_k(given["probabilities"], k)
    labels = tf.where(given["valid"][:, None], tf.gather(names, places), "")
    return {"labels": labels, "probabilities": probabilities, "valid": given["valid"]}
