"""Asks a SavedModel through TensorFlow's C API alone; run as a script, it imports no TensorFlow.

python -P c_api.py DIRECTORY QUESTION.json REPLY.json

The question is {signature: {input: packed array}}, the reply {signature: {output: packed array}}.
"""

import base64
import ctypes
import importlib.util
import json
import math
import pathlib
import sys

import numpy as np

STRING, STRING_BYTES = 7, 24  # TF_STRING, sizeof(TF_TString)
DTYPES = {1: "float32", 3: "int32", 9: "int64", 10: "bool"}


def pack(array):
    """An array, of bytes too, as JSON."""
    array = np.asarray(array)
    text = array.dtype.kind in "OS"
    values = [base64.b64encode(x).decode() for x in array.ravel()] if text else array.ravel()
    dtype = "string" if text else array.dtype.name
    return {"dtype": dtype, "shape": array.shape, "values": list(map(_plain, values))}


def _plain(value):
    return value if isinstance(value, str) else value.item()


def unpack(packed):
    """The inverse of `pack`; strings become an array of objects, since NumPy's own lose NUL."""
    if packed["dtype"] != "string":
        return np.array(packed["values"], packed["dtype"]).reshape(packed["shape"])
    array = np.empty(len(packed["values"]), object)
    array[:] = [base64.b64decode(text) for text in packed["values"]]
    return array.reshape(packed["shape"])


class Buffer(ctypes.Structure):
    """TF_Buffer."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("length", ctypes.c_size_t),
        ("deallocate", ctypes.c_void_p),
    ]


class Output(ctypes.Structure):
    """TF_Output: which output of which operation."""

    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


def _library():
    """The C API of the installed wheel, with the types of its functions."""
    folder = _package("tensorflow")
    ctypes.CDLL(str(folder / "libtensorflow_framework.so.2"), ctypes.RTLD_GLOBAL)
    library = ctypes.CDLL(str(folder / "libtensorflow_cc.so.2"), ctypes.RTLD_GLOBAL)
    pointer, number, size, text = (
        ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t, ctypes.c_char_p,
    )  # fmt: skip
    types = {
        "NewStatus": (pointer, []),
        "GetCode": (number, [pointer]),
        "Message": (text, [pointer]),
        "LoadLibrary": (pointer, [text, pointer]),
        "NewSessionOptions": (pointer, []),
        "NewGraph": (pointer, []),
        "LoadSessionFromSavedModel": (pointer, [pointer] * 2 + [text, pointer, number]
                                      + [pointer] * 3),
        "GraphOperationByName": (pointer, [pointer, text]),
        "AllocateTensor": (pointer, [number, pointer, number, size]),
        "TensorData": (pointer, [pointer]),
        "TensorType": (number, [pointer]),
        "TensorByteSize": (size, [pointer]),
        "NumDims": (number, [pointer]),
        "Dim": (ctypes.c_int64, [pointer, number]),
        "StringInit": (None, [pointer]),
        "StringCopy": (None, [pointer, text, size]),
        "StringGetDataPointer": (pointer, [pointer]),
        "StringGetSize": (size, [pointer]),
        "SessionRun": (None, [pointer] * 4 + [number] + [pointer] * 2 + [number, pointer, number]
                       + [pointer] * 2),
    }  # fmt: skip
    for name, (result, arguments) in types.items():
        function = getattr(library, f"TF_{name}")
        function.restype, function.argtypes = result, arguments
    return library


def _package(name):
    (folder,) = importlib.util.find_spec(name).submodule_search_locations
    return pathlib.Path(folder)


class Model:
    """A SavedModel in a session."""

    def __init__(self, directory):
        self.tf = _library()
        self.status = self.tf.TF_NewStatus()
        for path in sorted(_package("tensorflow_text").glob("python/ops/*.so")):
            self.tf.TF_LoadLibrary(str(path).encode(), self.status)
            self._check()
        self.graph, meta = self.tf.TF_NewGraph(), Buffer()
        tags = (ctypes.c_char_p * 1)(b"serve")
        self.session = self.tf.TF_LoadSessionFromSavedModel(
            self.tf.TF_NewSessionOptions(), None, directory.encode(), tags, 1, self.graph,
            ctypes.addressof(meta), self.status,
        )  # fmt: skip
        self._check()
        self.signatures = dict(_signatures(ctypes.string_at(meta.data, meta.length)))

    def ask(self, signature, feed):
        """Dict of the outputs' arrays."""
        names, outputs = self.signatures[signature]
        keys = sorted(outputs)
        into = (Output * len(feed))(*[self._place(names[name]) for name in feed])
        values = (ctypes.c_void_p * len(feed))(*[self._tensor(x) for x in feed.values()])
        out = (Output * len(keys))(*[self._place(outputs[name]) for name in keys])
        found = (ctypes.c_void_p * len(keys))()
        self.tf.TF_SessionRun(
            self.session, None, into, values, len(feed), out, found, len(keys), None, 0, None,
            self.status,
        )  # fmt: skip
        self._check()
        return {name: self._array(tensor) for name, tensor in zip(keys, found, strict=True)}

    def _check(self):
        if self.tf.TF_GetCode(self.status):
            raise RuntimeError(self.tf.TF_Message(self.status).decode("utf-8", "replace"))

    def _place(self, name):
        operation, index = name.split(":")
        found = self.tf.TF_GraphOperationByName(self.graph, operation.encode())
        if not found:
            raise RuntimeError(f"The graph has no operation {operation!r}.")
        return Output(found, int(index))

    def _tensor(self, array):
        shape = (ctypes.c_int64 * array.ndim)(*array.shape)
        if array.dtype == object:
            dtype, size = STRING, STRING_BYTES * array.size
        else:
            dtype = next(number for number, name in DTYPES.items() if name == array.dtype)
            size = array.nbytes
        tensor = self.tf.TF_AllocateTensor(dtype, shape, array.ndim, size)
        data = self.tf.TF_TensorData(tensor)
        if dtype != STRING:
            ctypes.memmove(data, np.ascontiguousarray(array).ctypes.data, size)
            return tensor
        for place, contents in enumerate(array.ravel()):
            self.tf.TF_StringInit(data + STRING_BYTES * place)
            self.tf.TF_StringCopy(data + STRING_BYTES * place, contents, len(contents))
        return tensor

    def _array(self, tensor):
        dtype, data = self.tf.TF_TensorType(tensor), self.tf.TF_TensorData(tensor)
        shape = [self.tf.TF_Dim(tensor, axis) for axis in range(self.tf.TF_NumDims(tensor))]
        if dtype != STRING:
            contents = ctypes.string_at(data, self.tf.TF_TensorByteSize(tensor))
            return np.frombuffer(contents, DTYPES[dtype]).reshape(shape)
        array = np.empty(math.prod(shape), object)
        for place in range(array.size):
            string = data + STRING_BYTES * place
            pointer, size = (
                self.tf.TF_StringGetDataPointer(string), self.tf.TF_StringGetSize(string),
            )  # fmt: skip
            array[place] = ctypes.string_at(pointer, size)
        return array.reshape(shape)


