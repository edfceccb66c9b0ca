"""Attention: time and memory of our executions beside Keras and PyTorch on the CPU.

    python benchmarks/attention.py

Every measurement is a process of its own: it makes the inputs, runs the task once, then notes the
median time of some runs and the most resident memory above what it held before the first. Methods
of a task take turns, `rounds` times; the tables give medians over rounds, and ratios are taken
within each round, so that a machine that slows down slows both. float32, 8 heads of 64 channels.

Needs PyTorch for its rows: pip install "tatl_keras[benchmark]". Writes
benchmarks/results/attention.csv and draws attention.png beside it.
"""

import collections
import json
import pathlib
import statistics
import subprocess
import sys
import time

from absl import app, flags
from conditions import RESULTS, write_results

_ROUNDS = flags.DEFINE_integer("rounds", 3, "How often the methods of a task take turns.")
_SECONDS = flags.DEFINE_float("seconds", 2.0, "How long one process repeats its task, about.")
_TASKS = flags.DEFINE_list("tasks", None, "Names of tasks; all, if not given.")
_OUTPUT = flags.DEFINE_string("output", "attention.csv", "File in benchmarks/results.")

HEADS, DIM = 8, 64
PEERS = (
    "keras.ops.dot_product_attention",
    "keras.layers.MultiHeadAttention",
    "torch",
    "dense",
    "chunked",
)

# Task: its methods, in the order in which they take turns; the rest of the name is its sizes.
TASKS = {
    "attention_512": ("auto", "dense", "chunked", "keras.ops.dot_product_attention", "torch"),
    "attention_1024": ("auto", "dense", "chunked", "keras.ops.dot_product_attention", "torch"),
    "attention_2048": ("auto", "dense", "chunked", "keras.ops.dot_product_attention", "torch"),
    "attention_4096": ("auto", "dense", "keras.ops.dot_product_attention", "torch"),
    "attention_16384": ("auto", "torch"),
    "layer_1024": ("auto", "keras.layers.MultiHeadAttention"),
    "layer_4096": ("auto", "keras.layers.MultiHeadAttention"),
    "causal_4096": ("auto", "keras.ops.dot_product_attention", "torch"),
    "sparse_12288": ("strided", "fixed", "chunked"),
    "local_56": ("auto", "dense"),
}

FORWARD = ("attention_1024", "attention_4096")  # measured without the gradient too


def main(argv):
    if len(argv) > 1:
        print(json.dumps(measure(*argv[1:])))
        return
    rows = []
    for task in _TASKS.value or TASKS:
        for direction in ("forward", "gradient") if task in FORWARD else ("gradient",):
            rows += compare(task, direction)
    write_results(_OUTPUT.value, rows)
    draw(rows, RESULTS / pathlib.Path(_OUTPUT.value).with_suffix(".png").name)


def compare(task, direction):
    """Rows of all methods of a task, the peers' times and memory as ratios."""
    seen = collections.defaultdict(list)
    for _ in range(_ROUNDS.value):
        for method in TASKS[task]:
            seen[method].append(_in_process(task, method, direction))
    rows = []
    for method, results in seen.items():
        row = {"task": task, "direction": direction, "method": method}
        for what in ("seconds", "megabytes"):
            row[what] = f"{statistics.median(x[what] for x in results):.4g}"
        for peer in PEERS:
            for what in ("seconds", "megabytes"):
                pairs = zip(results, seen.get(peer, []), strict=False)
                ratios = [ours[what] / theirs[what] for ours, theirs in pairs]
                name = f"{what}_to_{peer.rsplit('.', maxsplit=1)[-1]}"
                row[name] = f"{statistics.median(ratios):.3f}" if ratios else ""
        row["version"] = results[0]["version"]
        print(row, flush=True)
        rows.append(row)
    return rows


def measure(task, method, direction):
    """Seconds of a run, and megabytes above the start, of one method in this process."""
    kind, size = task.rsplit("_", 1)
    make = {"torch": _torch}.get(method, {"local": _local, "sparse": _sparse}.get(kind, _attention))
    step, version = make(kind, int(size), method, direction == "gradient")
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak from here on
    before, times = _resident("VmRSS"), []
    step()
    while sum(times) < _SECONDS.value or len(times) < 3:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    megabytes = (_resident("VmHWM") - before) / 1000
    return {"seconds": statistics.median(times), "megabytes": megabytes, "version": version}


