"""A process that starts trainings which kill themselves: `python survivor.py FOLDER KILLS`.

TensorFlow is imported once and started in each child, since a fork copies no threads. What came
out is printed as JSON.
"""

import json
import os
import pathlib
import signal
import sys

import keras
import numpy as np

from tatl_keras import encoders, models, training
from tatl_keras.training import checkpoint

ROWS, EPOCHS, BATCH_SIZE = 12, 4, 4  # even batches: tracing another shape would take most of a life


class KillAt(keras.callbacks.Callback):
    """Kills the process at the n-th call or return of a Python function after the first step."""

    runs_last = False

    def __init__(self, event):
        super().__init__()
        self.left, self.seen, self.first = event, 0, None

    def on_epoch_begin(self, epoch, logs=None):
        if self.first is None:
            self.first = self.model.optimizer.iterations.numpy()

    def on_train_batch_end(self, batch, logs=None):
        if self.model.optimizer.iterations.numpy() > self.first:  # by now all is traced
            sys.setprofile(self._count)

    def close(self):
        sys.setprofile(None)

    def _count(self, frame, event, argument):
        self.seen += 1
        if self.seen == self.left:
            os.kill(os.getpid(), signal.SIGKILL)


def train(folder, save_freq, event):
    """Trains to the end, or dies; writes the weights, and how many events it took."""
    keras.utils.set_random_seed(3)
    encoder = encoders.build_image("test_image")[0]
    model = models.TextAssistedClassifier(encoder, None, "image_only", 2, modality_dropout=0.2)
    rng = np.random.default_rng(0)
    x = {"image_pooled": rng.normal(size=(ROWS, 24)).astype("float32")}
    x |= {"has_image": np.ones(ROWS, "int32")}
    model.compile("adam")
    kill = KillAt(event)
    backup = training.BackupAndRestore(folder / "backup", save_freq, delete_checkpoint=False)
    options = {"epochs": EPOCHS, "batch_size": BATCH_SIZE, "verbose": 0}
    model.fit(x, np.arange(ROWS) % 2, callbacks=[kill, backup], **options)
    values = [v.numpy() for v in (*model.variables, *model.optimizer.variables)]
    np.savez(folder / "writing.npz", *values)
    os.replace(folder / "writing.npz", folder / "weights.npz")
    (folder / "events").write_text(str(kill.seen), encoding="utf-8")


def life(folder, save_freq, event):
    """One life of a training in a child; returns whether it came to its end."""
    folder.mkdir(exist_ok=True)
    pid = os.fork()
    if pid:
        status = os.waitpid(pid, 0)[1]
        if not os.WIFSIGNALED(status) and status:
            sys.exit(f"a training failed: {(folder / 'error').read_text(encoding='utf-8')}")
        return status == 0
    try:
        os.dup2(os.open(folder / "error", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), 2)
        train(folder, save_freq, event)
    except BaseException as error:
        os.write(2, repr(error).encode())
        os._exit(1)
    os._exit(0)


def weights(folder):
    with np.load(folder / "weights.npz") as arrays:
        return [arrays[name] for name in arrays.files]


def main(root, kills):
    life(root / "whole", 1, 0)
    events = int((root / "whole" / "events").read_text(encoding="utf-8"))
    rng, deaths, wrong = np.random.default_rng(0), [], 0
    while len(deaths) < kills:
        folder, save_freq = root / f"{len(deaths)}", int(rng.integers(1, 4))
        while not life(folder, save_freq, int(rng.integers(1, events // 2))):
            there = checkpoint.list_checkpoints(folder / "backup")
            states = [checkpoint.read_checkpoint(path) for _, path in there]  # all are whole
            last = states[-1] if states else {"epoch": 0, "step": 0}
            deaths.append([len(states), last["epoch"], last["step"]])
        wrong += any(
            not np.array_equal(ours, theirs)
            for ours, theirs in zip(weights(folder), weights(root / "whole"), strict=True)
        )
    print(json.dumps({"deaths": deaths, "wrong": wrong}))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), int(sys.argv[2]))
