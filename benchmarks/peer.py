"""The peer of solved heads: scikit-learn's logistic regression on concatenated vectors."""

import warnings

import numpy as np
from sklearn.linear_model import LogisticRegression


def unit(features, pooled):
    """The vectors named in `pooled` side by side, each of length 1; zeros stay zeros."""
    parts = [features[key] for key in pooled]
    lengths = [np.maximum(np.linalg.norm(part, axis=-1, keepdims=True), 1e-12) for part in parts]
    return np.concatenate([p / length for p, length in zip(parts, lengths, strict=True)], axis=-1)


def fit_peer(x, y):
    """LogisticRegression(C=10); its `decision_function` gives logits."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return LogisticRegression(C=10, max_iter=2000).fit(x, y)
