"""How TensorFlow Serving joins requests, as a file beside the SavedModel."""

import os

from tatl_keras._files import write_whole

BATCHING = "batching_params.pbtxt"
LARGEST_BATCH = 32  # rows that are computed together
LARGEST_REQUEST = 256  # rows

_TEXT = """\
# How TensorFlow Serving joins requests that come at the same time: BatchingParameters as text.
#
# The server reads this file from the version's folder when it is started with
#   --enable_batching --enable_per_model_batching_parameters
# Of the file that --batching_parameters_file names, it then takes the number of threads alone,
# since all models share them. This file may itself be given as that one.

# Rows of the largest request; more are refused.
max_batch_size {{ value: {largest_request} }}

# A larger request is cut, and smaller ones are joined, up to so many rows in one computation.
# Warm-up has prepared the server for up to as many.
enable_large_batch_splitting {{ value: true }}
max_execution_batch_size {{ value: {largest_batch} }}

# How long a request waits for others when a thread is free, in microseconds.
batch_timeout_micros {{ value: {batch_timeout_micros} }}

# Batches that wait for a thread; what comes on top is refused with UNAVAILABLE, and a client tries
# again a little later. More of them make the queue longer, not the server faster.
max_enqueued_batches {{ value: {max_enqueued_batches} }}

# Batches that are computed at once. Without GPU: the number of cores that the server may use.
num_batch_threads {{ value: {num_batch_threads} }}

# Nothing is said of allowed_batch_sizes, to which the server would fill up each batch with copies
# of a row: the model takes any number of rows, and decoding copies takes as long as decoding rows.
# pad_variable_length_inputs stays false: the server would pad class_texts with copies of the
# first text. So requests for classify_with_texts must agree in the number of classes and texts.
"""


def write_batching(
    directory, *, batch_timeout_micros=2000, max_enqueued_batches=16, num_batch_threads=4
):
    """Writes `batching_params.pbtxt`, which the server reads as text of `BatchingParameters`.

    Args:
        directory: the folder with `saved_model.pb`.
        batch_timeout_micros: int ≥ 0, microseconds that a request waits for others.
        max_enqueued_batches: int ≥ 8, batches that wait before requests are refused; with fewer,
            the largest requests would never fit.
        num_batch_threads: int ≥ 1, batches computed at once.

    Raises:
        ValueError: a number is out of its bounds.

    Example:

    >>> import tempfile
    >>> directory = tempfile.mkdtemp()
    >>> write_batching(directory, num_batch_threads=8)
    >>> "num_batch_threads { value: 8 }" in open(os.path.join(directory, BATCHING)).read()
    True

    Reference: https://github.com/tensorflow/serving/tree/master/tensorflow_serving/batching
    """
    numbers = {
        "batch_timeout_micros": (batch_timeout_micros, 0),
        "max_enqueued_batches": (max_enqueued_batches, LARGEST_REQUEST // LARGEST_BATCH),
        "num_batch_threads": (num_batch_threads, 1),
    }
    for name, (value, least) in numbers.items():
        if not isinstance(value, int) or value < least:
            raise ValueError(
                f"`{name}` must be an int of at least {least}. Received: {name}={value!r}"
            )
    values = {name: value for name, (value, _) in numbers.items()}
    text = _TEXT.format(largest_request=LARGEST_REQUEST, largest_batch=LARGEST_BATCH, **values)
    write_whole(os.path.join(directory, BATCHING), text.encode())
