"""The smallest SavedModels that break one rule of `serving.lint` each."""

import hashlib
import json

import keras_hub
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

ROWS = tf.TensorSpec([None], tf.float32, name="x")
WORDS = tf.TensorSpec([None], tf.string, name="text")


def save(folder, function, *inputs, name="serving_default", warm=True, **parts):
    """Saves a function with one signature; its inputs are called as their specifications are."""
    module = tf.Module()
    module.parts = parts
    module.served = tf.function(function, input_signature=inputs)
    tf.saved_model.save(module, str(folder), signatures={name: module.served})
    if warm:
        (folder / "assets.extra").mkdir()
        (folder / "assets.extra" / "tf_serving_warmup_requests").write_bytes(b"")
    return folder


def double(x):
    return {"y": 2 * x}


def edit(folder, change):
    """Changes the first meta graph of a SavedModel in place."""
    path = folder / "saved_model.pb"
    message = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    change(message.meta_graphs[0])
    path.write_bytes(message.SerializeToString())
    return folder


def edited(folder, change):
    return edit(save(folder, double, ROWS), change)


def unknown_op(folder):
    def rename(meta_graph):
        nodes = [n for f in meta_graph.graph_def.library.function for n in f.node_def]
        (product,) = [node for node in nodes if node.op == "Mul"]
        product.op = "TakeTwice"

    return edited(folder, rename)


def python_function(folder):
    def f(x):
        y = tf.py_function(lambda v: 2 * v, [x], tf.float32)
        return {"y": tf.ensure_shape(y, [None])}

    return save(folder, f, ROWS)


def numpy_function(folder):
    def f(x):
        return {"y": tf.ensure_shape(tf.numpy_function(lambda v: 2 * v, [x], tf.float32), [None])}

    return save(folder, f, ROWS)


def growing_table(folder):
    table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1)

    def f(text):
        with tf.control_dependencies([table.insert(text, tf.ones_like(text, tf.int64))]):
            return {"id": table.lookup(text)}

    return save(folder, f, WORDS, table=table)


def growing_dense_table(folder):
    table = tf.lookup.experimental.DenseHashTable(tf.string, tf.int64, -1, "", "-")

    def f(text):
        with tf.control_dependencies([table.insert(text, tf.ones_like(text, tf.int64))]):
            return {"id": table.lookup(text)}

    return save(folder, f, WORDS, table=table)


def byte_pair_tokenizer(folder):
    tokenizer = keras_hub.tokenizers.BytePairTokenizer(
        vocabulary={"a": 0, "b": 1, "ab": 2}, merges=["a b"], sequence_length=3
    )
    return save(folder, lambda text: {"ids": tokenizer(text)}, WORDS, tokenizer=tokenizer)


def read_file(path):
    def make(folder):
        def f(x):
            return {"y": x + tf.cast(tf.strings.length(tf.io.read_file(path)), tf.float32)}

        return save(folder, f, ROWS)

    return make


def passed_on(folder):
    def f(x):
        found = tf.io.matching_files(tf.identity(tf.constant(["C:\\data\\*.txt"])))
        return {"y": x + tf.cast(tf.size(found), tf.float32)}

    return save(folder, f, ROWS)


def asset(filename):
    def make(folder):
        def add(meta_graph):
            meta_graph.asset_file_def.add(filename=filename)

        return edited(folder, add)

    return make


def leaked_path(folder):
    vocabulary = folder.parent / "vocabulary.txt"
    vocabulary.write_text("cat\ndog\n")
    return vocabulary_table(folder, str(vocabulary))


def vocabulary_table(folder, filename):
    rows, text = tf.lookup.TextFileIndex.LINE_NUMBER, tf.lookup.TextFileIndex.WHOLE_LINE
    filled = tf.lookup.TextFileInitializer(filename, tf.string, text, tf.int64, rows)
    table = tf.lookup.StaticHashTable(filled, -1)
    return save(folder, lambda text: {"id": table.lookup(text)}, WORDS, table=table)


def device(name):
    def make(folder):
        def f(x):
            with tf.device(name):
                return {"y": tf.sqrt(x)}

        return save(folder, f, ROWS)

    return make


def xla(folder):
    inner = tf.function(lambda x: 2 * x, jit_compile=True)
    return save(folder, lambda x: {"y": inner(x)}, ROWS)


