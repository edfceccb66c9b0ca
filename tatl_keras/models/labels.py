"""Labels in the forms that `fit` takes."""

from keras import ops


def one_hot(labels, num_classes):
    """Float32 (B, C) of labels (B,), (B, 1) or (B, C).

    Example:

    >>> one_hot([[1], [0]], 3).numpy().tolist()
    [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
    """
    labels = ops.convert_to_tensor(labels)
    if len(labels.shape) < 2 or labels.shape[-1] == 1:
        labels = ops.one_hot(ops.cast(ops.reshape(labels, [-1]), "int32"), num_classes)
    return ops.cast(labels, "float32")
