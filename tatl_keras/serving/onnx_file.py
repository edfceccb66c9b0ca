"""An exported model as an ONNX file."""

import importlib.util

import numpy as np

from tatl_keras._files import write_whole
from tatl_keras.serving.tensor_function import check_new_file, tensor_function

OPSETS = range(13, 19)


def to_onnx(directory, filepath, *, opset=17, overwrite=False):
    """Writes the signature `tensors` of an exported model as an ONNX file.

        images         (B, H, W, 3) float32   resized and normalised
        has_image      (B,) int32             0 where there is no picture
        token_ids      (B, L) int32
        padding_mask   (B, L) int32           0 behind the text; all 0 where there is none
                   ↓
        probabilities  (B, num_classes) float32
        logits         (B, num_classes) float32
        valid          (B,) bool

    The file holds what lies behind decoding and tokenising, of the inputs above those that the
    model reads, for any number of rows B. It needs ONNX's own operations only, and appears whole
    or not at all. Needs the extra `onnx`.

    Args:
        directory: a SavedModel that `model.export` wrote.
        filepath: file to write, for instance "pets.onnx"; its folder must exist.
        opset: int from 13 to 18, the version of ONNX's operations.
        overwrite: bool, replace what is there.

    Raises:
        ImportError: the extra `onnx` is not installed.
        ValueError: `opset` is out of bounds; the model has no signature `tensors`, or computes in
            bfloat16; or it holds an operation that ONNX does not have, which the message names.
        FileNotFoundError: there is no SavedModel in `directory`.
        FileExistsError: `filepath` exists and `overwrite` is false.

    Example:

    >>> from tatl_keras import serving
    >>> serving.to_onnx("pets/1", "pets.onnx", opset=7)
    Traceback (most recent call last):
    ValueError: `opset` must be an integer from 13 to 18. Received: opset=7.
    """
    if opset not in OPSETS:
        raise ValueError(
            f"`opset` must be an integer from {OPSETS[0]} to {OPSETS[-1]}. "
            f"Received: opset={opset!r}."
        )
    _check_installed()
    from tf2onnx import convert

    filepath = check_new_file(filepath, overwrite)
    function, specs = tensor_function(directory)
    model, _ = convert.from_function(
        function,
        specs,
        opset=opset,
        custom_op_handlers={"Erfc": (_erfc, []), "Log1p": (_log1p, [])},
    )
    unknown = sorted(set(_unknown_operations(model.graph, opset)))
    if unknown:
        raise ValueError(
            "`directory` must hold a model of operations that ONNX has. Received: a model with "
            f"{', '.join(unknown)}. Another `opset` may have them."
        )
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "rows"
    write_whole(filepath, model.SerializeToString())


def _check_installed():
    missing = [name for name in ("onnx", "tf2onnx") if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(
            f"`to_onnx` needs the packages onnx and tf2onnx. Received: no {', '.join(missing)}. "
            "Install them: pip install 'tatl_keras[onnx]'"
        )


def _erfc(graph, node, *_):
    """1 - erf(x)."""
    (x,), (one, replace) = node.input, _replaced(graph, node)
    replace("Sub", [one, graph.make_node("Erf", [x]).output[0]])


def _log1p(graph, node, *_):
    """log(1 + x)."""
    (x,), (one, replace) = node.input, _replaced(graph, node)
    replace("Log", [graph.make_node("Add", [one, x]).output[0]])


def _replaced(graph, node):
    """Takes a node out; gives the name of the number 1, and a function that puts another in."""
    dtype, shape = graph.get_dtype(node.output[0]), graph.get_shape(node.output[0])
    graph.remove_node(node.name)
    one = graph.make_const(f"{node.name}/one", np.ones((), np.float32))

    def replace(kind, inputs):
        graph.make_node(
            kind, inputs, name=node.name, outputs=node.output, shapes=[shape], dtypes=[dtype]
        )

    return one.output[0], replace


def _unknown_operations(graph, opset):
    """Names of operations that are not ONNX's, also in the bodies of loops and branches."""
    from onnx import defs

    for node in graph.node:
        if node.domain not in ("", "ai.onnx") or not defs.has(node.op_type, opset):
            yield f"{node.domain}.{node.op_type}".lstrip(".")
        for attribute in node.attribute:
            for body in (attribute.g, *attribute.graphs):
                yield from _unknown_operations(body, opset)
