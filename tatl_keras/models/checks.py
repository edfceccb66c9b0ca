"""Whether the parts of a model fit each other, and are still what was compiled."""

from tatl_keras import fusion as fusions
from tatl_keras.models.few_shot_head import CLASS_TEXT_HEADS


def reads(fusion):
    """List of "image", "text" or both: what a fusion reads."""
    return [m for m in ("image", "text") if any(m in name for name in fusion.uses)]


def is_linear(fusion):
    """Whether a fusion hands on pooled vectors as they are, those of the text last."""
    return isinstance(fusion, fusions.SingleModality) or (
        isinstance(fusion, fusions.ConcatFusion) and not fusion.hidden_dim
    )


def check_encoders(fusion, encoders, head=None, text_in_training=False):
    """Raises a ValueError unless a fusion reads exactly what the encoders give.

    A text encoder may be there for a head of class texts, or for training, alone.
    """
    has = [modality for modality, encoder in encoders.items() if encoder is not None]
    fits = [reads(fusion)]
    if isinstance(head, CLASS_TEXT_HEADS) or text_in_training:
        fits.append([*fits[0], "text"])
    if has not in fits:
        raise ValueError(
            f"`fusion` must read what the encoders give: {has}. Received: "
            f"fusion={fusion.name}, which reads {reads(fusion)}"
        )


def check_compiled_weights(model):
    """Raises a ValueError where weights were frozen or unfrozen since `compile`.

    Keras would train the old set of weights, or fail with a message of its internals.
    """
    weights = [id(variable) for variable in model.trainable_variables]
    if model._weights_in_training not in (None, weights):
        raise ValueError(
            "`compile` must be called again after freezing or unfreezing. Received: "
            f"{len(weights)} trainable weights, trained before with "
            f"{len(model._weights_in_training)}"
        )
    model._weights_in_training = weights
