"""Requests with which a server tries a model before it lets clients ask it."""

import itertools
import os

import numpy as np
import tensorflow as tf

from tatl_keras import _predict_protos as protos
from tatl_keras.models.artifact.batching import LARGEST_BATCH
from tatl_keras.models.artifact.signatures import SERVE
from tatl_keras.models.lint.file_rules import WARM_UP
from tatl_keras.models.lint.saved_model import SERVE_TAG, read

MOST_RECORDS = 1000  # the server refuses a model with more
BATCH_SIZES = (1, 8, LARGEST_BATCH)
_MADE_UP_SIZE = (120, 160)


def write_warm_up(directory, examples=None, *, batch_sizes=BATCH_SIZES):
    """Writes `assets.extra/tf_serving_warmup_requests`, and replays it.

    TensorFlow Serving sends these requests to a version before it is available, so that no client
    waits for a graph to be optimised and for memory to be found. `serving_default` is asked in each
    batch size, the other signatures for one row: what they share is warm by then. A record that
    fails would keep the server from loading the model, so all are tried here: see `replay`.

    Inputs `image_bytes`, `text` and `inputs` (serialised `tf.Example`s) are filled from examples in
    turn, any other input with one value, which takes no room in the file.

    Args:
        directory: the folder with `saved_model.pb`.
        examples: list of dicts with `image` (encoded bytes, b"" for none) and `text` (str), at
            least one; what is left out is empty. `None` for two pictures and texts that are made
            up, and gaps.
        batch_sizes: ints ≥ 1, in the order of the requests.

    Returns:
        The number of requests.

    Raises:
        ValueError: `examples` or `batch_sizes` is empty, or there would be more than 1,000
            requests; the model does not answer one of them.

    Reference: https://www.tensorflow.org/tfx/serving/saved_model_warmup
    """
    examples = made_up_examples() if examples is None else list(examples)
    if not examples:
        raise ValueError("`examples` must hold at least one example. Received: examples=[]")
    sizes = list(batch_sizes)
    if not sizes or not all(isinstance(size, int) and size >= 1 for size in sizes):
        raise ValueError(
            f"`batch_sizes` must be positive integers. Received: batch_sizes={batch_sizes}"
        )
    signatures = dict(read(directory).signatures())
    asked = [(SERVE, size) for size in sizes if SERVE in signatures]
    asked += [(name, 1) for name in sorted(signatures) if name != SERVE]
    if len(asked) > MOST_RECORDS:
        raise ValueError(
            f"`batch_sizes` must make at most {MOST_RECORDS} requests. Received: {len(asked)}"
        )
    path = os.path.join(directory, WARM_UP)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with tf.io.TFRecordWriter(path) as file:
        for name, rows in asked:
            log = protos.message("PredictionLog")()
            request = log.predict_log.request
            request.model_spec.name, request.model_spec.signature_name = "model", name
            for key, value in _inputs(signatures[name], rows, examples).items():
                request.inputs[key].CopyFrom(value)
            file.write(log.SerializeToString())
    return replay(directory)


def replay(directory):
    """Asks a model what its warm-up file holds, in a session as a server has it.

    All signatures go through one session with one copy of the weights, on the CPU. Graphs are
    pruned and their functions inlined, but not optimised further, which is what takes a server
    most of the time.

    Args:
        directory: the folder with `saved_model.pb`.

    Returns:
        The number of requests, 0 where there is no such file.

    Raises:
        ValueError: the file is damaged or too long, a request fails, an output has not as many
            rows as the request, or a number is not finite.
    """
    path = os.path.join(directory, WARM_UP)
    if not os.path.isfile(path):
        return 0
    requests = _requests(path)
    with tf.Graph().as_default(), tf.compat.v1.Session(config=_session_config()) as session:
        signatures = dict(_load(session, os.fspath(directory)).signature_def)
        for number, request in enumerate(requests):
            name = request.model_spec.signature_name or SERVE
            try:
                _check(signatures[name], request, session)
            except (KeyError, ValueError, TypeError, tf.errors.OpError) as error:
                raise ValueError(
                    "`directory` must hold warm-up requests that its model answers. Received: "
                    f"request {number} of signature {name!r}: {type(error).__name__}: {error}"
                ) from None
    return len(requests)


