"""A signature asked about many rows, in requests of some."""

import numpy as np
import tensorflow as tf


def ask(signature, columns, batch_size, **more):
    """All that a signature gives of rows of strings, in their order.

    Args:
        signature: function from string tensors (B,) to a dict of tensors (B, …).
        columns: dict from input to a sequence of str or bytes, equally long and not empty.
        batch_size: int, rows in one request.
        **more: further tensors, the same for all requests.

    Returns:
        Dict from output to array.

    Example:

    >>> import tensorflow as tf
    >>> answer = ask(lambda x: {"n": tf.strings.length(x)}, {"x": ["a", "bb", "ccc"]}, 2)
    >>> answer["n"].tolist()
    [1, 2, 3]
    """
    rows = len(next(iter(columns.values())))
    answers = []
    for start in range(0, rows, batch_size):
        some = slice(start, start + batch_size)
        request = {name: tf.constant(list(x[some]), tf.string) for name, x in columns.items()}
        answer = signature(**request, **more)
        answers.append({name: value.numpy() for name, value in answer.items()})
    return {name: np.concatenate([part[name] for part in answers]) for name in answers[0]}
