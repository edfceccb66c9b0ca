"""Training that survives: checkpoints from which `fit` goes on as if nothing had happened."""

import os
import zlib

import keras
import numpy as np
from absl import logging

from tatl_keras.training import checkpoint, fit_state
from tatl_keras.training.cluster import is_first, of_all_workers
from tatl_keras.training.preemption import Preempted, Watch

_ASK_EVERY = 10  # steps after which workers tell each other of signals


class BackupAndRestore(keras.callbacks.Callback):
    """Writes checkpoints while a model trains; `fit` called again goes on from the last one.

        model.fit(…, epochs=100, callbacks=[training.BackupAndRestore("backup")])

    Stopped at any moment, by `kill -9` or a power cut, the same program run again ends with the
    weights, bit for bit, that it would have ended with (on one CPU; within rounding where several
    replicas add up gradients). A checkpoint holds the weights but those of frozen encoders, the
    optimizer, epoch and step, the seed of the order of the examples, the states of all random
    generators, metrics, the history and the other callbacks: Keras's `EarlyStopping`,
    `ReduceLROnPlateau` and `ModelCheckpoint`, and all that have `get_state()` and `set_state()`.
    In the epoch it goes on with, batches that were learned from are read and left out; callbacks
    see them with the logs of the checkpoint.

    A checkpoint is written beside, flushed and renamed, its SHA-256 is in its name, and the one
    before stays: what is damaged is named and left out. With several workers the first writes, to
    a folder that all of them see, and all go on from the same checkpoint.

    SIGTERM, by which clusters announce that they take a machine away, ends training after the step
    with a checkpoint and `training.Preempted`, a `SystemExit` with code 75 (EX_TEMPFAIL). Workers
    ask each other every 10 steps.

    A `keras.Model` that is not of this library goes on from the ends of epochs only.

    What it cannot know is a data set that shuffles itself: batched by the user, it starts with its
    first order again. Callbacks that keep nothing start anew.

    Args:
        backup_dir: folder, of this training alone.
        save_freq: "epoch", or int, steps between two checkpoints.
        max_to_keep: int ≥ 1, checkpoints that stay.
        delete_checkpoint: bool, remove them once training has ended.

    Raises:
        ValueError: an argument is none of these; while training begins, the checkpoint is of
            another model, another optimizer or other callbacks, frozen encoders have changed since,
            or workers see different folders.
        OSError: while training, a checkpoint cannot be written; the last one stays.
        Preempted: see above.

    Example:

    >>> import os, tempfile
    >>> from tatl_keras import training, zoo
    >>> folder = os.path.join(tempfile.mkdtemp(), "backup")
    >>> backup = training.BackupAndRestore(folder, delete_checkpoint=False)
    >>> model = zoo.build("test_bert_text_only", num_classes=2)
    >>> x, y = {"text": ["a cat", "a dog"]}, [0, 1]
    >>> history = model.fit(x, y, epochs=2, verbose=0, callbacks=[backup])
    >>> history = model.fit(x, y, epochs=3, verbose=0, callbacks=[backup])
    >>> len(history.history["loss"]), int(model.optimizer.iterations)
    (3, 3)
    """

    runs_last = True  # what the other callbacks do at the end of an epoch belongs to it

    def __init__(self, backup_dir, save_freq="epoch", max_to_keep=2, delete_checkpoint=True):
        super().__init__()
        if not backup_dir:
            raise ValueError(f"`backup_dir` must be a folder. Received: backup_dir={backup_dir!r}")
        is_count = isinstance(save_freq, int) and not isinstance(save_freq, bool) and save_freq > 0
        if save_freq != "epoch" and not is_count:
            raise ValueError(
                f"`save_freq` must be 'epoch' or an int above 0. Received: save_freq={save_freq!r}"
            )
        if not isinstance(max_to_keep, int) or max_to_keep < 1:
            raise ValueError(
                f"`max_to_keep` must be an int of at least 1. Received: max_to_keep={max_to_keep!r}"
            )
        self.backup_dir, self.save_freq, self.max_to_keep = backup_dir, save_freq, max_to_keep
        self.delete_checkpoint = delete_checkpoint
        self.last = None  # what was written or read last
        self._watch = Watch()

    def delete(self):
        """Removes the checkpoints."""
        if self._writes():
            checkpoint.delete_checkpoints(self.backup_dir)

    def close(self):
        """Gives SIGTERM back; `fit` calls it however training ends."""
        self._watch.close()
        self.model._initial_epoch = None  # Keras would keep it for the next `fit`

    def on_train_begin(self, logs=None):
        self._epoch, self._since, self._state = None, 0, None
        self._progress = getattr(self.model, "progress", None)
        if self._progress is None and self.save_freq != "epoch":
            raise ValueError(
                "`save_freq` must be 'epoch' for a model that is not of this library, whose place "
                f"in an epoch is not known. Received: save_freq={self.save_freq!r}"
            )
        self._callbacks = [c for c in getattr(self._progress, "callbacks", ()) if c is not self]
        self._kept = fit_state.kept_variables(self.model)
        self._digests = fit_state.frozen_digests(self.model)
        state, path = checkpoint.read_newest(self.backup_dir)
        self._check_all_see(path)
        if state is not None:
            self._restore(state, path)
        elif self._writes():
            checkpoint.remove_unfinished(self.backup_dir)
        self._watch.open()

    def on_epoch_begin(self, epoch, logs=None):
        self._skipped = 0
        if self._state is not None:
            self._restore_epoch()
        elif self._epoch is not None:  # the epoch before is over, with all that callbacks did
            due = self.save_freq == "epoch" or self._since >= self.save_freq
            self._stop_if_asked(epoch, 0, self._save(epoch, 0) if due else None)
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        step = batch + 1
        if step <= self._skipped:
            return
        self._since += self.model.steps_per_execution
        due = self.save_freq != "epoch" and self._since >= self.save_freq
        path = self._save(self._epoch, step) if due else None
        if step % _ASK_EVERY == 0 or self._workers == 1:
            self._stop_if_asked(self._epoch, step, path)

    def on_train_end(self, logs=None):
        if self._state is not None:  # there was nothing left to train
            fit_state.restore_callbacks(self.model, self._kept, self._callbacks, self._state)
        elif self._epoch is not None:
            self._save(self._epoch + 1, 0)
        if self.delete_checkpoint:
            self.delete()
        self.close()

    def _writes(self):
        return is_first(self.model.distribute_strategy)

    def _check_all_see(self, path):
        name = "none" if path is None else os.path.basename(path)
        numbers = of_all_workers(self.model.distribute_strategy, zlib.crc32(name.encode()))
        self._workers = len(numbers)
        if len(set(numbers)) > 1:
            raise ValueError(
                "`backup_dir` must be one folder that all workers see. Received: "
                f"{self.backup_dir!r}, where workers find different checkpoints; this one: {name}"
            )

    def _restore(self, state, path):
        if state["frozen"] != self._digests:
            raise ValueError(
                "`backup_dir` must hold a checkpoint with the same frozen encoders. "
                f"Received: {path}, made with encoders of other weights"
            )
        with self.model.distribute_strategy.scope():
            fit_state.restore(self.model, self._kept, state)
        if self._progress is not None:
            self._progress.order.seed = state["seed"]
        self.model._initial_epoch = self.params["epochs"] if state["stopped"] else state["epoch"]
        self._state, self.last = state, path
        done = f"{state['epoch']} epochs and {state['step']} steps"
        logging.info("Training goes on from %s: %s are done.", path, done)

    def _restore_epoch(self):
        """Takes up the epoch of the checkpoint, once everything in it has begun anew."""
        state, self._state = self._state, None
        fit_state.restore_callbacks(self.model, self._kept, self._callbacks, state)
        if state["step"]:
            self._progress.build_metrics()
            with self.model.distribute_strategy.scope():
                fit_state.restore_metrics(self.model, state)
            _skip(self.model, state["step"])
            self._skipped = state["step"]

    def _save(self, epoch, step):
        """Writes a checkpoint after `step` steps of `epoch`; returns its path."""
        # On all workers: their metrics are added up.
        state = fit_state.capture(self.model, self._kept, self._callbacks)
        broken = [one["name"] for one in state["variables"] if not _is_finite(one["value"])]
        if broken:
            raise ValueError(
                f"Weights must be finite. Received: NaN or infinity in {broken[:3]} after step "
                f"{step} of epoch {epoch + 1}. The last good checkpoint: {self.last}"
            )
        seed = None if self._progress is None else self._progress.order.seed
        state |= {"epoch": epoch, "step": step, "seed": seed}
        state |= {"stopped": bool(self.model.stop_training), "frozen": self._digests}
        self._since = 0
        if self._writes():
            self.last = checkpoint.write_checkpoint(self.backup_dir, state, self.max_to_keep)
        return self.last

    def _stop_if_asked(self, epoch, step, path):
        """Ends training where a worker got the signal, after a checkpoint."""
        if not any(of_all_workers(self.model.distribute_strategy, int(self._watch.asked))):
            return
        if path is None and (step == 0 or self._progress is not None):
            path = self._save(epoch, step)
        path = path or self.last
        where = f"epoch {epoch + 1}, step {step}"
        logging.warning("Stopped by SIGTERM at %s; the same call goes on from %s.", where, path)
        self.close()
        raise Preempted(path)


def _skip(model, steps):
    """Lets the first steps of an epoch read their batches and learn nothing."""
    learn, logs = model.train_function, model.get_metrics_result()
    calls = iter(range(0, steps, model.steps_per_execution))
    next(calls)

    def read(iterator):
        for _ in range(model.steps_per_execution):
            next(iterator)
        if next(calls, None) is None:
            model.train_function = learn
        return logs

    model.train_function = read


def _is_finite(array):
    return array.dtype.kind not in "fV" or bool(np.isfinite(array.astype("float32")).all())