def _in_process(task, method, direction):
    command = [sys.executable, __file__, task, method, direction, f"--seconds={_SECONDS.value}"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return json.loads(output.splitlines()[-1])


def _resident(field):
    """Kilobytes (of 1000 bytes) of this process, by the name in /proc/self/status."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1.024
    raise LookupError(field)


def _compiled(function, inputs, with_gradient):
    """A call of the function, and of the gradients by all inputs, in a TensorFlow graph."""
    import tensorflow as tf

    @tf.function
    def step(*inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = function(*inputs)
            loss = tf.reduce_sum(outputs * outputs)
        # The last sums need every entry, and make every method hand over the same.
        return tape.gradient(loss, inputs) if with_gradient else loss

    def run():
        for x in tf.nest.flatten(step(*inputs)):
            x.numpy()

    return run, tf.__version__


def _attention(kind, length, method, with_gradient):
    import keras

    from tatl_keras import layers
    from tatl_keras.layers.execution import dot_product_attention
    from tatl_keras.layers.masking import causal_limits

    causal = kind == "causal"
    random = [keras.random.normal((1, length, HEADS, DIM), seed=seed) for seed in (1, 2, 3)]
    if kind == "layer":
        x = keras.random.normal((1, length, HEADS * DIM), seed=1)
        make = {"auto": layers.MultiHeadAttention}.get(method, keras.layers.MultiHeadAttention)
        layer = make(HEADS, DIM, use_bias=False)
        return _compiled(lambda x: layer(x, x), [x], with_gradient)
    if method == "keras.ops.dot_product_attention":

        def attend(query, key, value):
            return keras.ops.dot_product_attention(query, key, value, is_causal=causal)

        return _compiled(attend, random, with_gradient)

    def attend(query, key, value):
        limits = causal_limits(length) if causal else None
        return dot_product_attention(
            query, key, value, limits=limits, implementation=method
        ).outputs

    return _compiled(attend, [keras.ops.swapaxes(x, 1, 2) for x in random], with_gradient)


def _sparse(kind, length, method, with_gradient):
    import keras

    from tatl_keras import layers

    x = keras.random.normal((1, length, HEADS * DIM), seed=1)
    if method == "chunked":
        layer = layers.MultiHeadAttention(HEADS, DIM, implementation="chunked")
        return _compiled(lambda x: layer(x, x, use_causal_mask=True), [x], with_gradient)
    layer = layers.SparseSelfAttention(HEADS, DIM, pattern=method)
    return _compiled(lambda x: layer(x, use_causal_mask=True), [x], with_gradient)


def _local(kind, size, method, with_gradient):
    """7 × 7 of a map of 64 channels, against all pairs of places under the window's mask."""
    import keras
    import numpy as np

    from tatl_keras import layers
    from tatl_keras.layers.execution import dot_product_attention

    x = keras.random.normal((1, size, size, 64), seed=1)
    if method == "auto":
        layer = layers.LocalSelfAttention2D(64, 7, num_heads=HEADS)
        return _compiled(layer, [x], with_gradient)
    kernels = [keras.random.normal((64, 64), seed=seed) for seed in (1, 2, 3)]
    rows, columns = np.divmod(np.arange(size * size), size)
    near = np.abs(rows[:, None] - rows) <= 3
    near &= np.abs(columns[:, None] - columns) <= 3

    def attend(x):
        x = keras.ops.reshape(x, (1, size * size, 64))
        parts = [keras.ops.matmul(x, kernel) for kernel in kernels]
        parts = [keras.ops.reshape(y, (1, size * size, HEADS, 8)) for y in parts]
        parts = [keras.ops.swapaxes(y, 1, 2) for y in parts]
        return dot_product_attention(*parts, attention_mask=near, implementation="dense").outputs

    return _compiled(attend, [x], with_gradient)


def _torch(kind, length, method, with_gradient):
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    torch.manual_seed(1)
    inputs = [torch.randn(1, HEADS, length, DIM, requires_grad=with_gradient) for _ in range(3)]

    def run():
        outputs = scaled_dot_product_attention(*inputs, is_causal=kind == "causal")
        loss = (outputs * outputs).sum()
        if with_gradient:
            torch.autograd.grad(loss, inputs)

    return run, torch.__version__


def draw(rows, path):
    """Time and memory over the length, one line a method."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    lines = collections.defaultdict(list)
    for row in rows:
        kind, size = row["task"].rsplit("_", 1)
        if kind == "attention" and row["direction"] == "gradient":
            point = (int(size), float(row["seconds"]), float(row["megabytes"]))
            lines[row["method"]].append(point)
    for method, points in lines.items():
        sizes, *values = zip(*sorted(points), strict=True)
        for axis, y in zip(axes, values, strict=True):
            axis.loglog(sizes, y, "o-", label=method)
    for axis, title in zip(axes, ("seconds", "megabytes above the start"), strict=True):
        axis.set(xlabel="length", title=f"forward and gradient, {title}")
        axis.grid(alpha=0.3)
    axes[0].legend()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    app.run(main)
