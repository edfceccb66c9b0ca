"""Rules of signatures: what a client sends and gets, over gRPC and as JSON."""

from tensorflow.core.framework import types_pb2

SERVE = "serving_default"
# What tensorflow_serving/util/json_tensor.cc reads and writes.
_JSON = frozenset(
    types_pb2.DataType.Value(f"DT_{name}")
    for name in (
        "FLOAT", "DOUBLE", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT32", "UINT64", "BOOL",
        "STRING",
    )
)  # fmt: skip
_BYTES = "_bytes"
_ROWS_HINT = "REST by row and batching in the server need the batch as all first dimensions."


def signatures(files):
    served = files.served()
    if served is None:
        tags = [list(m.meta_info_def.tags) for m in files.meta_graphs]
        yield "saved_model.pb", f"No graph has the tag 'serve' alone. There are: {tags}."
        return
    asked = dict(files.signatures())
    if SERVE not in asked:
        yield SERVE, f"There is no such signature, which clients ask by default: {sorted(asked)}."
    for name, signature in sorted(asked.items()):
        for optional in sorted(signature.defaults):
            yield f"{name}.{optional}", "The input is optional, which REST cannot express."


def rows(files):
    """Known first dimensions must agree: a batch, or the one size that the inputs have."""
    for name, signature in files.signatures():
        sizes = {_first(info) for info in signature.inputs.values()} - {None}
        fixed = max(sizes) if len(sizes) == 1 else -1
        for side, tensors in (("input", signature.inputs), ("output", signature.outputs)):
            for tensor, info in sorted(tensors.items()):
                size = _first(info)
                if size == 0 or size not in (None, -1, fixed):
                    yield f"{name}.{tensor}", f"The {side} has {_words(size)}. {_ROWS_HINT}"


def _first(info):
    """First dimension, -1 for any; 0 for a scalar; `None` where the rank is not known."""
    shape = info.tensor_shape
    if shape.unknown_rank:
        return None
    return shape.dim[0].size if shape.dim else 0


def _words(size):
    return f"{size} rows, whatever is asked" if size else "no dimension for rows"


def dtypes(files):
    for name, signature in files.signatures():
        for side, tensors in (("input", signature.inputs), ("output", signature.outputs)):
            for tensor, info in sorted(tensors.items()):
                place = f"{name}.{tensor}"
                if info.WhichOneof("encoding") in ("coo_sparse", "composite_tensor"):
                    yield place, f"The {side} is sparse or composite, which JSON cannot carry."
                elif info.dtype not in _JSON:
                    dtype = types_pb2.DataType.Name(info.dtype)
                    yield place, f"The {side} is {dtype}, which JSON cannot carry. Cast it."
                elif side == "input" and tensor.endswith(_BYTES) and not _is_string(info):
                    yield place, "An input *_bytes must be strings: clients send it as base64."


def bytes_names(files):
    for name, signature in files.signatures():
        for tensor, info in sorted(signature.outputs.items()):
            if tensor.endswith(_BYTES) and _is_string(info):
                message = "REST answers *_bytes as base64. Rename the output if it is text."
                yield f"{name}.{tensor}", message


def _is_string(info):
    return info.dtype == types_pb2.DT_STRING