def made_up_examples():
    """Pictures and texts that stand for any: JPEG and PNG, short and long, and none.

    Returns:
        List of dicts with `image` (encoded bytes) and `text` (str).

    Example:

    >>> [(len(example["image"]) > 0, len(example["text"])) for example in made_up_examples()]
    [(True, 18), (True, 0), (False, 280), (False, 3)]
    """
    rows, columns = (np.linspace(0, 255, size) for size in _MADE_UP_SIZE)
    grid = np.stack(np.broadcast_arrays(rows[:, None], columns[None], 128), axis=-1)
    pixels = tf.constant(grid, tf.uint8)
    long = " ".join(["several words that say what there is to see"] * 6) + " and more at last"
    return [
        {"image": tf.io.encode_jpeg(pixels).numpy(), "text": "a picture of a cat"},
        {"image": tf.io.encode_png(pixels).numpy(), "text": ""},
        {"image": b"", "text": long},
        {"image": b"", "text": "dog"},
    ]


def _inputs(signature, rows, examples):
    """Dict from input to `TensorProto`, so many rows of each."""
    some = list(itertools.islice(itertools.cycle(examples), rows))
    columns = {
        "image_bytes": [example.get("image", b"") for example in some],
        "text": [example.get("text", "").encode() for example in some],
        "inputs": [_serialized(example) for example in some],
    }
    return {
        name: protos.to_proto(columns[name])
        if name in columns and info.dtype == tf.string.as_datatype_enum
        else _constant(info, rows)
        for name, info in signature.inputs.items()
    }


def _serialized(example):
    features = {
        "image_bytes": example.get("image", b""),
        "text": example.get("text", "").encode(),
    }
    return tf.train.Example(
        features=tf.train.Features(
            feature={
                name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
                for name, value in features.items()
            }
        )
    ).SerializeToString()


def _constant(info, rows):
    """A `TensorProto` of one value, which stands for all; other open dimensions are 2."""
    dtype = tf.dtypes.as_dtype(info.dtype)
    value = b"a picture" if dtype == tf.string else np.ones((), dtype.as_numpy_dtype)
    tensor = protos.message("tensorflow.TensorProto")()
    tensor.MergeFromString(tf.make_tensor_proto(value, dtype).SerializeToString())
    for place, dim in enumerate(info.tensor_shape.dim):
        size = rows if place == 0 else 2 if dim.size < 0 else dim.size
        tensor.tensor_shape.dim.add().size = size
    return tensor


def _requests(path):
    kind, requests = protos.message("PredictionLog"), []
    try:
        for record in tf.data.TFRecordDataset(path).take(MOST_RECORDS + 1).as_numpy_iterator():
            requests.append(kind.FromString(record).predict_log.request)
    except Exception as error:  # of TensorFlow, or protobuf's DecodeError
        raise ValueError(
            f"`directory` must hold warm-up requests that are whole. Received: {path!r}, which "
            f"cannot be read after {len(requests)} requests: {error}"
        ) from None
    if len(requests) > MOST_RECORDS:
        raise ValueError(
            f"`directory` must hold at most {MOST_RECORDS} warm-up requests. Received: more in "
            f"{path!r}"
        )
    return requests


def _check(signature, request, session):
    """Runs a request; raises a ValueError for an answer that a client could not use."""
    if set(request.inputs) != set(signature.inputs):
        raise ValueError(f"inputs {sorted(request.inputs)}, not {sorted(signature.inputs)}")
    arrays = {name: protos.to_array(value) for name, value in request.inputs.items()}
    feed = {signature.inputs[name].name: array for name, array in arrays.items()}
    answer = session.run({name: info.name for name, info in signature.outputs.items()}, feed)
    rows = {len(array) for array in arrays.values()}
    for name, value in sorted(answer.items()):
        if {len(value)} != rows:
            raise ValueError(f"output {name!r} has {len(value)} rows, not {rows}")
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise ValueError(f"output {name!r} has numbers that are not finite")


def _load(session, directory):
    """As a server does. TensorFlow calls the function deprecated and logs that."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")
    try:
        return tf.compat.v1.saved_model.load(session, [SERVE_TAG], directory)
    finally:
        logger.setLevel(level)


def _session_config():
    config = tf.compat.v1.ConfigProto(device_count={"GPU": 0})
    config.graph_options.optimizer_options.opt_level = tf.compat.v1.OptimizerOptions.L0
    rewriting = config.graph_options.rewrite_options
    rewriting.optimizers.extend(["pruning", "function"])
    rewriting.meta_optimizer_iterations = rewriting.ONE
    rewriting.disable_tfg_optimizer = True
    config.experimental.disable_optimize_for_static_graph = True
    return config
