"""SavedModels that break no rule of `serving.lint`, and come near."""

import hashlib
import json

import tensorflow as tf

from tests.serving.broken_models import ROWS, WORDS, device, double, manifest, save


def with_a_variable(folder):
    factor = tf.Variable(3.0)
    return save(folder, lambda x: {"y": factor * x}, ROWS, factor=factor)


def with_sums(folder):
    save(folder, double, ROWS)
    sums = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }
    (folder / "MANIFEST.json").write_text(json.dumps({"sha256": sums}))
    return folder


def tables_that_stay(folder):
    """A constant table, and tables that only a checkpoint fills."""
    constant = tf.lookup.KeyValueTensorInitializer(["cat"], tf.constant([7], tf.int64))
    static = tf.lookup.StaticHashTable(constant, -1)
    mutable = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1)
    mutable.insert(["dog"], [8])

    def f(text):
        return {"id": static.lookup(text) + mutable.lookup(text)}

    return save(folder, f, WORDS, tables=[static, mutable])


def words_that_look_like_paths(folder):
    def f(text):
        return {"same": tf.equal(text, "/m/01abc"), "next": text + "/usr/share/" + "gs://"}

    return save(folder, f, WORDS)


def fixed_batch(folder):
    return save(folder, double, tf.TensorSpec([4, 2], tf.float32, name="x"))


def unknown_rank(folder):
    return save(folder, double, tf.TensorSpec(None, tf.float32, name="x"))


HEALTHY = {
    "plain": lambda folder: save(folder, double, ROWS),
    "variable": with_a_variable,
    "first cpu": device("CPU:0"),
    "any cpu": device("/job:localhost/device:CPU:*"),
    "sums": with_sums,
    "tables": tables_that_stay,
    "words": words_that_look_like_paths,
    "fixed batch": fixed_batch,
    "unknown rank": unknown_rank,
    "manifest without sums": manifest({"version": 1}),
}