def xla_op(folder):
    def rename(meta_graph):
        for function in meta_graph.graph_def.library.function:
            for node in function.node_def:
                node.op = "XlaDot" if node.op == "Mul" else node.op

    return edited(folder, rename)


def no_default(folder):
    return save(folder, double, ROWS, name="double")


def other_tag(folder):
    return edited(folder, lambda meta_graph: meta_graph.meta_info_def.tags.append("tpu"))


def optional_input(folder):
    def give(meta_graph):
        signature = meta_graph.signature_def["serving_default"]
        signature.defaults["x"].CopyFrom(tf.make_tensor_proto([1.0]))

    return edited(folder, give)


def scalar_output(folder):
    return save(folder, lambda x: {"y": x, "mean": tf.reduce_mean(x)}, ROWS)


def fixed_output(folder):
    return save(folder, lambda x: {"y": x, "first": tf.ones([1])}, ROWS)


def scalar_input(folder):
    scale = tf.TensorSpec([], tf.float32, name="scale")
    return save(folder, lambda x, scale: {"y": x * scale}, ROWS, scale)


def only_scalars(folder):
    return save(folder, double, tf.TensorSpec([], tf.float32, name="x"))


def bfloat16_output(folder):
    return save(folder, lambda x: {"y": tf.cast(x, tf.bfloat16)}, ROWS)


def complex_input(folder):
    spec = tf.TensorSpec([None], tf.complex64, name="x")
    return save(folder, lambda x: {"y": tf.abs(x)}, spec)


def bytes_that_are_numbers(folder):
    spec = tf.TensorSpec([None], tf.float32, name="image_bytes")
    return save(folder, lambda image_bytes: {"y": image_bytes}, spec)


def sparse_output(folder):
    def encode(meta_graph):
        meta_graph.signature_def["serving_default"].outputs["y"].coo_sparse.SetInParent()

    return edited(folder, encode)


def bytes_name(folder):
    return save(folder, lambda text: {"label_bytes": text}, WORDS)


def manifest(contents):
    def make(folder):
        save(folder, double, ROWS)
        (folder.parent / "outside").write_bytes(b"")
        (folder / "link").symlink_to(folder.parent / "outside")
        (folder / "MANIFEST.json").write_text(json.dumps(contents))
        return folder

    return make


def no_warm_up(folder):
    return save(folder, double, ROWS, warm=False)


EMPTY = hashlib.sha256(b"").hexdigest()
BROKEN = {
    "unknown_op": {"renamed": unknown_op},
    "python_function": {"py_function": python_function, "numpy_function": numpy_function},
    "growing_table": {
        "mutable": growing_table,
        "dense": growing_dense_table,
        "byte pair": byte_pair_tokenizer,
    },
    "absolute_path": {
        "read": read_file("/etc/hostname"),
        "remote": read_file("gs://bucket/words.txt"),
        "passed on": passed_on,
        "asset": asset("/data/words.txt"),
        "asset above": asset("../words.txt"),
    },
    "leaked_path": {"vocabulary": leaked_path},
    "device": {
        "gpu": device("/device:GPU:0"),
        "second cpu": device("CPU:1"),
        "worker": device("/job:worker"),
    },
    "xla": {"jit_compile": xla, "op": xla_op},
    "signature": {"no default": no_default, "tag": other_tag, "optional": optional_input},
    "rows": {
        "scalar": scalar_output,
        "fixed": fixed_output,
        "scalar input": scalar_input,
        "scalars": only_scalars,
    },
    "dtype": {
        "output": bfloat16_output,
        "input": complex_input,
        "bytes": bytes_that_are_numbers,
        "sparse": sparse_output,
    },
    "bytes_name": {"label": bytes_name},
    "checksum": {
        "changed": manifest({"sha256": {"saved_model.pb": EMPTY}}),
        "missing": manifest({"sha256": {"gone.txt": EMPTY}}),
        "above": manifest({"sha256": {"../outside": EMPTY}}),
        "absolute": manifest({"sha256": {"/dev/null": EMPTY}}),
        "link": manifest({"sha256": {"link": EMPTY}}),
        "no object": manifest(["sha256"]),
    },
    "warm_up": {"none": no_warm_up},
}
