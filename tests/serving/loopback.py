"""A double of TensorFlow Serving: real sockets on this machine, and no server's code.

It answers what the client asks, over gRPC and REST, from SavedModels that Python's TensorFlow runs,
and refuses what TensorFlow Serving refuses, with its words. It shows nothing about a real server's
speed, batching or signature checks beyond these.
"""

import contextlib
import http.server
import pathlib
import ssl
import threading
import time
from concurrent import futures

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tatl_keras import _predict_protos as protos
from tatl_keras.serving.loaded import read_saved_model
from tests.serving import loopback_rest
from tests.serving.loopback_rest import Failure

_METHODS = {
    "PredictionService": {
        "Predict": "PredictRequest",
        "Classify": "ClassificationRequest",
        "GetModelMetadata": "GetModelMetadataRequest",
    },
    "ModelService": {"GetModelStatus": "GetModelStatusRequest"},
}


class Loopback:
    """Both servers, as a context; the attributes are free to change between requests.

    Args:
        models: dict from name to a dict from version to the folder of a SavedModel.
        labels: dict from name to a dict from label to version.
        max_bytes: int, the largest message that the gRPC server takes.
        tls: paths of a key and a certificate, for both ends: clients must show it too.

    Attributes:
        grpc, rest: addresses.
        requests: list of (method, rows, headers) of all requests so far.
        faults: what happens to the next requests, one each: `None`, a name of an error, seconds to
            wait, or "drop", "garbage" (REST) or "short" (one row too few in the answer).
    """

    def __init__(self, models, labels=None, max_bytes=1 << 26, tls=None):
        loaded = {path: None for versions in models.values() for path in versions.values()}
        loaded = {path: (read_saved_model(path), _signatures(path)) for path in loaded}
        self._models = {
            name: {version: loaded[path] for version, path in versions.items()}
            for name, versions in models.items()
        }
        self._labels = labels or {}
        self.requests, self.faults = [], []
        self._lock = threading.Lock()
        self._grpc = grpc.server(
            futures.ThreadPoolExecutor(8),
            options=[("grpc.max_receive_message_length", max_bytes), ("grpc.so_reuseport", 0)],
        )
        for service, methods in _METHODS.items():
            handlers = {name: self._handler(name, asked) for name, asked in methods.items()}
            generic = grpc.method_handlers_generic_handler(f"{protos.PACKAGE}.{service}", handlers)
            self._grpc.add_generic_rpc_handlers((generic,))
        self.grpc = f"127.0.0.1:{self._add_port(tls)}"
        handler = loopback_rest.handler(self)
        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        if tls is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tls[1])
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_cert_chain(tls[1], tls[0])
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self.rest = f"127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self):
        self._grpc.start()
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *error):
        self._grpc.stop(0)
        self._http.shutdown()
        self._http.server_close()

    def _add_port(self, tls):
        if tls is None:
            return self._grpc.add_insecure_port("127.0.0.1:0")
        key, chain = (pathlib.Path(path).read_bytes() for path in tls)
        credentials = grpc.ssl_server_credentials([(key, chain)], chain, require_client_auth=True)
        return self._grpc.add_secure_port("127.0.0.1:0", credentials)

    def begin(self, method, rows, headers):
        """Notes a request and lets the next fault happen; returns its name, if it is left to do."""
        with self._lock:
            self.requests.append((method, rows, headers))
            fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, (int, float)):
            time.sleep(fault)
            return None
        if fault is not None and fault.isupper():
            raise Failure(fault, f"made up: {fault}")
        return fault

    def find(self, name, version=None, label=None):
        """A version's (SavedModel, signatures), or the server's error."""
        versions = self._models.get(name, {})
        if label is not None:
            if label not in self._labels.get(name, {}):
                raise Failure("INVALID_ARGUMENT", f"Unrecognized servable version label: {label}")
            version = self._labels[name][label]
        if version is None and versions:
            return versions[max(versions)]
        if version not in versions:
            wanted = f"Latest({name})" if version is None else f"Specific({name}, {version})"
            raise Failure("NOT_FOUND", f"Servable not found for request: {wanted}")
        return versions[version]

    def states(self, name, version=None):
        """The versions that there are."""
        versions = self._models.get(name, {})
        if version is not None and version not in versions:
            raise Failure("NOT_FOUND", f"Could not find version {version} of model {name}")
        if not versions:
            raise Failure("NOT_FOUND", f"Could not find any versions of model {name}")
        return sorted(versions) if version is None else [version]

    def run(self, model, signature, inputs):
        """What a signature gives: a dict of arrays, or the server's error."""
        saved, signatures = model
        if signature not in signatures:
            raise Failure("FAILED_PRECONDITION", f'Serving signature key "{signature}" not found.')
        needed, sent = set(signatures[signature].inputs), set(inputs)
        if needed != sent:
            lists = ["{" + ",".join(sorted(some)) + "}" for some in (sent, needed)]
            extra = ["{" + ",".join(sorted(some)) + "}" for some in (sent - needed, needed - sent)]
            raise Failure(
                "INVALID_ARGUMENT",
                f"input size does not match signature: {len(sent)}!={len(needed)} "
                f"len({lists[0]}) != len({lists[1]}). "
                f"Sent extra: {extra[0]}. Missing but required: {extra[1]}.",
            )
        try:
            tensors = {name: tf.constant(values) for name, values in inputs.items()}
            found = saved.signatures[signature](**tensors)
        except tf.errors.OpError as error:
            code = grpc.StatusCode
            names = {status.value[0]: status.name for status in code}
            raise Failure(names[error.error_code], error.message) from error
        return {name: value.numpy() for name, value in found.items()}

    def _handler(self, name, asked):
        answer = getattr(self, f"_answer_{name.lower()}")

        def handle(request, context):
            spec = request.model_spec
            rows = _rows(request)
            try:
                fault = self.begin(name, rows, dict(context.invocation_metadata()))
                return answer(request, spec, fault)
            except Failure as failure:
                context.abort(getattr(grpc.StatusCode, failure.code), failure.details)

        return grpc.unary_unary_rpc_method_handler(
            handle,
            request_deserializer=protos.message(asked).FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )

    def _model(self, spec):
        choice = spec.WhichOneof("version_choice")
        version = spec.version.value if choice == "version" else None
        return self.find(
            spec.name, version, spec.version_label if choice == "version_label" else None
        )

    def _answer_predict(self, request, spec, fault):
        inputs = {name: protos.to_array(tensor) for name, tensor in request.inputs.items()}
        found = self.run(self._model(spec), spec.signature_name or "serving_default", inputs)
        response = protos.message("PredictResponse")()
        for name, values in found.items():
            values = values[1:] if fault == "short" else values
            # As the server writes them: values one by one, not as a block of bytes.
            written = tf.compat.v1.make_tensor_proto(values).SerializeToString()
            response.outputs[name].CopyFrom(
                protos.message("tensorflow.TensorProto").FromString(written)
            )
            if fault == "garbage":
                response.outputs[name].tensor_shape.dim[0].size = 1 << 20
                response.outputs[name].tensor_content = b"123"
        return response

    def _answer_classify(self, request, spec, fault):
        examples = request.input.example_list.examples
        if not examples:
            raise Failure("INVALID_ARGUMENT", "Input is empty")
        serialised = [example.SerializeToString() for example in examples]
        response = protos.message("ClassificationResponse")()
        for classes in self.classify(self._model(spec), spec.signature_name, serialised):
            row = response.result.classifications.add()
            for label, score in classes:
                row.classes.add(label=label, score=score)
        return response

    def classify(self, model, signature, examples):
        """Rows of (label, score), as the Classify API gives them."""
        if signature not in model[1]:
            raise Failure("INVALID_ARGUMENT", f"No signature was found with the name: {signature}")
        inputs = np.empty(len(examples), object)
        inputs[:] = examples
        found = self.run(model, signature, {"inputs": inputs})
        return [
            [(label.decode(), float(score)) for label, score in zip(*row, strict=True)]
            for row in zip(found["classes"], found["scores"], strict=True)
        ]

    def _answer_getmodelmetadata(self, request, spec, fault):
        signatures = self._model(spec)[1]
        response = protos.message("GetModelMetadataResponse")()
        kept = protos.message("SignatureDefMap")()
        for name, signature in signatures.items():
            kept.signature_def[name].ParseFromString(signature.SerializeToString())
        response.metadata["signature_def"].Pack(kept)
        return response

    def _answer_getmodelstatus(self, request, spec, fault):
        version = spec.version.value if spec.HasField("version") else None
        response = protos.message("GetModelStatusResponse")()
        for one in self.states(spec.name, version):
            response.model_version_status.add(version=one, state=30)
        return response


def _signatures(path):
    with open(f"{path}/saved_model.pb", "rb") as file:
        saved = saved_model_pb2.SavedModel.FromString(file.read())
    return dict(saved.meta_graphs[0].signature_def)


def _rows(request):
    with contextlib.suppress(AttributeError):
        sizes = [tensor.tensor_shape.dim[0].size for tensor in request.inputs.values()]
        return max(sizes, default=0)
    with contextlib.suppress(AttributeError):
        return len(request.input.example_list.examples)
    return 0