def _signatures(meta_graph):
    """Yields (name, (inputs, outputs)) of a MetaGraphDef, dicts from key to name of a tensor."""
    for entry in _fields(meta_graph, 5):
        (name,), (signature,) = _fields(entry, 1), _fields(entry, 2)
        yield name.decode(), tuple(dict(_names(signature, side)) for side in (1, 2))


def _names(signature, side):
    for entry in _fields(signature, side):
        (key,), (info,) = _fields(entry, 1), _fields(entry, 2)
        yield key.decode(), next(iter(_fields(info, 1)), b"").decode()


def _fields(message, number):
    """The values of one field of a serialised protocol buffer, a list of bytes."""
    found, place = [], 0
    while place < len(message):
        key, place = _varint(message, place)
        kind = key & 7
        if kind == 2:
            length, place = _varint(message, place)
        else:
            length = {0: _varint(message, place)[1] - place, 1: 8, 5: 4}[kind]
        if key >> 3 == number:
            found.append(message[place : place + length])
        place += length
    return found


def _varint(message, place):
    value = shift = 0
    while True:
        byte = message[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place


def main(directory, question, reply):
    model = Model(directory)
    asked = json.loads(pathlib.Path(question).read_text(encoding="utf-8"))
    answers = {
        signature: model.ask(signature, {name: unpack(value) for name, value in feed.items()})
        for signature, feed in asked.items()
    }
    loaded = {name.split(".")[0] for name in sys.modules}
    foreign = sorted({"tensorflow", "tensorflow_text", "keras", "tatl_keras"} & loaded)
    if foreign or sorted(answers) != sorted(set(model.signatures) - {"__saved_model_init_op"}):
        raise RuntimeError(f"imported {foreign}, signatures {sorted(model.signatures)}")
    packed = {
        signature: {name: pack(array) for name, array in outputs.items()}
        for signature, outputs in answers.items()
    }
    pathlib.Path(reply).write_text(json.dumps(packed), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
