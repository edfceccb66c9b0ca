"""Requests to TensorFlow Serving over gRPC."""

import grpc

from tatl_keras import _predict_protos as protos
from tatl_keras.serving.client.errors import ServerError

ROW_OVERHEAD = 32  # tags and lengths around a picture and a text
_MOST = 2**31 - 1
_OPTIONS = [
    ("grpc.max_send_message_length", _MOST),  # requests are cut by the client
    ("grpc.max_receive_message_length", _MOST),
    ("grpc.enable_retries", 0),  # the client counts its own
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
]
_METHODS = {
    "Predict": ("PredictionService", "PredictRequest", "PredictResponse"),
    "Classify": ("PredictionService", "ClassificationRequest", "ClassificationResponse"),
    "GetModelMetadata": (
        "PredictionService",
        "GetModelMetadataRequest",
        "GetModelMetadataResponse",
    ),
    "GetModelStatus": ("ModelService", "GetModelStatusRequest", "GetModelStatusResponse"),
}


class GrpcTransport:
    """One channel to a server; many threads may use it.

    Args:
        address: str, as gRPC takes it, such as "localhost:8500".
        spec: dict with `name` and perhaps `version` or `version_label`.
        tls: `None`, or a dict with `root_certificates`, `private_key` and `certificate_chain`,
            each bytes or `None`.
        headers: dict of str.
    """

    def __init__(self, address, spec, tls, headers):
        self._address, self._spec = address, spec
        self._metadata = [(name.lower(), value) for name, value in headers.items()]
        if tls is None:
            self._channel = grpc.insecure_channel(address, options=_OPTIONS)
        else:
            credentials = grpc.ssl_channel_credentials(**tls)
            self._channel = grpc.secure_channel(address, credentials, options=_OPTIONS)
        self._calls = {name: self._method(name) for name in _METHODS}

    @staticmethod
    def row_bytes(image, text):
        """The bytes that a row takes in a request, at most."""
        return len(image) + len(text) + ROW_OVERHEAD

    def predict(self, signature, inputs, seconds, by_row=True):
        """Asks a signature; dicts of arrays in and out."""
        request = protos.message("PredictRequest")()
        self._fill(request.model_spec, signature)
        for name, values in inputs.items():
            request.inputs[name].CopyFrom(protos.to_proto(values))
        response = self._call("Predict", request, seconds)
        try:
            return {name: protos.to_array(value) for name, value in response.outputs.items()}
        except (TypeError, ValueError) as error:
            raise ServerError(
                "INTERNAL", f"an unreadable tensor: {error}", self._address
            ) from error

    def classify_examples(self, signature, images, texts, seconds):
        """Asks the Classify API; lists of labels (bytes) and of scores, one of each a row."""
        request = protos.message("ClassificationRequest")()
        self._fill(request.model_spec, signature)
        for image, text in zip(images, texts, strict=True):
            feature = request.input.example_list.examples.add().features.feature
            feature["image_bytes"].bytes_list.value.append(image)
            feature["text"].bytes_list.value.append(text)
        result = self._call("Classify", request, seconds).result
        rows = [row.classes for row in result.classifications]
        labels = [[one.label.encode() for one in row] for row in rows]
        return labels, [[one.score for one in row] for row in rows]

    def status(self, seconds):
        """The versions as dicts with `version`, `state` and `error`."""
        request = protos.message("GetModelStatusRequest")()
        self._fill(request.model_spec)
        versions = self._call("GetModelStatus", request, seconds).model_version_status
        return [
            {
                "version": one.version,
                "state": protos.STATES.get(one.state, str(one.state)),
                "error": one.status.error_message,
            }
            for one in versions
        ]

    def signatures(self, seconds):
        """The signatures as a `SignatureDefMap`."""
        request = protos.message("GetModelMetadataRequest")(metadata_field=["signature_def"])
        self._fill(request.model_spec)
        response = self._call("GetModelMetadata", request, seconds)
        return protos.message("SignatureDefMap").FromString(
            response.metadata["signature_def"].value
        )

    def close(self):
        """Ends the channel and what is under way on it."""
        self._channel.close()

    def _fill(self, spec, signature=None):
        spec.name = self._spec["name"]
        if "version" in self._spec:
            spec.version.value = self._spec["version"]
        if "version_label" in self._spec:
            spec.version_label = self._spec["version_label"]
        if signature is not None:
            spec.signature_name = signature

    def _method(self, name):
        service, request, response = _METHODS[name]
        return self._channel.unary_unary(
            f"/{protos.PACKAGE}.{service}/{name}",
            request_serializer=protos.message(request).SerializeToString,
            response_deserializer=protos.message(response).FromString,
        )

    def _call(self, name, request, seconds):
        try:
            return self._calls[name](request, timeout=seconds, metadata=self._metadata)
        except grpc.RpcError as error:
            code, details = error.code().name, error.details()
            raise ServerError(code, details or "no message", self._address) from error
        except ValueError as error:  # how gRPC says that its channel is closed
            raise ServerError("CANCELLED", str(error), self._address) from error
