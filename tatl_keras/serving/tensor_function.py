"""The signature `tensors` of an export, as converters to other formats take it."""

import os

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from tatl_keras.serving.loaded import read_saved_model, writes

TENSORS = "tensors"


def tensor_function(directory, batch_size=None):
    """The part of an exported model behind decoding and tokenising.

    Args:
        directory: a SavedModel that `model.export` wrote.
        batch_size: int ≥ 1, rows in each call, or `None` for any number.

    Returns:
        A `tf.function` and the list of `TensorSpec`s that it takes, in this order; it gives a dict.

    Raises:
        FileNotFoundError: there is no SavedModel in `directory`.
        ValueError: it has no signature `tensors`, or computes in bfloat16.
    """
    model = read_saved_model(directory)
    signatures = getattr(model, "signatures", {})
    if TENSORS not in signatures:
        hint = "One that writes is served as it is." if writes(model) else "Export the model again."
        raise ValueError(
            f"`directory` must hold a model with the signature {TENSORS!r}. Received: "
            f"directory={os.fspath(directory)!r} with signatures {sorted(signatures)}. {hint}"
        )
    signature = signatures[TENSORS]
    inputs = signature.structured_input_signature[1]
    frozen = convert_variables_to_constants_v2(signature, lower_control_flow=False)
    made = (tensor for node in frozen.graph.get_operations() for tensor in node.outputs)
    if any(tensor.dtype == tf.bfloat16 for tensor in made):
        raise ValueError(
            "`directory` must hold a model that computes in float32. Received: directory="
            f"{os.fspath(directory)!r} with bfloat16. Export it without bfloat16."
        )
    order = [tensor.name.split(":")[0] for tensor in frozen.inputs]
    specs = [
        tf.TensorSpec([batch_size, *inputs[name].shape[1:]], inputs[name].dtype, name=name)
        for name in order
    ]
    outputs = sorted(signature.structured_outputs)  # the order of a flat dict

    def call(*tensors):
        return dict(zip(outputs, frozen(*tensors), strict=True))

    return tf.function(call), specs


def check_new_file(filepath, overwrite):
    """Gives the path as a str; a FileExistsError where there is a file and `overwrite` is false."""
    filepath = os.fspath(filepath)
    if os.path.exists(filepath) and not overwrite:
        raise FileExistsError(
            f"`filepath` must not exist. Received: filepath={filepath!r}. "
            "Choose another name, or pass overwrite=True."
        )
    return filepath
