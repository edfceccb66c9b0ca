"""Reads what is in deploy/serving for the tests beside it."""

import functools
import importlib.resources
import json
import re

import jsonschema
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from tests.project import source

SERVING = source.REPO / "deploy" / "serving"
SCHEMAS = source.REPO / "tests" / "project" / "schemas"

# Of the .proto files in tensorflow_serving/config and servables/tensorflow, release 2.20.0.
_WRAPPERS = {"Int64Value": {"value": (1, "int64")}, "StringValue": {"value": (1, "string")}}
_PROTOS = {
    "MonitoringConfig": {
        "MonitoringConfig": {"prometheus_config": (1, "PrometheusConfig")},
        "PrometheusConfig": {"enable": (1, "bool"), "path": (2, "string")},
    },
    "BatchingParameters": {
        "BatchingParameters": {
            "max_batch_size": (1, "Int64Value"),
            "batch_timeout_micros": (2, "Int64Value"),
            "max_enqueued_batches": (3, "Int64Value"),
            "num_batch_threads": (4, "Int64Value"),
            "thread_pool_name": (5, "StringValue"),
        },
        **_WRAPPERS,
    },
}
_SCALARS = {"int64": 3, "bool": 8, "string": 9}


@functools.cache
def server():
    """What TensorFlow Serving 2.20 is known to have: flags, paths, metrics."""
    path = source.REPO / "tests" / "project" / "tensorflow_serving_2_20.json"
    return json.loads(path.read_text(encoding="utf-8"))


def text(name):
    return (SERVING / name).read_text(encoding="utf-8")


def documents(name):
    """The YAML documents of a file, or the one JSON document."""
    return list(yaml.safe_load_all(text(name)))


def document(name):
    (only,) = documents(name)
    return only


@functools.cache
def manifests():
    """Dict from (kind, name) to document, of all files for Kubernetes."""
    found = {}
    for path in sorted((SERVING / "kubernetes").glob("*.yaml")):
        for one in documents(f"kubernetes/{path.name}"):
            key = one["kind"], one["metadata"]["name"]
            assert key not in found, key
            found[key] = one
    return found


def schema(name):
    """A closed schema of our own, or Compose's."""
    if name == "compose":
        folder = importlib.resources.files("check_jsonschema") / "builtin_schemas" / "vendor"
        return json.loads((folder / "compose-spec.json").read_text(encoding="utf-8"))
    return json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))


def errors(name, instance):
    """What a schema has against a document, a line each."""
    validator = jsonschema.validators.validator_for(schema(name))(schema(name))
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(instance)]


def parse_message(name, contents):
    """A message of the server's from its text form; raises where a field is not known."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{name}.proto", package="server")
    file.syntax = "proto3"
    for message, fields in _PROTOS[name].items():
        described = file.message_type.add(name=message)
        for field, (number, kind) in fields.items():
            added = described.field.add(name=field, number=number, label=1)
            if kind in _SCALARS:
                added.type = _SCALARS[kind]
            else:
                added.type, added.type_name = 11, f".server.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    descriptor = pool.FindMessageTypeByName(f"server.{name}")
    return text_format.Parse(contents, message_factory.GetMessageClass(descriptor)())


def flags(words):
    """Dict of a command line of the server's; each flag must be one it has, of the right type."""
    found = {}
    for word in words:
        name, given, value = word.removeprefix("--").partition("=")
        kind = server()["flags"].get(name)
        assert word.startswith("--") and given and kind, f"the server has no flag {word}"
        pattern = {"int": r"\d+", "bool": "true|false", "float": r"[\d.]+", "string": r"\S+"}[kind]
        assert re.fullmatch(pattern, value), word
        assert name not in found, f"{name} stands there twice"
        found[name] = value
    return found


def bytes_of(quantity):
    """`4Gi`, `4g`, `64Mi`, `64m` (as Compose writes it) in bytes."""
    number, unit = re.fullmatch(r"(\d+)([A-Za-z]*)", quantity).groups()
    return int(number) << {"": 0, "k": 10, "m": 20, "g": 30}[unit.lower().removesuffix("i")]
