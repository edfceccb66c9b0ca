"""All that a training depends on, as arrays and values, and back."""

import itertools
import random

import keras
import numpy as np

# What Keras's own callbacks change while they train.
_KERAS_CALLBACKS = {
    keras.callbacks.EarlyStopping: ("wait", "stopped_epoch", "best", "best_epoch", "best_weights"),
    keras.callbacks.ReduceLROnPlateau: ("wait", "best", "cooldown_counter"),
    keras.callbacks.ModelCheckpoint: ("best", "_current_epoch", "_batches_seen_since_last_saving"),
}


def frozen_digests(model):
    """Digests of the frozen encoders of a model, whose weights a checkpoint leaves out."""
    return [layer.digest() for layer in model._flatten_layers() if getattr(layer, "frozen", False)]


def kept_variables(model):
    """The variables of a model, without those of frozen encoders, which do not change."""
    frozen = {
        id(variable)
        for layer in model._flatten_layers()
        if getattr(layer, "frozen", False)
        for variable in layer.variables
    }
    return [variable for variable in model.variables if id(variable) not in frozen]


def capture(model, kept, callbacks):
    """What `fit` has changed so far, and will go on from.

    Args:
        model: a `keras.Model` that is being trained.
        kept: its `kept_variables`.
        callbacks: list of those that it is trained with.

    Returns:
        A dict: weights but those of frozen encoders, states of random generators, the optimizer,
        metrics, callbacks, and the random states of Python and NumPy.
    """
    return {
        "variables": _read(kept),
        "optimizer": _read(model.optimizer.variables),
        "metrics": _read(model.metrics_variables),
        "callbacks": _states(callbacks, kept),
        "history": {} if model.history is None else model.history.history,
        "python": random.getstate(),
        "numpy": list(np.random.get_state()),
    }


def restore(model, kept, state):
    """Gives a model back the weights, the optimizer and the random states of `capture`.

    Raises:
        ValueError: the state is of another model or another optimizer.
    """
    _assign("model", kept, state["variables"])
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    _assign("optimizer", model.optimizer.variables, state["optimizer"])
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    np.random.set_state(tuple(state["numpy"]))


def restore_metrics(model, state):
    """Gives back the metrics of an epoch that is under way; they must be built.

    Raises:
        ValueError: the metrics are others.
    """
    _assign("metrics", model.metrics_variables, state["metrics"])


def restore_callbacks(model, kept, callbacks, state):
    """Gives callbacks and the history back what they lost when `fit` began.

    Raises:
        ValueError: the callbacks are others.
    """
    saved = state["callbacks"]
    stateful = [callback for callback in callbacks if _names_of(callback) is not None]
    names, given = [one["class"] for one in saved], [type(one).__name__ for one in stateful]
    if names != given:
        raise ValueError(
            f"`callbacks` must be those of the checkpoint with a state: {names}. "
            f"Received: callbacks={given}"
        )
    for callback, one in zip(stateful, saved, strict=True):
        _give_back(callback, one["state"], kept, model)
    history = model.history
    history.history.update(state["history"])
    history.epoch = list(range(max(map(len, history.history.values()), default=0)))


def _read(variables):
    return [{"name": v.name, "value": np.asarray(v.numpy())} for v in variables]


def _assign(what, variables, saved):
    """Assigns values to variables; names count runs of a process, shapes and dtypes must fit."""
    mine = [f"{v.name} {tuple(v.shape)} {v.dtype}" for v in variables]
    theirs = [f"{one['name']} {one['value'].shape} {one['value'].dtype.name}" for one in saved]
    pairs = itertools.zip_longest(mine, theirs, fillvalue="nothing")
    for one, other in pairs:
        if one.split(" ", 1)[1:] != other.split(" ", 1)[1:]:
            raise ValueError(
                f"`backup_dir` must hold a checkpoint of this {what}, with {one}. "
                f"Received: {other}. Another folder, or none, starts from the beginning."
            )
    for variable, one in zip(variables, saved, strict=True):
        variable.assign(one["value"])


def _names_of(callback):
    """Names of the attributes that a callback's state is in; `()` for its own methods, or None."""
    if hasattr(callback, "get_state"):
        return ()
    for kind, names in _KERAS_CALLBACKS.items():
        if isinstance(callback, kind):
            return names
    return None


def _states(callbacks, kept):
    """Class and state of each callback that has one."""
    states = []
    for callback in callbacks:
        names = _names_of(callback)
        if names is None:
            continue
        state = {name: getattr(callback, name, None) for name in names} or callback.get_state()
        if state.get("best_weights") is not None and names:
            places = _places_of_weights(callback.model, kept)
            state["best_weights"] = [state["best_weights"][place] for place in places]
        states.append({"class": type(callback).__name__, "state": state})
    return states


def _give_back(callback, state, kept, model):
    if not _names_of(callback):
        callback.set_state(state)
        return
    if state.get("best_weights") is not None:
        weights = model.get_weights()
        places = _places_of_weights(model, kept)
        for place, value in zip(places, state["best_weights"], strict=True):
            weights[place] = value
        state = state | {"best_weights": weights}
    for name, value in state.items():
        setattr(callback, name, value)


def _places_of_weights(model, kept):
    """Where in `get_weights()` the weights are that a checkpoint keeps."""
    ids = {id(variable) for variable in kept}
    return [place for place, weight in enumerate(model.weights) if id(weight) in ids]
