"""A process that starts others which encode: `python crew.py FOLDER`, and then as JSON what came.

TensorFlow is imported once and started in each child, since a fork copies no threads.
"""

import contextlib
import json
import os
import pathlib
import signal
import sys
import time

import numpy as np
import tensorflow as tf
from absl import logging

from tatl_keras import data, encoders
from tatl_keras.features import FeatureCache, encode_dataset, encoding, filling, shards, space

ROWS, SHARD_ROWS, SIZE = 48, 8, 16


def pictures():
    """The examples that every process encodes."""
    return np.random.default_rng(5).integers(0, 256, (ROWS, SIZE, SIZE, 3), "uint8")


def encode(cache, worker=(0, 1)):
    """Features of `pictures()`, pooled and tokens; returns them and how many rows were computed."""
    encoder, converter = encoders.build_image("test_image")
    computed = []
    fill = filling.Filler.fill
    filling.SHARD_ROWS = SHARD_ROWS

    def counted(filler, where, keys, values):
        computed.extend(keys)
        return fill(filler, where, keys, values)

    filling.Filler.fill = counted
    features = encode_dataset(
        tf.data.Dataset.from_tensor_slices({"image": pictures()}),
        {"image": encoder},
        FeatureCache.get(cache),
        preprocessor=data.Preprocessor(converter),
        uses=("image_pooled", "image_tokens", "has_image"),
        worker=worker,
        verbose=0,
    )
    filling.Filler.fill = fill
    return features.arrays()[0], len(computed)


def start(folder, name, *, wait=0.0, worker=(0, 1), last_file=None):
    """Encodes into `folder`/cache in a child, which writes NAME.npz, NAME.json and NAME.log.

    With `last_file` it hangs when it has written so many. NAME.files has a byte for each.
    """
    pid = os.fork()
    if pid:
        return pid
    try:
        log = os.open(folder / f"{name}.log", os.O_WRONLY | os.O_CREAT, 0o644)
        os.dup2(log, 2)
        logging.use_absl_handler()
        logging.set_verbosity(logging.INFO)
        write, own_shares = space.write_shard, encoding.own_shares
        files = os.open(folder / f"{name}.files", os.O_WRONLY | os.O_CREAT, 0o644)

        def slowly(*arguments):
            """So that the parent can kill it, and another process meets its lock."""
            time.sleep(wait if os.fstat(files).st_size != last_file else 3600)
            path = write(*arguments)
            os.write(files, b".")
            return path

        @contextlib.contextmanager
        def together(fillers):
            with own_shares(fillers):
                (folder / f"{name}.ready").touch()
                while len(list(folder.glob("*.ready"))) < worker[1]:
                    time.sleep(0.01)
                yield

        space.write_shard, encoding.own_shares = slowly, together
        arrays, computed = encode(str(folder / "cache"), worker)
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


def share(folder):
    """Two workers fill one cache, each its share."""
    pids = [start(folder, str(index), worker=(index, 2)) for index in (0, 1)]
    return {"status": [os.waitpid(pid, 0)[1] for pid in pids]}


def lose_a_worker(folder):
    """Two workers fill one cache; one is killed behind its first file while the other waits."""
    lost, other = (start(folder, str(i), worker=(i, 2), last_file=(1, None)[i]) for i in (0, 1))
    log, files = folder / "1.log", folder / "0.files"
    while not (log.exists() and "Waiting for" in log.read_text(encoding="utf-8")):
        time.sleep(0.01)
    while not files.stat().st_size:
        time.sleep(0.01)
    before = finished(folder)
    os.kill(lost, signal.SIGKILL)
    os.waitpid(lost, 0)
    return {"status": os.waitpid(other, 0)[1], "before": before}


def main(root):
    outcome = {}
    for scene in (kill_and_resume, fill_together, share, lose_a_worker):
        folder = root / scene.__name__
        folder.mkdir()
        outcome[scene.__name__] = scene(folder)
    print(json.dumps(outcome))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
