"""Whether the parts of a model fit each other, and are still what was compiled."""


def check_encoders(fusion, encoders):
    """Raises a ValueError unless a fusion reads exactly what the encoders give."""
    reads = [m for m in ("image", "text") if any(m in name for name in fusion.uses)]
    has = list(encoders)
    if reads != has:
        raise ValueError(
            f"`fusion` must read what the encoders give: {has}. Received: "
            f"fusion={fusion.name}, which reads {reads}"
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
