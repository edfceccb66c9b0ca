"""How much a traced function multiplies, operation by operation."""

import math


def traced_flops(function):
    """Operations of the products and convolutions in a traced function, two a multiplication.

    Other than `encoders.count_flops`, this knows nothing of layers: it reads what TensorFlow would
    execute, so what no output depends on counts nothing.

    Args:
        function: a `tf.ConcreteFunction` of inputs whose sizes are known.

    Returns:
        int.

    Raises:
        ValueError: a size is unknown, or the function has a loop, whose number of turns is not
            known.

    Example:

    >>> import tensorflow as tf
    >>> product = tf.function(lambda x: tf.einsum("ab,bc->ac", x, tf.ones((3, 4))))
    >>> traced_flops(product.get_concrete_function(tf.TensorSpec((2, 3))))
    48
    """
    return 2 * sum(_multiplications(operation) for operation in _needed(function.graph))


def _needed(graph):
    """The operations that the outputs of a graph depend on, those of called functions too."""
    seen, waiting = {}, [tensor.op for tensor in graph.outputs]
    while waiting:
        operation = waiting.pop()
        if operation.name not in seen:
            seen[operation.name] = operation
            waiting += [tensor.op for tensor in operation.inputs]
    for operation in seen.values():
        if operation.type in ("While", "StatelessWhile", "If", "StatelessIf", "Case"):
            raise ValueError(
                f"`function` must have no loops. Received: operation {operation.name!r} of type "
                f"{operation.type}"
            )
        if operation.type.endswith("PartitionedCall"):
            name = operation.get_attr("f").name
            yield from _needed(graph._get_function(name).graph)
        else:
            yield operation


def _multiplications(operation):
    if operation.type in ("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"):
        left = _shape(operation, operation.inputs[0])
        attribute = "transpose_a" if operation.type == "MatMul" else "adj_x"
        summed = left[-2] if operation.get_attr(attribute) else left[-1]
        return math.prod(_shape(operation, operation.outputs[0])) * summed
    if operation.type == "Einsum":
        letters = operation.get_attr("equation").decode().split("->")[0].split(",")
        sizes = {}
        for names, tensor in zip(letters, operation.inputs, strict=True):
            sizes |= dict(zip(names, _shape(operation, tensor), strict=True))
        return math.prod(sizes.values()) if len(letters) > 1 else 0
    if operation.type in ("Conv2D", "DepthwiseConv2dNative"):
        kernel = _shape(operation, operation.inputs[1])
        outputs = math.prod(_shape(operation, operation.outputs[0]))
        return outputs * math.prod(kernel[: 3 if operation.type == "Conv2D" else 2])
    return 0


def _shape(operation, tensor):
    shape = tensor.shape.as_list() if tensor.shape.rank is not None else [None]
    if None in shape:
        raise ValueError(
            f"`function` must have known sizes. Received: operation {operation.name!r} with a "
            f"tensor of shape {tensor.shape}"
        )
    return shape
