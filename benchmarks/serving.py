"""What an export costs, beside the bare network and beside onnxruntime.

    python benchmarks/serving.py

All pairs take turns in one process, with one thread each; milliseconds are medians over rounds,
`ratio` is the median of ours / peer within a round.

| measure | ours | peer |
|---|---|---|
| raw | `serving_default`, pictures and texts in | the model on ready tensors, `tf.function` |
| freeze, bfloat16, quantize | `tensors` of an export so made | `tensors` of the default |
| onnxruntime | `tensors` | the same network as ONNX, float32, in onnxruntime |
| first_request | first request after warm-up requests are replayed, new process | later ones |
| cold_request | first request of a new process | later ones |
| bomb | a request with a PNG of 12000² pixels, rejected | one without a picture |

`difference` is the largest absolute one of probabilities: to the Keras model, or to the peer.
`megabytes` is the size of the artefact; of the bomb, what the process grew by at its peak. `fresh`
lists what of keras, keras_hub and tatl_keras came into the process that served it.

The pictures are JPEG of 320 × 240 pixels.
Needs `pip install tatl_keras[onnx]`. Writes benchmarks/results/serving.csv.
"""

import base64
import itertools
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import zlib

import numpy as np
import tensorflow as tf
from absl import app, flags, logging
from conditions import write_results

from tatl_keras import serving, zoo
from tatl_keras._predict_protos import message

_ROUNDS = flags.DEFINE_integer("rounds", 9, "How often ours and the peer take turns.")

CLASSES, SIDE = 37, 12000
NETWORKS = {
    "efficientnet_lite0_minilm_concat": {},
    "resnet50_image_only": {"image_preset": None},  # random weights cost the same
}
FORMS = ("freeze", "bfloat16", "quantize")
COLUMNS = {"ours_ms": "bomb", "peer_ms": "empty", "megabytes": "grown"}
WARM_UP = "assets.extra/tf_serving_warmup_requests"


def requests(batch):
    """Pictures with some structure, and titles of some words."""
    rng = np.random.default_rng(batch)
    coarse = rng.integers(0, 256, (batch, 12, 16, 3)).astype("float32")
    pixels = tf.cast(tf.image.resize(coarse, (240, 320), "bicubic"), tf.uint8)
    images = [tf.io.encode_jpeg(picture, quality=90).numpy() for picture in pixels]
    words = "red small cat asleep on an old keyboard beside the window".split()
    return images, [" ".join(rng.choice(words, 7)) for _ in range(batch)]


def bomb():
    """A PNG of 12000² grey pixels, some 140 kB."""
    squeeze = zlib.compressobj(9)
    row = bytes(1 + SIDE)
    packed = b"".join(squeeze.compress(row) for _ in range(SIDE)) + squeeze.flush()

    def chunk(kind, body):
        checked = kind + body
        return len(body).to_bytes(4, "big") + checked + zlib.crc32(checked).to_bytes(4, "big")

    size = SIDE.to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    chunks = (b"IHDR", size), (b"IDAT", packed), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(itertools.starmap(chunk, chunks))


def milliseconds(call, times):
    begin = time.perf_counter()
    for _ in range(times):
        call()
    return 1000 * (time.perf_counter() - begin) / times


def turns(ours, peer, batch):
    """Medians of both and of their ratio."""
    times = 12 if batch == 1 else 2
    for call in (ours, peer):
        call()
    found = [(milliseconds(ours, times), milliseconds(peer, times)) for _ in range(_ROUNDS.value)]
    mine, theirs = (statistics.median(side) for side in zip(*found, strict=True))
    ratio = statistics.median(one / other for one, other in found)
    return {"ours_ms": f"{mine:.1f}", "peer_ms": f"{theirs:.1f}", "ratio": f"{ratio:.3f}"}


def megabytes(folder):
    sizes = [path.stat().st_size for path in pathlib.Path(folder).rglob("*") if path.is_file()]
    return f"{sum(sizes) / 1e6:.1f}"


def ready_tensors(model, images, texts):
    made = model.preprocessor({"image": tf.constant(images), "text": tf.constant(texts)})
    names = ("images", "has_image", "token_ids", "padding_mask")
    return {name: made[name] for name in names if name in made}


def largest(one, other):
    return f"{float(np.max(np.abs(np.asarray(one) - np.asarray(other)))):.1e}"


class Rows(list):
    """Rows of the results, printed as they come."""

    def add(self, measured, network, batch, **found):
        columns = ("ours_ms", "peer_ms", "ratio", "difference", "megabytes", "fresh")
        row = {"measure": measured, "network": network, "batch": batch}
        self.append(row | {name: found.get(name, "") for name in columns})
        print({name: value for name, value in self[-1].items() if value != ""}, flush=True)


def measure(network, folder, rows):
    """Adds the rows of one network: raw, the forms of its weights, onnxruntime, new processes."""
    model = zoo.build(network, CLASSES, seed=0, **NETWORKS[network])
    images, texts = requests(32)
    model.fit({"image": images, "text": texts}, np.arange(32) % CLASSES, epochs=1, verbose=0)
    plain = os.path.join(folder, network, "1")
    model.export(plain)
    served = tf.saved_model.load(plain).signatures
    bare = tf.function(lambda tensors: {"probabilities": tf.nn.softmax(model(tensors))})
    run = session(plain)
    made = {form: os.path.join(folder, network, form) for form in FORMS}
    for form, other in made.items():
        model.export(other, **{form: True})
    formed = {form: tf.saved_model.load(other).signatures for form, other in made.items()}
    for batch in (1, 32):
        images, texts = requests(batch)
        raw = {"image_bytes": tf.constant(images), "text": tf.constant(texts)}
        tensors = ready_tensors(model, images, texts)
        arrays = {name: value.numpy() for name, value in tensors.items()}

        def ask(signatures, name="tensors", inputs=tensors):
            return lambda: signatures[name](**inputs)

        def run_onnx(inputs=arrays):
            return run(inputs)

        whole = ask(served, "serving_default", raw)
        pairs = {"raw": (whole, lambda inputs=tensors: bare(inputs), plain)}
        pairs["onnxruntime"] = (ask(served), run_onnx, plain)
        pairs |= {form: (ask(formed[form]), ask(served), made[form]) for form in FORMS}
        for measured, (ours, peer, directory) in pairs.items():
            found = turns(ours, peer, batch) | {"megabytes": megabytes(directory)}
            gap = np.abs(ours()["probabilities"] - np.asarray(peer()["probabilities"])).max()
            rows.add(measured, network, batch, difference=f"{gap:.1e}", **found)
    new_processes(network, plain, folder, rows)


