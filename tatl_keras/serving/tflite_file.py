"""An exported model as a TFLite file."""

import numbers
import re
import tempfile

import tensorflow as tf

from tatl_keras._files import write_whole
from tatl_keras.serving.tensor_function import check_new_file, tensor_function

SIGNATURE = "serving_default"
_OPERATION = re.compile(r"\btfl?\.([A-Z]\w+)")


def to_tflite(directory, filepath, *, batch_size=1, overwrite=False):
    """Writes the signature `tensors` of an exported model as a TFLite (LiteRT) file.

        images         (batch_size, H, W, 3) float32   resized and normalised
        has_image      (batch_size,) int32             0 where there is no picture
        token_ids      (batch_size, L) int32
        padding_mask   (batch_size, L) int32           0 behind the text; all 0 where there is none
                   ↓
        probabilities  (batch_size, num_classes) float32
        logits         (batch_size, num_classes) float32
        valid          (batch_size,) bool

    The file holds what lies behind decoding and tokenising, of the inputs above those that the
    model reads, under the signature "serving_default". It needs the runtime's own operations only.
    It appears whole or not at all.

    Args:
        directory: a SavedModel that `model.export` wrote.
        filepath: file to write, for instance "pets.tflite"; its folder must exist.
        batch_size: int ≥ 1, rows in each call, or `None` for any number, which a model that
            attends with a learned query does not allow. Defaults to 1.
        overwrite: bool, replace what is there.

    Raises:
        ValueError: `batch_size` is neither; the model has no signature `tensors`, or computes in
            bfloat16; or it holds an operation that TFLite does not have, which the
            message names: the LSTM text encoder.
        FileNotFoundError: there is no SavedModel in `directory`.
        FileExistsError: `filepath` exists and `overwrite` is false.

    Example:

    >>> import tempfile, tensorflow as tf
    >>> from tatl_keras import serving, zoo
    >>> model = zoo.build("test_efficientnet_image_only", num_classes=2)
    >>> folder = tempfile.mkdtemp()
    >>> model.export(folder + "/1")
    >>> serving.to_tflite(folder + "/1", folder + "/pets.tflite")
    >>> open(folder + "/pets.tflite", "rb").read()[4:8]
    b'TFL3'
    """
    if batch_size is not None and not (isinstance(batch_size, numbers.Integral) and batch_size > 0):
        raise ValueError(
            "`batch_size` must be a positive integer or None. Received: "
            f"batch_size={batch_size!r}. It is how many rows each call has."
        )
    filepath = check_new_file(filepath, overwrite)
    function, specs = tensor_function(directory, batch_size)
    try:
        contents = _converted(function, specs)
    except Exception as error:
        found = sorted(set(_OPERATION.findall(str(error))))
        if not found:
            raise
        another = "a" if batch_size is None else "another"
        raise ValueError(
            "`directory` must hold a model of operations that TFLite has. Received: "
            f"batch_size={batch_size} and a model with {', '.join(found)}. "
            f"Give {another} `batch_size`, or write it with `to_onnx`."
        ) from error
    write_whole(filepath, contents)


def _converted(function, specs):
    """The file's bytes, by way of a SavedModel with one signature and no gradients."""
    module = tf.Module()
    # By name: positional arguments would have none in the file.
    module.call = tf.function(lambda **tensors: function(*[tensors[s.name] for s in specs]))
    signature = module.call.get_concrete_function(**{spec.name: spec for spec in specs})
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, {SIGNATURE: signature}, options)
        return tf.lite.TFLiteConverter.from_saved_model(folder).convert()
