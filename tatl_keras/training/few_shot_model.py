"""Solves the head of a model whose encoders share a space: texts, a cache of pictures, a line."""

import numpy as np

from tatl_keras.models.changing import replace_head
from tatl_keras.models.few_shot_head import FewShotHead
from tatl_keras.training.few_shot import solve_few_shot
from tatl_keras.training.head_solution import HeadSolution


def solve_few_shot_model(model, rows):
    """Replaces a model's head by a `FewShotHead` with what `solve_few_shot` finds.

    Args:
        model: a `TextAssistedClassifier` with a `ClassTextHead` without projection, or with a
            `FewShotHead`, whose embeddings are there. It is compiled again with its settings.
        rows: `HeadRows` of the image alone; those without a picture are left out.

    Returns:
        A `HeadSolution`, whose `solver` is the method of `solve_few_shot`.

    Raises:
        ValueError: the rows have weights.
    """
    if (rows.weights != 1).any():
        raise ValueError(
            "`sample_weight` and `class_weight` must be None for a head that compares with class "
            f"texts. Received: weights from {rows.weights.min():g} to {rows.weights.max():g}"
        )
    seen = rows.x.any(axis=1)
    solution = solve_few_shot(rows.x[seen], rows.labels[seen], model.head.embeddings.numpy())
    kept = solution.cache_scale > 0
    head = FewShotHead(model.num_classes, len(solution.keys) if kept else 0, name="head")
    head.build((None, rows.x.shape[1]))
    head.load(
        embeddings=solution.class_embeddings,
        zero_shot_scale=solution.zero_shot_scale,
        keys=solution.keys if kept else np.zeros((0, rows.x.shape[1])),
        key_labels=solution.key_labels if kept else [],
        cache_scale=solution.cache_scale,
        sharpness=solution.sharpness,
        kernel=solution.kernel,
        bias=solution.bias,
    )
    replace_head(model, head)
    model.prior.set_weights([rows.counts])
    row = {"fusion": "image_only", "text_share": None, "class_text_weight": 0.0}
    row |= {"regularization": None}
    choices = [
        row | {"solver": one["method"], "log_loss": one["log_loss"], "accuracy": one["accuracy"]}
        for one in solution.choices
    ]
    return HeadSolution(
        **row | {"class_text_weight": solution.class_text_weight},
        solver=solution.method,
        scales=(solution.zero_shot_scale, solution.cache_scale),
        log_loss=solution.log_loss,
        accuracy=solution.accuracy,
        num_examples=rows.total,
        choices=choices,
        reason=solution.reason,
    )
