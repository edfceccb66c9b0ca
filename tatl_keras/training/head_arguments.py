"""Checks of what `solve_head` is given, and class texts and weights in one form."""

import numpy as np

from tatl_keras import fusion as fusions
from tatl_keras.models import TextAssistedClassifier

SOLVERS = ("auto", "exact", "logistic")
FUSIONS = ("auto", "concat", "late", "image_only", "text_only")


def check_model(model):
    """Raises a ValueError unless the head of a model can be solved."""
    if not isinstance(model, TextAssistedClassifier):
        raise ValueError(
            "`model` must be a TextAssistedClassifier. "
            f"Received: model of type {type(model).__name__}"
        )
    linear = isinstance(model.fusion, fusions.SingleModality) or (
        isinstance(model.fusion, fusions.ConcatFusion) and not model.fusion.hidden_dim
    )
    if not linear:
        raise ValueError(
            "`model.fusion` must be linear (concat without hidden_dim, image or text alone) for a "
            f"head to be solved. Received: fusion={model.fusion.name}, hidden_dim="
            f"{getattr(model.fusion, 'hidden_dim', None)}. Train it: `fit`, --head_solver=sgd."
        )
    learning = [name for name, encoder in model.encoders.items() if not encoder.frozen]
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
    if fusion == "late" and solver == "logistic":
        raise ValueError(
            '`solver` must be "exact" or "auto" for late fusion. '
            f"Received: solver={solver!r}, fusion={fusion!r}"
        )
    if fusion == "image_only" and class_texts is not None:
        raise ValueError(
            "`class_texts` must be None for a head that reads no text. "
            f"Received: class_texts={class_texts!r}, fusion={fusion!r}"
        )


def class_weights(model, class_weight):
    """A checked dict from int to float."""
    weights = {_label(model, key, "class_weight"): v for key, v in (class_weight or {}).items()}
    wrong = {key: v for key, v in weights.items() if not (np.isfinite(v) and v >= 0)}
    if wrong:
        raise ValueError(f"`class_weight` must be finite and at least 0. Received: {wrong}")
    return weights


def labelled_texts(model, class_texts):
    """List of (label, text)."""
    if class_texts is None:
        return []
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
    if class_texts == "names":
        if model.class_names is None:
            raise ValueError(
                "`class_texts` must be a dict while the model has no class names. "
                f"Received: class_texts={class_texts!r}. Or set `model.class_names`."
            )
        class_texts = dict(enumerate(model.class_names))
    if not isinstance(class_texts, dict):
        raise ValueError(
            '`class_texts` must be None, "names" or a dict from class to texts. '
            f"Received: class_texts={class_texts!r}"
        )
    found = []
    for key, texts in class_texts.items():
        label = _label(model, key, "class_texts")
        for text in [texts] if isinstance(texts, str) else texts:
            if not isinstance(text, str) or not text.strip():
                raise ValueError(
                    f"`class_texts` must hold texts that are not blank. Received: {text!r} for "
                    f"class {key!r}"
                )
            found.append((label, text))
    return found


def _label(model, key, argument):
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
