"""What a feature was computed from, as hashes: change one bit of it and the hash changes."""

import hashlib
import importlib.metadata
import json

import keras
import numpy as np

from tatl_keras.data.tokenizers import is_byte_pair, is_sentence_piece, read_vocabulary

# Raise these when the same weights and inputs would give other features than before.
ENCODING_VERSION = 1
PREPROCESSING_VERSION = 1

_PACKAGES = ("keras", "keras-hub", "tensorflow", "tensorflow-text")
_NAMES = ("name", "shared_object_id", "build_config", "trainable")


def describe(modality, encoder, preprocessor=None, **options):
    """Everything that decides the features of one encoder, but the examples themselves.

    Args:
        modality: "image" or "text".
        encoder: the encoder; its weights enter through `encoder.digest()`.
        preprocessor: a `tatl_keras.data.Preprocessor`, or `None` when tensors are encoded as they
            are given.
        **options: of the computation, as JSON values: dtypes, augmentation and view.

    Returns:
        A dict of JSON values.

    Example:

    >>> from tatl_keras import encoders
    >>> encoder, _ = encoders.build_image("test_image")
    >>> description = describe("image", encoder, dtype="float32")
    >>> description["modality"], description["encoder"]["digest"] == encoder.digest()
    ('image', True)
    """
    return {
        "modality": modality,
        "encoder": {
            "class": type(encoder).__name__,
            "preset": encoder.preset,
            "digest": encoder.digest(),
            "dtype_policy": encoder.dtype_policy.name,
            "version": ENCODING_VERSION,
        },
        "preprocessing": describe_preprocessing(modality, preprocessor),
        "versions": {name: importlib.metadata.version(name) for name in _PACKAGES},
        **options,
    }


def describe_preprocessing(modality, preprocessor):
    """How examples become tensors, as JSON values: the constants, and a hash of the vocabulary.

    Args:
        modality: "image" or "text".
        preprocessor: a `tatl_keras.data.Preprocessor`, or `None`.

    Returns:
        A dict, or `None` where there is no preprocessor.
    """
    if preprocessor is None:
        return None
    version = {"version": PREPROCESSING_VERSION}
    if modality == "image":
        return version | {"image_converter": serialized(preprocessor.image_converter)}
    tokenizer = preprocessor.tokenizer
    config = {k: v for k, v in serialized(tokenizer)["config"].items() if k != "vocabulary"}
    if not is_byte_pair(tokenizer) and not is_sentence_piece(tokenizer):
        config["split_on_cjk"] = tokenizer.split_on_cjk  # KerasHub leaves it out
    vocabulary = json.dumps(read_vocabulary(tokenizer)).encode()
    return version | {
        "tokenizer": {"class": type(tokenizer).__name__, "config": config},
        "vocabulary": hashlib.sha256(vocabulary).hexdigest(),
        "sequence_length": preprocessor.sequence_length,
    }


def identify(description):
    """SHA-256 (hex) of a description. The place an encoder was loaded from does not count.

    Example:

    >>> identify({"modality": "text"})[:12]
    'ddf2cc1c80a7'
    """
    counted = json.loads(json.dumps(description))
    if "encoder" in counted:
        counted["encoder"].pop("preset", None)
    return hashlib.sha256(json.dumps(counted, sort_keys=True).encode()).hexdigest()


def row_key(value):
    """SHA-256 of one example's own bytes.

    Args:
        value: encoded bytes, a string, an array, or a dict of arrays.

    Returns:
        32 bytes.

    Example:

    >>> row_key(b"GIF89a") == row_key("GIF89a"), row_key(b"GIF89a") == row_key(b"GIF89b")
    (True, False)
    """
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return hashlib.sha256(b"bytes|" + value).digest()
    if isinstance(value, dict):
        parts = [name.encode() + b"|" + row_key(part) for name, part in sorted(value.items())]
        return hashlib.sha256(b"dict|" + b"|".join(parts)).digest()
    array = np.ascontiguousarray(value)
    digest = hashlib.sha256(f"array|{array.dtype.str}{list(array.shape)}|".encode())
    digest.update(array.tobytes())
    return digest.digest()


def serialized(layer):
    """The configuration of a Keras object as JSON values, without the names of layers."""
    return _nameless(keras.saving.serialize_keras_object(layer))


def _nameless(value):
    if isinstance(value, (list, tuple)):
        return [_nameless(item) for item in value]
    if not isinstance(value, dict):
        return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
    if value.get("class_name", "").endswith("DTypePolicy"):
        return value["config"]["name"]
    return {key: _nameless(item) for key, item in value.items() if key not in _NAMES}
