"""A frozen encoder with its preprocessing as bytes, for a process on another machine."""

import io
import json

import keras
import numpy as np

from tatl_keras.data.tokenizers import read_vocabulary, write_vocabulary


def pack(encoder, preprocessor, augmentation=None):
    """Configurations and weights as one `.npz`; nothing in it is executed when it is read.

    Args:
        encoder: an `Encoder` that Keras can save.
        preprocessor: a `tatl_keras.data.Preprocessor`.
        augmentation: a Keras layer, or `None`.

    Returns:
        Bytes for `unpack`.

    Example:

    >>> from tatl_keras import zoo
    >>> model = zoo.build("test_efficientnet_image_only", num_classes=2)
    >>> encoder, _, _ = unpack(pack(model.image_encoder, model.preprocessor))
    >>> encoder.digest() == model.image_encoder.digest()
    True
    """
    tokenizer = None if preprocessor.needs_vocabulary else preprocessor.tokenizer
    config = {
        "encoder": keras.saving.serialize_keras_object(encoder),
        "preprocessor": keras.saving.serialize_keras_object(preprocessor),
        "augmentation": keras.saving.serialize_keras_object(augmentation),
        "vocabulary": None if tokenizer is None else read_vocabulary(tokenizer),
    }
    file = io.BytesIO()
    arrays = {str(i): keras.ops.convert_to_numpy(w) for i, w in enumerate(encoder.weights)}
    np.savez(file, config=np.frombuffer(json.dumps(config).encode(), np.uint8), **arrays)
    return file.getvalue()


def unpack(contents):
    """`(encoder, preprocessor, augmentation)` as they were packed.

    Args:
        contents: bytes that `pack` returned.
    """
    with np.load(io.BytesIO(contents), allow_pickle=False) as arrays:
        config = json.loads(arrays["config"].tobytes())
        vocabulary = config.pop("vocabulary")
        parts = {
            name: keras.saving.deserialize_keras_object(value) for name, value in config.items()
        }
        encoder, preprocessor = parts["encoder"], parts["preprocessor"]
        encoder.set_weights([arrays[str(i)] for i in range(len(encoder.weights))])
    if vocabulary is not None:
        write_vocabulary(preprocessor.tokenizer, vocabulary)
    return encoder, preprocessor, parts["augmentation"]
