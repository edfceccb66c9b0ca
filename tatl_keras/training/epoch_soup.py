"""A greedy soup of the best epochs of one training."""

import math

import keras
import numpy as np

from tatl_keras.layers.checks import check_count
from tatl_keras.training.greedy_soup import greedy_soup
from tatl_keras.training.trained_weights import trained_weights


class EpochSoup(keras.callbacks.Callback):
    """Ends a training with the `greedy_soup` of its best epochs, not with its last weights.

    Kept in memory are the `trained_weights` of as many epochs as asked for, those of the highest
    validation accuracy. At the end of training, however it ended, the model gets the average that
    the validation data chooses among them: there it is at least as accurate as the best epoch.

    Do not expect much: fine-tuned on 919 pictures a network ended 0.2 to 0.5 points above its last
    epoch and 0.2 above its best one, within the noise of three seeds
    (`benchmarks/weight_averaging.py`).

    With `keras.callbacks.EarlyStopping` leave `restore_best_weights` off: the soup decides.

    Args:
        validation_data: what `fit` gets as `validation_data`.
        keep: int ≥ 1, how many epochs. Defaults to 5.
        monitor: name of a metric that is better when larger.
        batch_size, feature_cache: as `evaluate` takes them.

    Attributes:
        soup: what `greedy_soup` returned, with `epochs` (from 1) in place of `chosen`, and `kept`,
            the epochs whose values are in `alone`; `None` before the end.

    Raises:
        ValueError: `keep` is out of its bounds; in training, `fit` got no `validation_data`.

    Example:

    >>> from tatl_keras import data, training, zoo
    >>> model = zoo.build("test_efficientnet_bert_gated", num_classes=2)
    >>> train, held_out = data.synthetic.examples(2, 8), data.synthetic.examples(2, 6, seed=1)
    >>> soup = training.EpochSoup(held_out, keep=3)
    >>> options = {"validation_data": held_out, "epochs": 4, "verbose": 0}
    >>> history = model.fit(train, callbacks=[soup], **options)
    >>> soup.soup["accuracy"] >= max(history.history["val_accuracy"]), len(soup.soup["alone"])
    (True, 3)
    """

    def __init__(
        self, validation_data, *, keep=5, monitor="accuracy", batch_size=None, feature_cache=None
    ):
        super().__init__()
        self.keep = check_count("keep", keep)
        self.monitor = monitor
        self.soup = None
        self._evaluation = {
            "validation_data": validation_data,
            "batch_size": batch_size,
            "feature_cache": feature_cache,
        }
        self._kept = []

    def on_epoch_end(self, epoch, logs=None):
        logs = logs or {}
        missing = {f"val_{self.monitor}", "val_loss"} - logs.keys()
        if missing:
            raise ValueError(
                f"`validation_data` must be given to `fit` too, and `monitor` be a metric. "
                f"Received: monitor={self.monitor!r}, and logs without {sorted(missing)}"
            )
        score = (float(logs[f"val_{self.monitor}"]), -float(logs["val_loss"]))
        if not all(map(math.isfinite, score)):
            return
        if len(self._kept) < self.keep or score > min(_score(kept) for kept in self._kept):
            entry = {"epoch": int(epoch) + 1, "score": list(score)}
            self._kept.append(entry | {"weights": trained_weights(self.model)})
            best = sorted(self._kept, key=_score, reverse=True)[: self.keep]
            self._kept = sorted(best, key=lambda kept: kept["epoch"])

    def on_train_end(self, logs=None):
        kept, self._kept = self._kept, []
        if not kept:
            return
        weights = [entry["weights"] for entry in kept]
        found = greedy_soup(self.model, weights, monitor=self.monitor, **self._evaluation)
        epochs = [entry["epoch"] for entry in kept]
        chosen = [epochs[place] for place in found.pop("chosen")]
        self.soup = {"epochs": chosen, "kept": epochs} | found

    def get_state(self):
        """What a training that goes on later needs: a dict of numbers and arrays."""
        return {"kept": [dict(entry) for entry in self._kept], "soup": self.soup}

    def set_state(self, state):
        """Goes on from what `get_state` returned."""
        self.soup = state["soup"]
        self._kept = [
            {
                "epoch": int(entry["epoch"]),
                "score": [float(value) for value in entry["score"]],
                "weights": [np.asarray(array, np.float32) for array in entry["weights"]],
            }
            for entry in state["kept"]
        ]


def _score(entry):
    return tuple(entry["score"])
