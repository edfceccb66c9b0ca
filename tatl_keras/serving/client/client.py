"""A client of TensorFlow Serving for models of this library."""

import numpy as np
import tensorflow as tf

from tatl_keras.serving.client import rest_transport
from tatl_keras.serving.client.errors import ServerError
from tatl_keras.serving.client.grpc_transport import GrpcTransport
from tatl_keras.serving.client.requests import Repeater, cut
from tatl_keras.serving.loaded import class_text_table

PROTOCOLS = ("grpc", "rest")
_OVERHEAD = 4096  # bytes of a request besides its rows
# The last is what a server says of a label that it does not know (yet).
_NOT_THERE = ("UNAVAILABLE", "NOT_FOUND", "DEADLINE_EXCEEDED", "INVALID_ARGUMENT")


class Client:
    """Asks a model on a server, with NumPy arrays at both ends.

    Many rows are cut into requests of at most `max_rows` rows and `max_message_bytes`. A request is
    repeated while the server is UNAVAILABLE (REST: refuses connections, or answers 503), after
    random pauses that grow from 0.1 s, and never for another reason. Threads may share a client.

    Args:
        address: str, "host:port" without a scheme; TensorFlow Serving's ports are 8500 for gRPC
            and 8501 for REST.
        model: str, the model's name on the server.
        protocol: "grpc", or "rest", which needs a third more bytes for pictures.
        version: int, or `None` for the newest one there.
        label: str, a version's label such as "canary"; not beside `version`.
        timeout: float, seconds for a request with its repetitions.
        max_retries: int, how often a request is repeated.
        max_rows: int.
        max_message_bytes: int.
        tls: bool, whether the server is asked over TLS.
        root_certificates, private_key, certificate_chain: paths of PEM files, the first instead
            of the system's certificates, the others the client's own. Only with `tls`.
        headers: dict of str, sent with each request: HTTP's headers, gRPC's metadata.

    Raises:
        ValueError: an argument is not as it must be.

    Example:

    >>> with Client("localhost:1", "pets", max_retries=0) as client:
    ...     client.ready()
    False
    """

    def __init__(
        self, address, model, *, protocol="grpc", version=None, label=None, timeout=60.0,
        max_retries=4, max_rows=32, max_message_bytes=64 << 20, tls=False, root_certificates=None,
        private_key=None, certificate_chain=None, headers=None,
    ):  # fmt: skip
        _check_address(address)
        if not isinstance(model, str) or not model:
            raise ValueError(f"`model` must be the model's name. Received: model={model!r}")
        if protocol not in PROTOCOLS:
            raise ValueError(f"`protocol` must be one of {PROTOCOLS}. Received: {protocol!r}")
        if version is not None and label is not None:
            raise ValueError(
                "`version` and `label` must not both be given. "
                f"Received: version={version}, label={label!r}"
            )
        least = {"max_retries": 0, "max_rows": 1, "max_message_bytes": _OVERHEAD + 1}
        given = {"max_retries": max_retries, "max_rows": max_rows}
        given |= {"max_message_bytes": max_message_bytes}
        if version is not None:
            least, given = least | {"version": 0}, given | {"version": version}
        for name, value in given.items():
            if isinstance(value, bool) or not isinstance(value, int) or value < least[name]:
                raise ValueError(
                    f"`{name}` must be an int, at least {least[name]}. Received: {name}={value!r}"
                )
        if not timeout > 0:
            raise ValueError(f"`timeout` must be seconds above 0. Received: timeout={timeout!r}")
        files = dict(
            root_certificates=root_certificates,
            private_key=private_key,
            certificate_chain=certificate_chain,
        )
        self.address, self.model, self.version, self.label = address, model, version, label
        self.max_rows, self.max_bytes = max_rows, max_message_bytes - _OVERHEAD
        self._repeat = Repeater(timeout, max_retries)
        self._transport = self._connect(protocol, tls, files, headers or {})

    def _connect(self, protocol, tls, files, headers):
        named = [name for name, path in files.items() if path is not None]
        if named and not tls:
            raise ValueError(f"`tls` must be True with `{named[0]}`. Received: tls={tls}")
        if (files["private_key"] is None) != (files["certificate_chain"] is None):
            raise ValueError(
                "`private_key` and `certificate_chain` must come together. "
                f"Received: {', '.join(named)}"
            )
        spec = {"name": self.model}
        if self.version is not None:
            spec["version"] = self.version
        if self.label is not None:
            spec["version_label"] = self.label
        if protocol == "rest":
            context = rest_transport.tls_context(**files) if tls else None
            return rest_transport.RestTransport(self.address, spec, context, headers)
        contents = {name: path and _read(path) for name, path in files.items()} if tls else None
        return GrpcTransport(self.address, spec, contents, headers)

    def predict(self, image_bytes, texts, signature="serving_default"):
        """What a signature answers to raw examples, in their order.

        Args:
            image_bytes: sequence of encoded pictures, b"" where there is none.
            texts: sequence of str or UTF-8 bytes, "" where there is none.
            signature: str, one that takes these: "serving_default", "classify", "embed", …

        Returns:
            A dict from output to array, strings as bytes, as of `serving.LoadedModel.answer`.

        Raises:
            ValueError: there is no example, the sequences are not equally long, or one row alone
                is larger than `max_message_bytes`.
            ServerError: the server could not be asked, or answered with an error.
        """
        return self._ask(image_bytes, texts, signature)

    def classify(self, image_bytes, texts):
        """The most probable classes; arguments and errors as of `predict`.

        Returns:
            A dict of arrays: `labels` (B, k) of bytes, `probabilities` (B, k), the largest first,
            and `valid` (B,).
        """
        return self._ask(image_bytes, texts, "classify")

    def classify_examples(self, image_bytes, texts):
        """The most probable classes by the server's Classify API, which takes tf.Examples.

        Arguments and errors as of `predict`.

        Returns:
            A dict of arrays: `classes` (B, k) of bytes and `scores` (B, k).
        """
        images, texts = _columns(image_bytes, texts)
        labels, scores = [], []
        for some in self._parts(images, texts):
            found = self._send(self._transport.classify_examples, some, images, texts)
            labels, scores = labels + found[0], scores + found[1]
        if len(labels) != len(texts) or len({len(row) for row in labels}) > 1:
            raise ServerError("INTERNAL", "rows of different lengths, or too few", self.address)
        classes = np.empty((len(labels), len(labels[0])), object)
        classes[:] = labels
        return {"classes": classes, "scores": np.array(scores, np.float32)}

    def classify_with_texts(self, image_bytes, texts, class_texts):
        """What the model gives of raw examples among classes that are described now.

        Args:
            image_bytes, texts: see `predict`.
            class_texts: list with a text, or a list of texts, for each class.

        Returns:
            As `serving.LoadedModel.classify_with_texts`; errors as of `predict`.
        """
        table = class_text_table(class_texts)
        encoded = np.array([[[text.encode() for text in row] for row in table]], object)
        more = {"class_texts": encoded}
        return self._ask(image_bytes, texts, "classify_with_texts", more)

    def caption(self, image_bytes):
        """What an exported `Captioner` writes about pictures; errors as of `predict`.

        Returns:
            As `serving.LoadedWriter.answer`.
        """
        return self._ask(image_bytes, [""] * len(image_bytes), "caption", inputs=("image_bytes",))

    def translate(self, texts):
        """What an exported `Translator` writes about texts; errors and returns as of `caption`."""
        return self._ask([b""] * len(texts), texts, "translate", inputs=("text",))

    def status(self):
        """The model's versions on the server, whatever `label` is.

        Returns:
            A list of dicts: `version` (int), `state` ("START", "LOADING", "AVAILABLE", "UNLOADING",
            "END") and `error`, why it could not be loaded, or "".
        """
        return self._repeat(self._transport.status)

    def ready(self):
        """Whether the version asked for answers; asks once, and raises nothing for no."""
        try:
            self._repeat(self._transport.signatures, max_retries=0)
        except ServerError as error:
            if error.code in _NOT_THERE:
                return False
            raise
        return True

    def metadata(self):
        """What the model can be asked.

        Returns:
            A dict from signature to `{"inputs": …, "outputs": …}`, each a dict from name to
            `(dtype, shape)` such as `("string", (None,))`.
        """
        signatures = self._repeat(self._transport.signatures).signature_def
        return {
            name: {"inputs": _tensors(one.inputs), "outputs": _tensors(one.outputs)}
            for name, one in signatures.items()
            if not name.startswith("__")  # TensorFlow's own
        }

    def close(self):
        """Ends the connection, and what other threads are waiting for."""
        self._repeat.close()
        self._transport.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def _ask(self, image_bytes, texts, signature, more=None, inputs=("image_bytes", "text")):
        images, texts = _columns(image_bytes, texts)
        columns = {"image_bytes": images, "text": texts}
        answers = []
        for some in self._parts(images, texts):
            request = {name: columns[name][some] for name in inputs} | (more or {})
            answer = self._repeat(
                lambda seconds, request=request: self._transport.predict(
                    signature, request, seconds, by_row=not more
                )
            )
            count = some.stop - some.start
            wrong = [name for name, value in answer.items() if value.shape[:1] != (count,)]
            if wrong or not answer:
                details = f"{wrong or 'nothing'} with another number of rows than the {count} asked"
                raise ServerError("INTERNAL", details, self.address)
            answers.append(answer)
        return {name: np.concatenate([part[name] for part in answers]) for name in answers[0]}

    def _send(self, method, some, images, texts):
        signature = "classify_examples"
        rows = images[some].tolist(), texts[some].tolist()
        return self._repeat(lambda seconds: method(signature, *rows, seconds))

    def _parts(self, images, texts):
        sizes = [self._transport.row_bytes(*row) for row in zip(images, texts, strict=True)]
        return cut(sizes, self.max_rows, self.max_bytes)

    def row_bytes(self, image, text):
        """The bytes that a row takes in a request, at most; see `max_message_bytes`."""
        return self._transport.row_bytes(image, _encoded(text))


def _check_address(address):
    host, colon, port = address.rpartition(":") if isinstance(address, str) else ("", "", "")
    if not (host and colon and port.isdecimal() and "//" not in host):
        raise ValueError(
            f"`address` must be 'host:port'. Received: address={address!r}. "
            "TensorFlow Serving's ports are 8500 for gRPC and 8501 for REST; TLS is `tls=True`."
        )


def _columns(image_bytes, texts):
    """Both columns as object arrays of bytes."""
    if len(image_bytes) != len(texts) or not len(texts):
        raise ValueError(
            "`image_bytes` and `texts` must be equally long and not empty. "
            f"Received: {len(image_bytes)} pictures, {len(texts)} texts"
        )
    columns = np.empty(len(texts), object), np.empty(len(texts), object)
    columns[0][:] = [bytes(image) for image in image_bytes]
    columns[1][:] = [_encoded(text) for text in texts]
    return columns


def _encoded(text):
    return text.encode() if isinstance(text, str) else bytes(text)


def _tensors(described):
    found = {}
    for name, info in described.items():
        sizes = tuple(None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim)
        found[name] = (tf.as_dtype(info.dtype).name, sizes)
    return found


def _read(path):
    with open(path, "rb") as file:
        return file.read()
