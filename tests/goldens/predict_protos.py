"""Makes predict_protos.json: messages of TensorFlow Serving as tensorflow-serving-api writes them.

pip install "tensorflow-serving-api==2.21.*"
python tests/goldens/predict_protos.py
"""

import json
import pathlib

import numpy as np

FILE = pathlib.Path(__file__).with_suffix(".json")
NUMBERS = np.arange(6, dtype=np.float32).reshape(2, 3) / 7
BYTES = [b"\xff\xd8\x00", "Größe 😀".encode(), b""]


def messages(make, tensor):
    """Dict from name to a message with every field that tatl_keras/_predict_protos.py knows.

    Args:
        make: function from a message's name to its class.
        tensor: function from an array to a TensorProto.
    """
    made = {name: make(name)() for name in ("PredictRequest", "PredictResponse", "PredictionLog")}
    request, response, log = made.values()
    _spec(request.model_spec, version=3)
    request.inputs["image_bytes"].CopyFrom(tensor(np.array(BYTES, object)))
    request.inputs["images"].CopyFrom(tensor(NUMBERS))
    request.output_filter.extend(["probabilities", "valid"])
    _spec(response.model_spec, version_label="stable")
    response.outputs["places"].CopyFrom(tensor(np.array([5, -1])))
    _spec(log.log_metadata.model_spec, version=1)
    log.log_metadata.saved_model_tags.append("serve")
    log.log_metadata.timestamp_secs = 1 << 40
    log.predict_log.request.CopyFrom(request)
    log.predict_log.response.CopyFrom(response)
    made["classify_log"] = make("PredictionLog")()
    asked = made["classify_log"].classify_log.request
    _spec(asked.model_spec, version=0)
    example = asked.input.example_list.examples.add()
    example.features.feature["text"].bytes_list.value.append(BYTES[1])
    answered = made["classify_log"].classify_log.response
    _spec(answered.model_spec, version=2)
    first = answered.result.classifications.add().classes.add()
    first.label, first.score = "cat", 0.25
    made["context"] = make("ClassificationRequest")()
    context = made["context"].input.example_list_with_context
    context.examples.add().CopyFrom(example)
    context.context.CopyFrom(example)
    made["status_request"] = make("GetModelStatusRequest")()
    _spec(made["status_request"].model_spec, version_label="canary")
    made["status"] = make("GetModelStatusResponse")()
    version = made["status"].model_version_status.add(version=7, state=30)
    version.status.error_code, version.status.error_message = 5, "gone"
    made["metadata_request"] = make("GetModelMetadataRequest")()
    _spec(made["metadata_request"].model_spec, version=9)
    made["metadata_request"].metadata_field.append("signature_def")
    signatures = make("SignatureDefMap")()
    signatures.signature_def["classify"].inputs["text"].name = "text:0"
    made["metadata"] = make("GetModelMetadataResponse")()
    _spec(made["metadata"].model_spec, version=9)
    made["metadata"].metadata["signature_def"].Pack(signatures)
    return made


def _spec(spec, version=None, version_label=None):
    spec.name, spec.signature_name = "pets", "serving_default"
    if version is not None:
        spec.version.value = version
    if version_label is not None:
        spec.version_label = version_label


def official():
    """The same messages, made by tensorflow-serving-api, as hexadecimal digits.

    Raises:
        ImportError: it is not installed.
    """
    import tensorflow as tf
    from tensorflow_serving.apis import (
        classification_pb2,
        get_model_metadata_pb2,
        get_model_status_pb2,
        predict_pb2,
        prediction_log_pb2,
    )

    modules = (
        *(classification_pb2, get_model_metadata_pb2, get_model_status_pb2),
        *(predict_pb2, prediction_log_pb2),
    )
    found = {name: value for module in modules for name, value in vars(module).items()}
    return digits(messages(found.__getitem__, tf.make_tensor_proto))


def digits(made):
    return {name: one.SerializeToString(deterministic=True).hex() for name, one in made.items()}


if __name__ == "__main__":
    FILE.write_text(json.dumps(official(), indent=1) + "\n", encoding="utf-8")