def session(directory):
    """The signature `tensors` in onnxruntime, from a dict of arrays to a dict of arrays."""
    import onnxruntime

    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        serving.to_onnx(directory, file.name, overwrite=True)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        loaded = onnxruntime.InferenceSession(file.name, options, ["CPUExecutionProvider"])
    read = {one.name for one in loaded.get_inputs()}
    names = [one.name for one in loaded.get_outputs()]

    def run(arrays):
        given = {name: value for name, value in arrays.items() if name in read}
        return dict(zip(names, loaded.run(names, given), strict=True))

    return run


def new_processes(network, directory, folder, rows):
    """Adds what the first requests of a process cost, and a picture that is too large."""
    images, texts = requests(1)
    encoded = {"image": base64.b64encode(images[0]).decode(), "text": texts[0]}
    pathlib.Path(folder, "question.json").write_text(json.dumps(encoded))
    pathlib.Path(folder, "bomb.png").write_bytes(bomb())
    pathlib.Path(folder, "warm_up.json").write_text(json.dumps(warm_up(directory)))
    for kind in ("cold", "warm"):
        answers = []
        for _ in range(max(3, _ROUNDS.value // 3)):
            command = [sys.executable, "-P", "-c", CHILD, directory, folder, kind]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            answers.append(json.loads(done.stdout.splitlines()[-1]))
        first, later = (statistics.median(one[k] for one in answers) for k in ("first", "later"))
        ratio = statistics.median(one["first"] / one["later"] for one in answers)
        name = {"cold": "cold_request", "warm": "first_request"}[kind]
        found = {"ours_ms": f"{first:.1f}", "peer_ms": f"{later:.1f}", "ratio": f"{ratio:.2f}"}
        rows.add(name, network, 1, **found, fresh=" ".join(answers[0]["libraries"]) or "none")
    cost = {
        key: statistics.median(one[key] for one in answers) for key in ("bomb", "empty", "grown")
    }
    found = {name: f"{cost[key]:.1f}" for name, key in COLUMNS.items()}
    found["ratio"] = f"{cost['bomb'] / cost['empty']:.2f}"
    rows.add("bomb", network, 1, **found)


def warm_up(directory):
    """The warm-up requests of an export as JSON: signature, and inputs as `TensorProto`s."""
    records = tf.data.TFRecordDataset(os.path.join(directory, WARM_UP)).as_numpy_iterator()
    kind = message("PredictionLog")
    found = [kind.FromString(record).predict_log.request for record in records]
    return [
        {
            "signature": request.model_spec.signature_name,
            "inputs": {
                name: base64.b64encode(value.SerializeToString()).decode()
                for name, value in request.inputs.items()
            },
        }
        for request in found
    ]


# A process that knows TensorFlow alone.
CHILD = """
import base64, json, os, resource, statistics, sys, time
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow as tf
import tensorflow_text
from tensorflow.core.framework.tensor_pb2 import TensorProto
directory, folder, kind = sys.argv[1:]
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
with open(os.path.join(folder, "question.json")) as file:
    asked = json.load(file)
with open(os.path.join(folder, "bomb.png"), "rb") as file:
    bomb = file.read()
with open(os.path.join(folder, "warm_up.json")) as file:
    warm = json.load(file)
served = tf.saved_model.load(directory).signatures
def ask(picture, text):
    begin = time.perf_counter()
    answer = served["serving_default"](
        image_bytes=tf.constant([picture]), text=tf.constant([text])
    )
    [value.numpy() for value in answer.values()]
    return 1000 * (time.perf_counter() - begin)
def tensor(encoded):
    return tf.constant(tf.make_ndarray(TensorProto.FromString(base64.b64decode(encoded))))
if kind == "warm":
    for request in warm:
        inputs = {name: tensor(value) for name, value in request["inputs"].items()}
        served[request["signature"]](**inputs)
picture = base64.b64decode(asked["image"])
first = ask(picture, asked["text"])
later = statistics.median(ask(picture, asked["text"]) for _ in range(30))
empty = statistics.median(ask(b"", "") for _ in range(9))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rejected = statistics.median(ask(bomb, "") for _ in range(9))
grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1000
loaded = {name.split(".")[0] for name in sys.modules}
libraries = sorted({"keras", "keras_hub", "tatl_keras"} & loaded)
print(json.dumps({"first": first, "later": later, "empty": empty, "bomb": rejected, "grown": grown,
                  "libraries": libraries}))
"""


def main(argv):
    del argv
    logging.set_verbosity(logging.ERROR)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    rows = Rows()
    with tempfile.TemporaryDirectory() as folder:
        for network in NETWORKS:
            measure(network, folder, rows)
    write_results("serving.csv", rows)


if __name__ == "__main__":
    app.run(main)
