"""The REST half of the double: JSON in and out as TensorFlow Serving reads and writes it."""

import base64
import contextlib
import http.server
import json
import re
import socket
import urllib.parse

import numpy as np
import tensorflow as tf
from google.protobuf import json_format

_PATH = re.compile(
    r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
    r"(?::(?P<method>predict|classify)|(?P<metadata>/metadata))?"
)
_STATUS = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
    "INTERNAL": 500,
}


class Failure(Exception):
    """An error that a server answers with: gRPC's name of it and a message."""

    def __init__(self, code, details):
        super().__init__(details)
        self.code, self.details = code, details


def handler(server):
    """The class of handlers of a `Loopback`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._reply(body)

        def do_GET(self):
            self._reply(None)

        def _reply(self, body):
            try:
                fault = server.begin(*_noted(self.path, body), dict(self.headers))
                answer = _answer(server, self.path, body, fault)
                status = 200
            except Failure as failure:
                fault, status = None, _STATUS[failure.code]
                answer = json.dumps({"error": failure.details})
            if fault == "drop":
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            with contextlib.suppress(BrokenPipeError):  # it has gone
                self._send(status, answer.encode(), fault)

        def _send(self, status, sent, fault):
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent if fault != "cut" else sent[:-1])

        def log_message(self, *words):
            pass

    return Handler


def _noted(path, body):
    method = _PATH.fullmatch(path)
    body = body or {}
    rows = len(body.get("instances", body.get("examples", body.get("inputs", {}).get("text", ()))))
    return (method["method"] or "status").capitalize(), rows


def _answer(server, path, body, fault):
    found = _PATH.fullmatch(path)
    name = urllib.parse.unquote(found["name"])
    version = int(found["version"]) if found["version"] else None
    if fault == "garbage":
        return '{"predictions": [{"probabilities": [0.5, "'
    if body is None and not found["metadata"]:
        versions = [
            {"version": str(one), "state": "AVAILABLE", "status": {"error_code": "OK"}}
            for one in server.states(name, version)
        ]
        return json.dumps({"model_version_status": versions})
    label = urllib.parse.unquote(found["label"]) if found["label"] else None
    model = server.find(name, version, label)
    if body is None:
        signatures = {
            key: json_format.MessageToDict(value, preserving_proto_field_name=True)
            for key, value in model[1].items()
        }
        kind = {"@type": "type.googleapis.com/tensorflow.serving.SignatureDefMap"}
        return json.dumps({"metadata": {"signature_def": kind | {"signature_def": signatures}}})
    signature = body["signature_name"]
    if found["method"] == "classify":
        examples = [_example(row).SerializeToString() for row in body["examples"]]
        rows = server.classify(model, signature, examples)
        rows = [[[label, _Number(score)] for label, score in row] for row in rows]
        return _json({"result": rows})
    if signature not in model[1]:
        text = f'Serving signature name: "{signature}" not found in signature def'
        raise Failure("INVALID_ARGUMENT", text)
    outputs = server.run(model, signature, _inputs(body))
    outputs = {key: _listed(key, value[1:] if fault == "short" else value)
               for key, value in outputs.items()}  # fmt: skip
    if "inputs" in body:
        return _json({"outputs": outputs if len(outputs) > 1 else next(iter(outputs.values()))})
    rows = [dict(zip(outputs, row, strict=True)) for row in zip(*outputs.values(), strict=True)]
    return _json(
        {"predictions": rows if len(outputs) > 1 else [next(iter(r.values())) for r in rows]}
    )


def _inputs(body):
    if "inputs" in body:
        columns = body["inputs"]
    else:
        columns = {key: [row[key] for row in body["instances"]] for key in body["instances"][0]}
    return {key: np.array(_decoded(value), object) for key, value in columns.items()}


def _decoded(value):
    if isinstance(value, list):
        return [_decoded(one) for one in value]
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else value.encode()


def _example(row):
    example = tf.train.Example()
    for key, value in row.items():
        example.features.feature[key].bytes_list.value.append(_decoded(value))
    return example


class _Number(float):
    """A float32 that is written as the server does: six digits, or nine where that loses some."""

    def text(self):
        if not np.isfinite(self):
            return "NaN" if np.isnan(self) else ("Infinity" if self > 0 else "-Infinity")
        short = f"{float(self):.6g}"
        short = short if np.float32(short) == np.float32(self) else f"{float(self):.9g}"
        return short if "." in short or "e" in short else short + ".0"


def _listed(key, value):
    if isinstance(value, np.ndarray):
        return [_listed(key, one) for one in value]
    if isinstance(value, bytes):
        in_base64 = {"b64": base64.b64encode(value).decode()}
        return in_base64 if key.endswith("_bytes") else value.decode()
    if isinstance(value, np.bool_):
        return bool(value)
    return _Number(value) if isinstance(value, np.floating) else int(value)


def _json(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)}: {_json(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_json, value)) + "]"
    return value.text() if isinstance(value, _Number) else json.dumps(value, ensure_ascii=False)
