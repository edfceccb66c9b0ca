"""Raw values to features: prepared in parallel with the encoder, which sees batches of one size."""

import weakref

import numpy as np
import tensorflow as tf

from tatl_keras.encoders import inference_function
from tatl_keras.features.views import augment_with

_SHORTEST = 16  # tokens; texts are encoded at the smallest power of two that holds them
_ROWS = 8  # an encoder sees a multiple of so many
_FUNCTIONS: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def default_batch_size():
    """How many examples encoders see at once: 32 on a CPU, whose caches that fits; 256 else."""
    accelerators = [tf.config.list_logical_devices(kind) for kind in ("GPU", "TPU")]
    return 256 if any(accelerators) else 32


def encoded_batches(values, modality, encoder, preprocessor, cache, parts, batch_size, seeds=None):
    """Yields the features of values, a batch at a time.

    Every batch has `batch_size` rows when the encoder sees it, rounded up to a multiple of 8 and
    filled up with zeros. So features do not depend on which examples come together, bit for bit
    where `inference_function` says so and to rounding elsewhere.

    Args:
        values: list of what `rows.value_of` gives.
        modality: "image" or "text".
        encoder: the encoder.
        preprocessor: a `tatl_keras.data.Preprocessor`, or `None` for tensors.
        cache: a `FeatureCache`, for how to compute.
        parts: "pooled", or "pooled" and "tokens".
        batch_size: int.
        seeds: `views.draw_seeds` to apply `cache.augmentation` to the pictures with, or `None`.

    Yields:
        `(places, outputs)`: places (R,) of the rows in `values`, and a dict of arrays "has" (R,)
        and "pooled" (R, D), with tokens also "tokens" (R, T, D) and "mask" (R, T).

    Raises:
        tf.errors.InvalidArgumentError: a picture cannot be decoded.
    """
    encode = compiled(encoder, cache, parts)
    if preprocessor is None:
        batches = _tensor_batches(values, modality, batch_size)
    elif modality == "image":
        batches = _image_batches(values, preprocessor, batch_size, cache.augmentation, seeds)
    else:
        batches = _text_batches(values, preprocessor, batch_size)
    rows = -(-batch_size // _ROWS) * _ROWS
    for places, inputs, has in batches:
        filled = {name: _fill(tensor, rows - len(places)) for name, tensor in inputs.items()}
        outputs = encode(filled["images"] if modality == "image" else filled)
        outputs = {name: value.numpy()[: len(places)] for name, value in outputs.items()}
        yield places, outputs | {"has": np.asarray(has, np.uint8)}


def compiled(encoder, cache, parts):
    """The encoder's `inference_function`, traced once while its weights stay the same."""
    digest = encoder.digest()
    known, functions = _FUNCTIONS.get(encoder, (None, {}))
    if known != digest:
        functions = {}
        _FUNCTIONS[encoder] = digest, functions
    options = {"dtype": cache.compute_dtype, "jit_compile": cache.jit_compile}
    options["outputs"] = ("pooled", "tokens", "mask") if "tokens" in parts else ("pooled",)
    key = tuple(options.values())
    if key not in functions:
        functions[key] = inference_function(encoder, **options)
    return functions[key]


def _image_batches(values, preprocessor, batch_size, augmentation, seeds):
    encoded = isinstance(values[0], bytes)
    spec = tf.TensorSpec((), tf.string) if encoded else tf.TensorSpec([None] * 3, values[0].dtype)
    dataset = tf.data.Dataset.from_generator(lambda: iter(values), output_signature=spec)
    if seeds is None:
        dataset = dataset.map(preprocessor.image_tensors, tf.data.AUTOTUNE)
    else:
        dataset = tf.data.Dataset.zip(dataset, tf.data.Dataset.from_tensor_slices(seeds))
        dataset = dataset.map(
            lambda value, seed: preprocessor.image_tensors(value, augment_with(augmentation, seed)),
            tf.data.AUTOTUNE,
        )
    start = 0
    for batch in dataset.batch(batch_size).prefetch(2):  # tensors: these arrays are large
        has = batch["has_image"].numpy()
        yield np.arange(start, start + len(has)), {"images": batch["images"]}, has
        start += len(has)


def _text_batches(values, preprocessor, batch_size):
    """Texts of about one length together, so that little is computed for padding."""
    tensors = {
        name: value.numpy()
        for name, value in preprocessor.text_tensors(tf.constant(values)).items()
    }
    has, longest = tensors.pop("has_text"), preprocessor.sequence_length
    lengths = _lengths(tensors["padding_mask"])
    bucket = np.maximum(_SHORTEST, 2 ** np.ceil(np.log2(np.maximum(lengths, 1))).astype(int))
    for size in np.unique(bucket):
        places = np.flatnonzero(bucket == size)
        for some in np.split(places, range(batch_size, len(places), batch_size)):
            cut = {name: array[some, : min(size, longest)] for name, array in tensors.items()}
            yield some, cut, has[some]


def _tensor_batches(values, modality, batch_size):
    for start in range(0, len(values), batch_size):
        some = values[start : start + batch_size]
        inputs = {name: np.stack([value[name] for value in some]) for name in some[0]}
        yield np.arange(start, start + len(some)), inputs, np.ones(len(some))


def _fill(tensor, missing):
    """Adds rows of zeros."""
    if not missing:
        return tensor
    return tf.pad(tensor, [(0, missing)] + [(0, 0)] * (len(tensor.shape) - 1))


def _lengths(mask):
    """Number of places up to the last that is masked in."""
    return np.where(mask.any(-1), mask.shape[1] - mask[:, ::-1].astype(bool).argmax(-1), 0)
