"""Requests to TensorFlow Serving over its REST API, by the standard library alone."""

import base64
import contextlib
import http.client
import json
import socket
import ssl
import threading
import time
import urllib.parse

from google.protobuf import json_format

from tatl_keras import _predict_protos as protos
from tatl_keras.serving.client import json_arrays
from tatl_keras.serving.client.errors import ServerError

ROW_OVERHEAD = 64  # names and brackets around a picture and a text
_CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    413: "RESOURCE_EXHAUSTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_PIECE = 1 << 20
_LONGEST_MESSAGE = 2000


class RestTransport:
    """A connection for each request, so many threads may use it.

    Args:
        address: "host:port".
        spec: dict with `name` and perhaps `version` or `version_label`.
        tls: `None` or an `ssl.SSLContext`.
        headers: dict of str.
    """

    def __init__(self, address, spec, tls, headers):
        self._address, self._tls = address, tls
        self._headers = {"Content-Type": "application/json", **headers}
        self._path = "/v1/models/" + _quote(spec["name"])
        if "version" in spec:
            self._path += f"/versions/{spec['version']}"
        if "version_label" in spec:
            self._path += f"/labels/{_quote(spec['version_label'])}"
        self._open = set()
        self._lock = threading.Lock()

    @staticmethod
    def row_bytes(image, text):
        """The bytes that a row takes in a request, at most."""
        return 4 * (len(image) // 3 + 1) + len(json.dumps(_text(text))) + ROW_OVERHEAD

    def predict(self, signature, inputs, seconds, by_row=True):
        """Asks a signature; dicts of arrays in and out.

        Args:
            by_row: whether all inputs have one row for each example.
        """
        written = {name: _values(name, values.tolist()) for name, values in inputs.items()}
        if by_row:
            rows = zip(*written.values(), strict=True)
            body = {"instances": [dict(zip(written, row, strict=True)) for row in rows]}
        else:
            body = {"inputs": written}
        answer = self._ask("POST", ":predict", seconds, {"signature_name": signature, **body})
        with self._readable():
            if by_row:
                return json_arrays.from_rows(answer["predictions"])
            return json_arrays.from_columns(answer["outputs"])

    def classify_examples(self, signature, images, texts, seconds):
        """Asks the Classify API; lists of labels (bytes) and of scores, one of each a row."""
        rows = zip(_values("image_bytes", images), _values("text", texts), strict=True)
        examples = [{"image_bytes": image, "text": text} for image, text in rows]
        body = {"signature_name": signature, "examples": examples}
        answer = self._ask("POST", ":classify", seconds, body)
        with self._readable():
            labels = [[label.encode() for label, _ in row] for row in answer["result"]]
            return labels, [[float(score) for _, score in row] for row in answer["result"]]

    def status(self, seconds):
        """The versions as dicts with `version`, `state` and `error`."""
        answer = self._ask("GET", "", seconds)
        with self._readable():
            return [
                {
                    "version": int(one["version"]),
                    "state": one["state"],
                    "error": one.get("status", {}).get("error_message", ""),
                }
                for one in answer["model_version_status"]
            ]

    def signatures(self, seconds):
        """The signatures as a `SignatureDefMap`."""
        answer = self._ask("GET", "/metadata", seconds)
        with self._readable(json_format.ParseError):
            found = {"signature_def": answer["metadata"]["signature_def"]["signature_def"]}
            message = protos.message("SignatureDefMap")()
            return json_format.ParseDict(found, message, ignore_unknown_fields=True)

    def close(self):
        """Ends what is under way."""
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    @contextlib.contextmanager
    def _readable(self, *more):
        """Says of an answer in another form than the API's that it is one."""
        kinds = (AttributeError, LookupError, RecursionError, TypeError, ValueError, *more)
        try:
            yield
        except kinds as error:
            details = f"an answer that is not of the REST API ({type(error).__name__}: {error})"
            raise ServerError("INTERNAL", details, self._address) from error

    def _ask(self, verb, suffix, seconds, body=None):
        deadline = time.monotonic() + seconds
        sent = None if body is None else json.dumps(body).encode()
        try:
            status, answer = self._exchange(verb, self._path + suffix, sent, deadline)
        except TimeoutError as error:
            details = f"no answer within {seconds:.3g} s"
            raise ServerError("DEADLINE_EXCEEDED", details, self._address) from error
        except ConnectionRefusedError as error:
            raise ServerError("UNAVAILABLE", str(error), self._address) from error
        except (OSError, http.client.HTTPException) as error:
            details = f"{type(error).__name__}: {error}"
            raise ServerError("UNKNOWN", details, self._address) from error
        if status == 200:
            with self._readable():
                return json.loads(answer)
        raise ServerError(_CODES.get(status, "UNKNOWN"), _message(status, answer), self._address)

    def _exchange(self, verb, path, body, deadline):
        kind = http.client.HTTPConnection if self._tls is None else http.client.HTTPSConnection
        more = {} if self._tls is None else {"context": self._tls}
        connection = kind(self._address, timeout=_left(deadline), **more)
        try:
            connection.connect()
            sock = connection.sock  # the connection forgets it once there is an answer
            with self._lock:
                self._open.add(sock)
            try:
                sock.settimeout(_left(deadline))
                connection.request(verb, path, body, self._headers | {"Connection": "close"})
                sock.settimeout(_left(deadline))
                response = connection.getresponse()
                pieces = []
                while piece := response.read1(_PIECE):
                    pieces.append(piece)
                    sock.settimeout(_left(deadline))
                if response.length:
                    raise http.client.IncompleteRead(b"".join(pieces), response.length)
                return response.status, b"".join(pieces)
            finally:
                with self._lock:
                    self._open.discard(sock)
        finally:
            connection.close()


def tls_context(root_certificates, private_key, certificate_chain):
    """An `ssl.SSLContext` from paths of PEM files, each of which may be `None`."""
    context = ssl.create_default_context(cafile=root_certificates)
    if certificate_chain is not None:
        context.load_cert_chain(certificate_chain, private_key)
    return context


def _left(deadline):
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _quote(name):
    return urllib.parse.quote(name, safe="")


def _values(name, values):
    """Bytes, also nested, as JSON: those of pictures in base64, texts as they are."""
    if isinstance(values, list):
        return [_values(name, value) for value in values]
    return _base64(values) if name.endswith("_bytes") else _text(values)


def _text(text):
    """Base64 where JSON cannot hold the bytes, or a server might stop at a NUL."""
    with contextlib.suppress(UnicodeDecodeError):
        if b"\0" not in text:
            return text.decode()
    return _base64(text)


def _base64(value):
    return {"b64": base64.b64encode(value).decode()}


def _message(status, answer):
    """What an answer with an error says."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return str(json.loads(answer)["error"])
    text = answer.decode(errors="replace").strip()[:_LONGEST_MESSAGE]
    return f"HTTP status {status}" + (f", {text}" if text else "")
