"""Training that ends where the loss stops being a number."""

import keras
import numpy as np

_SHOWN = 8


class FiniteLoss(keras.callbacks.Callback):
    """Ends training with an error at the first step whose loss is NaN or infinite.

    The error names the step, the examples of its batch and the last good checkpoint, so that they
    can be looked at; `keras.callbacks.TerminateOnNaN` just stops.

    Raises:
        ValueError: while training, see above.

    Example:

    >>> import keras, numpy as np
    >>> model = keras.Sequential([keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> x = np.array([[1.0], [np.nan]])
    >>> try:
    ...     _ = model.fit(x, x, batch_size=1, shuffle=False, verbose=0, callbacks=[FiniteLoss()])
    ... except ValueError as error:
    ...     print(str(error).split(". Try")[0])
    The loss must be finite. Received: loss=nan at step 2 of epoch 1
    """

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        loss = float((logs or {}).get("loss", 0.0))
        if np.isfinite(loss):
            return
        progress = getattr(self.model, "progress", None)
        examples = None if progress is None else progress.examples(self._epoch, batch)
        rows = "" if examples is None else f", whose examples are {_listed(examples)}"
        kept = [getattr(c, "last", None) for c in getattr(progress, "callbacks", ())]
        kept = "".join(f" The last good checkpoint: {path}." for path in kept if path)
        raise ValueError(
            f"The loss must be finite. Received: loss={loss} at step {batch + 1} of epoch "
            f"{self._epoch + 1}{rows}.{kept} Try a smaller learning rate, clipped gradients, or "
            "look at these examples."
        )


def _listed(examples):
    more = f" and {len(examples) - _SHOWN} more" if len(examples) > _SHOWN else ""
    return f"{examples[:_SHOWN]}{more}"
