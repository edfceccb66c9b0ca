"""A process that starts others which encode: `python crew.py FOLDER`, and then as JSON what came.

TensorFlow is imported once and started in each child, since a fork copies no threads.
"""

import json
import os
import pathlib
import signal
import sys
import time

import numpy as np
import tensorflow as tf
from absl import logging

from tatl_keras import data, encoders, training
from tatl_keras.features import filling, shards, space

ROWS, SHARD_ROWS, SIZE = 48, 8, 16


def pictures():
    """The examples that every process encodes."""
    return np.random.default_rng(5).integers(0, 256, (ROWS, SIZE, SIZE, 3), "uint8")


def encode(directory):
    """Features of `pictures()`, pooled and tokens; returns them and how many rows were computed."""
    encoder, converter = encoders.build_image("test_image")
    computed = []
    fill = filling.Filler.fill
    filling.SHARD_ROWS = SHARD_ROWS

    def counted(filler, where, keys, values):
        computed.extend(keys)
        return fill(filler, where, keys, values)

    filling.Filler.fill = counted
    features = training.encode(
        tf.data.Dataset.from_tensor_slices({"image": pictures()}),
        {"image": encoder},
        directory,
        preprocessor=data.Preprocessor(converter),
        uses=("image_pooled", "image_tokens", "has_image"),
        verbose=0,
    )
    filling.Filler.fill = fill
    return features.arrays()[0], len(computed)


def start(folder, name, *, wait=0.0):
    """Encodes into `folder`/cache in a child, which writes NAME.npz, NAME.json and NAME.log."""
    pid = os.fork()
    if pid:
        return pid
    try:
        log = os.open(folder / f"{name}.log", os.O_WRONLY | os.O_CREAT, 0o644)
        os.dup2(log, 2)
        logging.use_absl_handler()
        write = space.write_shard
        # Slower, so that the parent can kill it, and another process meets its lock.
        space.write_shard = lambda *arguments: time.sleep(wait) or write(*arguments)
        arrays, computed = encode(str(folder / "cache"))
        np.savez(folder / f"{name}.npz", **arrays)
        (folder / f"{name}.json").write_text(json.dumps(computed), encoding="utf-8")
    except BaseException as error:
        os.write(2, repr(error).encode())
        os._exit(1)
    os._exit(0)


def finished(folder):
    """Number of files in the cache."""
    return len(list((folder / "cache").glob(f"*/*{shards.SUFFIX}")))


def kill_and_resume(folder):
    """Kills a process twice; returns how many files it had finished, and the last one's count."""
    had = []
    for name, files in (("first", 1), ("second", 3)):
        pid = start(folder, name, wait=0.1)
        while finished(folder) < files and not (folder / f"{name}.json").exists():
            time.sleep(0.01)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        had.append(finished(folder))
    done = os.waitpid(start(folder, "last"), 0)[1]
    return {"finished": had, "status": done}


def fill_together(folder):
    """Two processes fill one cache at once."""
    pids = [start(folder, name, wait=0.1) for name in ("one", "other")]
    return {"status": [os.waitpid(pid, 0)[1] for pid in pids]}


def main(root):
    outcome = {}
    for scene in (kill_and_resume, fill_together):
        folder = root / scene.__name__
        folder.mkdir()
        outcome[scene.__name__] = scene(folder)
    print(json.dumps(outcome))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
