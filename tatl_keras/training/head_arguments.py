"""Checks of what `solve_head` is given, and class weights in one form."""

import numpy as np

from tatl_keras import fusion as fusions
from tatl_keras.models import TextAssistedClassifier
from tatl_keras.models.checks import is_linear
from tatl_keras.models.class_texts import label_of
from tatl_keras.models.features import sources
from tatl_keras.models.few_shot_head import CLASS_TEXT_HEADS
from tatl_keras.training.no_harm_experts import joint_fusion

SOLVERS = ("auto", "exact", "logistic")
FUSIONS = ("auto", "concat", "late", "image_only", "text_only")


def check_model(model):
    """Raises a ValueError unless the head of a model can be solved."""
    if not isinstance(model, TextAssistedClassifier):
        raise ValueError(
            "`model` must be a TextAssistedClassifier. "
            f"Received: model of type {type(model).__name__}"
        )
    fusion = joint_fusion(model)
    if not is_linear(fusion):
        raise ValueError(
            "`model.fusion` must be linear (concat without hidden_dim, image or text alone) for a "
            f"head to be solved. Received: fusion={fusion.name}, hidden_dim="
            f"{getattr(fusion, 'hidden_dim', None)}. Train it: `fit`, --head_solver=sgd."
        )
    encoders, _ = sources(model, learn=True)
    learning = [name for name, encoder in encoders.items() if not encoder.frozen]
    if learning:
        raise ValueError(
            "`model` must have frozen encoders for its head to be solved. Received: "
            f"{learning} not frozen. Train it: `fit`, --head_solver=sgd."
        )


def check_arguments(model, solver, fusion, class_texts):
    """Raises a ValueError unless these are known and fit each other."""
    if solver not in SOLVERS:
        raise ValueError(f"`solver` must be one of {SOLVERS}. Received: solver={solver!r}")
    fits = FUSIONS
    if isinstance(model.fusion, fusions.SingleModality):
        fits = ("auto", f"{model.fusion.modality}_only")
    if fusion not in fits:
        raise ValueError(
            f"`fusion` must be one of {fits} for a model that reads {list(model.encoders)}. "
            f"Received: fusion={fusion!r}"
        )
    if isinstance(model.head, CLASS_TEXT_HEADS) and (solver == "logistic" or fusion != "auto"):
        raise ValueError(
            '`solver` must be "auto" or "exact", `fusion` "auto" for a head of class texts. '
            f"Received: solver={solver!r}, fusion={fusion!r}"
        )
    if fusion == "late" and solver == "logistic":
        raise ValueError(
            '`solver` must be "exact" or "auto" for late fusion. '
            f"Received: solver={solver!r}, fusion={fusion!r}"
        )
    if fusion == "image_only" and class_texts is not None and not model.text_in_training:
        raise ValueError(
            "`class_texts` must be None for a head that reads no text. "
            f"Received: class_texts={class_texts!r}, fusion={fusion!r}"
        )


def class_weights(model, class_weight):
    """A checked dict from int to float."""
    weights = {label_of(model, key, "class_weight"): v for key, v in (class_weight or {}).items()}
    wrong = {key: v for key, v in weights.items() if not (np.isfinite(v) and v >= 0)}
    if wrong:
        raise ValueError(f"`class_weight` must be finite and at least 0. Received: {wrong}")
    return weights
