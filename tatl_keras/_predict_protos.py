"""The messages of TensorFlow Serving's APIs, without the package tensorflow-serving-api.

They are made at run time in a descriptor pool of their own, so that the package may be imported in
the same process. Fields that nobody here reads are left out; protobuf carries them along unread.
"""

import functools

import numpy as np
import tensorflow as tf
from google.protobuf import any_pb2, message_factory, wrappers_pb2
from tensorflow.core.example import example_pb2
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from tatl_keras._descriptors import make_pool

PACKAGE = "tensorflow.serving"
# Number of ModelVersionStatus.state → name.
STATES = {0: "UNKNOWN", 10: "START", 20: "LOADING", 30: "AVAILABLE", 40: "UNLOADING", 50: "END"}

_FILE = "tatl_keras/predict_protos.proto"
_NEEDED = (any_pb2, wrappers_pb2, example_pb2, tensor_pb2, meta_graph_pb2)
# As `make_pool` takes them.
_MESSAGES = {
    "ModelSpec": [
        (1, "name", "string"),
        (2, "version", "google.protobuf.Int64Value", "version_choice"),
        (4, "version_label", "string", "version_choice"),
        (3, "signature_name", "string"),
    ],
    "PredictRequest": [
        (1, "model_spec", "ModelSpec"),
        (2, "inputs", "map tensorflow.TensorProto"),
        (3, "output_filter", "*string"),
    ],
    "PredictResponse": [
        (2, "model_spec", "ModelSpec"),
        (1, "outputs", "map tensorflow.TensorProto"),
    ],
    "ExampleList": [(1, "examples", "*tensorflow.Example")],
    "ExampleListWithContext": [
        (1, "examples", "*tensorflow.Example"),
        (2, "context", "tensorflow.Example"),
    ],
    "Input": [
        (1, "example_list", "ExampleList", "kind"),
        (2, "example_list_with_context", "ExampleListWithContext", "kind"),
    ],
    "Class": [(1, "label", "string"), (2, "score", "float")],
    "Classifications": [(1, "classes", "*Class")],
    "ClassificationResult": [(1, "classifications", "*Classifications")],
    "ClassificationRequest": [(1, "model_spec", "ModelSpec"), (2, "input", "Input")],
    "ClassificationResponse": [
        (2, "model_spec", "ModelSpec"),
        (1, "result", "ClassificationResult"),
    ],
    "StatusProto": [(1, "error_code", "int32"), (2, "error_message", "string")],
    "GetModelStatusRequest": [(1, "model_spec", "ModelSpec")],
    "ModelVersionStatus": [
        (1, "version", "int64"),
        (2, "state", "int32"),
        (3, "status", "StatusProto"),
    ],
    "GetModelStatusResponse": [(1, "model_version_status", "*ModelVersionStatus")],
    "SignatureDefMap": [(1, "signature_def", "map tensorflow.SignatureDef")],
    "GetModelMetadataRequest": [
        (1, "model_spec", "ModelSpec"),
        (2, "metadata_field", "*string"),
    ],
    "GetModelMetadataResponse": [
        (1, "model_spec", "ModelSpec"),
        (2, "metadata", "map google.protobuf.Any"),
    ],
    "LogMetadata": [
        (1, "model_spec", "ModelSpec"),
        (3, "saved_model_tags", "*string"),
        (4, "timestamp_secs", "int64"),
    ],
    "ClassifyLog": [
        (1, "request", "ClassificationRequest"),
        (2, "response", "ClassificationResponse"),
    ],
    "PredictLog": [(1, "request", "PredictRequest"), (2, "response", "PredictResponse")],
    "PredictionLog": [
        (1, "log_metadata", "LogMetadata"),
        (2, "classify_log", "ClassifyLog", "log_type"),
        (6, "predict_log", "PredictLog", "log_type"),
    ],
}


@functools.cache
def message(name):
    """The class of a message, such as "PredictRequest".

    Args:
        name: its name in the package `tensorflow.serving`, or a full one with dots for a message
            that those are made of, such as "tensorflow.TensorProto".

    Raises:
        KeyError: there is no such message.

    Example:

    >>> message("ModelSpec")(name="pets", signature_name="classify").SerializeToString()
    b'\\n\\x04pets\\x1a\\x08classify'
    """
    full = name if "." in name else f"{PACKAGE}.{name}"
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(full))


def to_proto(values):
    """An array as a `TensorProto`.

    Args:
        values: array of numbers or bools; for bytes an array of objects or a list, also nested.
            (NumPy's own arrays of bytes cut off NULs at their ends.)

    Returns:
        A message; numbers are in `tensor_content`, bytes in `string_val`.

    Raises:
        ValueError: they are neither.

    Example:

    >>> to_array(to_proto([[b"a"], [b""]]))
    array([[b'a'],
           [b'']], dtype=object)
    """
    if not isinstance(values, np.ndarray):
        values = np.asarray(values, object)
    tensor = message("tensorflow.TensorProto")()
    for size in values.shape:
        tensor.tensor_shape.dim.add().size = size
    if values.dtype.kind in "fiub" or values.dtype == tf.bfloat16.as_numpy_dtype:
        tensor.dtype = tf.as_dtype(values.dtype).as_datatype_enum
        tensor.tensor_content = values.tobytes()
        return tensor
    flat = values.ravel().tolist()
    wrong = [value for value in flat if not isinstance(value, bytes)]
    if wrong:
        raise ValueError(
            "`values` must be bytes, or an array of numbers or bools. "
            f"Received: {wrong[0]!r} in values of dtype {values.dtype}. Encode texts as UTF-8."
        )
    tensor.dtype = tf.string.as_datatype_enum
    tensor.string_val.extend(flat)
    return tensor


def to_array(tensor):
    """The array in a `TensorProto`, however its sender wrote it; bytes as objects.

    Raises:
        ValueError: its values do not fill its shape.
    """
    return tf.make_ndarray(tensor)


@functools.cache
def _pool():
    return make_pool(_FILE, PACKAGE, _MESSAGES, _NEEDED)
