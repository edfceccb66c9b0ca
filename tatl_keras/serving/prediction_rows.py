"""Answers of a model as rows for people and programs."""

import numpy as np
import tensorflow as tf


def complete_probabilities(answer):
    """Probabilities of every row of `LoadedModel.answer`: those of a row that is not `valid` too.

        P = probabilities             where `valid`
        P = softmax(logits)           elsewhere: how frequent each class was in training

    Args:
        answer: dict with `probabilities` and `logits` (B, num_classes), and `valid` (B,).

    Returns:
        Floats (B, num_classes); each row sums to 1.

    Example:

    >>> half = np.float32([[0.5, 0.5]])
    >>> complete_probabilities({"probabilities": 0 * half, "logits": half, "valid": [False]})
    array([[0.5, 0.5]], dtype=float32)
    """
    prior = tf.nn.softmax(answer["logits"]).numpy()
    return np.where(np.asarray(answer["valid"])[:, None], answer["probabilities"], prior)


def prediction_row(probabilities, evidence, names, top_k):
    """What is written of one example.

    Args:
        probabilities: floats (num_classes,).
        evidence: str, what the answer rests on.
        names: list of str in the order of the probabilities.
        top_k: int, how many classes `top` holds.

    Returns:
        A dict with `label`, `probability`, `evidence`, and `top`, a list of dicts with `label` and
        `probability`. Of equally probable classes the last comes first.

    Example:

    >>> row = prediction_row(np.array([0.25, 0.75]), "image", ["cat", "dog"], 2)
    >>> row["label"], row["probability"], row["top"][1]
    ('dog', 0.75, {'label': 'cat', 'probability': 0.25})
    """
    order = probabilities.argsort(kind="stable")[::-1][:top_k]
    top = [{"label": names[i], "probability": round(float(probabilities[i]), 6)} for i in order]
    return {**top[0], "evidence": evidence, "top": top}
