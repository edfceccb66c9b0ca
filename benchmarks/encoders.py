"""Pictures per second of our compiled encoders beside plain Keras and PyTorch on the CPU.

    python benchmarks/encoders.py

For EfficientNet-Lite0 (with the weights of the repository), ResNet-50 and ViT-B/16 (random weights)
at 224 x 224, batches of 16 ready tensors, the pooled vector as output:

    keras       the encoder in a `tf.function`
    float32     `inference_function(encoder)`
    bfloat16    `inference_function(encoder, dtype="bfloat16")`
    xla         `inference_function(encoder, jit_compile=True)`
    torch       the same network in timm: eval(), inference_mode(), channels_last

The methods take turns, each in a process of its own that sleeps in between, all with the same
number of threads; the table gives medians over rounds, and ratios are taken within each round.
`cosine` (the least of a batch) and `relative` (largest difference over largest value) compare the
pooled vectors with those of "keras"; on random pictures and, where weights are random, random
statistics of BatchNorm. PyTorch's weights are random, which changes none of its speed.

Needs PyTorch and timm for its rows, pip install torch timm; they are left out without. Writes
benchmarks/results/encoders.csv.
"""

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

import numpy as np
from absl import app, flags
from conditions import write_results

_ROUNDS = flags.DEFINE_integer("rounds", 5, "How often the methods of an encoder take turns.")
_SECONDS = flags.DEFINE_float("seconds", 1.0, "How long a turn lasts, about.")
_BATCH = flags.DEFINE_integer("batch_size", 16, "Pictures in a batch.")
_THREADS = flags.DEFINE_integer("threads", os.cpu_count(), "Threads of one operation.")
_ENCODERS = flags.DEFINE_list("encoders", None, "Names of encoders; all, if not given.")
_METHODS = flags.DEFINE_list("methods", None, "Names of methods; all, if not given.")
_WORKER = flags.DEFINE_string("worker", None, "encoder/method/file; used by this script itself.")

# Encoder: timm's name of the network.
ENCODERS = {
    "efficientnet_lite0": "tf_efficientnet_lite0",
    "resnet50": "resnet50",
    "vit_b16": "vit_base_patch16_224",
}
METHODS = ("keras", "float32", "bfloat16", "xla", "torch")


def main(argv):
    del argv
    if _WORKER.value:
        serve(*_WORKER.value.split("/", 2))
        return
    methods = [name for name in _METHODS.value or METHODS if name != "torch" or _has_torch()]
    rows = []
    for encoder in _ENCODERS.value or ENCODERS:
        rows += compare(encoder, methods)
    write_results("encoders.csv", rows)


def compare(encoder, methods):
    """Rows of all methods of an encoder."""
    with tempfile.TemporaryDirectory() as folder:
        workers = {method: _start(encoder, method, f"{folder}/{method}.npy") for method in methods}
        notes = {method: json.loads(w.stdout.readline()) for method, w in workers.items()}
        pooled = {method: np.load(f"{folder}/{method}.npy") for method in methods}
    rates = {method: [] for method in methods}
    for index in range(_ROUNDS.value):
        for method in methods[:: 1 if index % 2 else -1]:
            workers[method].stdin.write("go\n")
            workers[method].stdin.flush()
            rates[method].append(float(workers[method].stdout.readline()))
    for worker in workers.values():
        worker.communicate()
    rows = []
    for method in methods:
        row = {"encoder": encoder, "method": method, "batch_size": _BATCH.value}
        row |= {"threads": _THREADS.value, "pictures_per_second": _median(rates[method])}
        for peer in ("keras", "torch"):
            pairs = zip(rates[method], rates.get(peer, []), strict=False)
            row[f"to_{peer}"] = _median([ours / theirs for ours, theirs in pairs])
        comparable = method != "torch" and "keras" in pooled
        row |= _difference(pooled[method], pooled["keras"] if comparable else None)
        rows.append(row | notes[method])
        print(rows[-1], flush=True)
    return rows


def serve(encoder, method, path):
    """Writes the pooled vectors of one batch, then measures a turn for each line that comes in."""
    images = np.random.default_rng(0).normal(size=(_BATCH.value, 224, 224, 3)).astype("float32")
    make = _torch if method == "torch" else _keras
    run, version = make(encoder, method, images)
    np.save(path, run())
    run()
    print(json.dumps({"version": version}), flush=True)
    for _ in sys.stdin:
        count, start = 0, time.perf_counter()
        while time.perf_counter() - start < _SECONDS.value:
            run()
            count += 1
        print(count * _BATCH.value / (time.perf_counter() - start), flush=True)


def _start(encoder, method, path):
    command = [sys.executable, __file__, f"--worker={encoder}/{method}/{path}"]
    command += [f"--{flag.name}={flag.value}" for flag in (_SECONDS, _BATCH, _THREADS)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _keras(name, method, images):
    import keras
    import tensorflow as tf

    from tatl_keras import encoders

    tf.config.threading.set_intra_op_parallelism_threads(_THREADS.value)
    lite0 = name == "efficientnet_lite0"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that weights are random
        encoder, _ = encoders.build_image(name, **({} if lite0 else {"preset": None, "seed": 1}))
    if not lite0:
        rng = np.random.default_rng(2)
        for layer in encoder._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                size = layer.moving_mean.shape
                layer.moving_mean.assign(rng.normal(0, 0.1, size))
                layer.moving_variance.assign(rng.uniform(0.7, 1.4, size))
    images = tf.constant(images)
    if method == "keras":
        function = tf.function(lambda x: encoder(x, training=False)["pooled"], autograph=False)
        return lambda: function(images).numpy(), tf.__version__
    options = {"bfloat16": {"dtype": "bfloat16"}, "xla": {"jit_compile": True}}.get(method, {})
    encode = encoders.inference_function(encoder, outputs=("pooled",), **options)
    return lambda: encode(images)["pooled"].numpy(), tf.__version__


def _torch(name, method, images):
    import torch

    library = _torchvision_operators()
    import timm

    torch.set_num_threads(_THREADS.value)
    model = timm.create_model(ENCODERS[name], num_classes=0)
    model = model.eval().to(memory_format=torch.channels_last)
    images = torch.from_numpy(images).permute(0, 3, 1, 2)  # channels last in memory

    def run():
        with torch.inference_mode():
            return model(images).numpy()

    run.library = library  # its operators are taken back with it
    return run, f"{torch.__version__}, timm {timm.__version__}"


def _torchvision_operators():
    """Declares two operators where torchvision cannot load its own.

    timm imports torchvision, and needs none of its compiled operators. Built for CUDA they do not
    load beside a CPU build of PyTorch, and the import stops at the first that is missing.
    """
    import torch

    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        library = torch.library.Library("torchvision", "FRAGMENT")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor boxes, Tensor scores, float threshold) -> Tensor")
        return library
    return None


def _has_torch():
    return all(importlib.util.find_spec(name) for name in ("torch", "timm"))


def _median(values):
    return f"{statistics.median(values):.4g}" if values else ""


def _difference(ours, theirs):
    if theirs is None:
        return {"cosine": "", "relative": ""}
    ours, theirs = np.float64(ours), np.float64(theirs)
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    cosine = np.min(np.sum(ours * theirs, axis=1) / lengths)
    relative = np.abs(ours - theirs).max() / np.abs(theirs).max()
    return {"cosine": f"{cosine:.7f}", "relative": f"{relative:.2g}"}


if __name__ == "__main__":
    app.run(main)
