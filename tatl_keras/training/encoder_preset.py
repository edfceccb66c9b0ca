"""A trained image encoder as a preset, which other models are built with."""

import json
import os
import shutil
import tempfile

import keras_hub

from tatl_keras._files import UNFINISHED
from tatl_keras.encoders.backbones import serialize_backbone

CONFIG = "config.json"


def save_encoder(model, directory, *, overwrite=False):
    """Writes a model's image encoder as a preset of KerasHub.

        config.json, model.weights.h5, metadata.json   the network with its weights
        image_converter.json                           what prepares pictures for it

    The folder is a preset like any other: `zoo.build(name, image_preset=directory)`,
    `encoders.build_image(directory)` and `tatl-train --image_preset` load it, frozen unless they
    are told otherwise, and `keras_hub.models.Backbone.from_preset` does. What of it may learn in
    `model` is not written.

    Args:
        model: a model with an image encoder: `TextAssistedClassifier` or `Captioner`.
        directory: folder to write; it appears whole or not at all.
        overwrite: bool, replace a preset that is there.

    Raises:
        FileExistsError: `directory` is there and holds no preset, or one that may not be replaced.
        ValueError: the model has no image encoder, or one that KerasHub does not know.

    Example:

    >>> import os, tempfile
    >>> from tatl_keras import training, zoo
    >>> model = zoo.build("test_efficientnet_transformer_caption", seed=1)
    >>> directory = os.path.join(tempfile.mkdtemp(), "encoder")
    >>> training.save_encoder(model, directory)
    >>> other = zoo.build("test_efficientnet_image_only", 2, image_preset=directory)
    >>> other.image_encoder.digest() == model.image_encoder.digest(), other.image_encoder.frozen
    (True, True)
    """
    backbone, converter = _parts(model)
    directory = os.path.abspath(os.fspath(directory))
    _check_free(directory, overwrite)
    os.makedirs(os.path.dirname(directory), exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=os.path.dirname(directory)) as beside:
        written, old = os.path.join(beside, "new"), os.path.join(beside, "old")
        backbone.save_to_preset(written)
        with open(os.path.join(written, CONFIG), "w", encoding="utf-8") as file:
            json.dump(serialize_backbone(backbone), file, indent=4)  # KerasHub's may lack arguments
        converter.save_to_preset(written)
        if os.path.isdir(directory):
            os.rename(directory, old)
        os.rename(written, directory)
        shutil.rmtree(old, ignore_errors=True)


def _parts(model):
    """(backbone, image converter) of a model, or a ValueError."""
    encoder = model.encoders.get("image")
    converter = getattr(model.preprocessor, "image_converter", None)
    if encoder is None or converter is None:
        raise ValueError(
            "`model` must have an image encoder and a preprocessor with its image converter. "
            f"Received: model={model.name!r} with encoders {sorted(model.encoders)}"
        )
    if not isinstance(encoder.backbone, keras_hub.models.Backbone):
        raise ValueError(
            "`model` must have an image encoder that is a backbone of KerasHub. "
            f"Received: model={model.name!r} with a {type(encoder.backbone).__name__}. "
            "`model.save` keeps any model whole."
        )
    return encoder.backbone, converter


def _check_free(directory, overwrite):
    if not os.path.lexists(directory) or (os.path.isdir(directory) and not os.listdir(directory)):
        return
    if not os.path.isfile(os.path.join(directory, CONFIG)):
        raise FileExistsError(
            "`directory` must be new, or hold a preset. "
            f"Received: directory={directory!r}, which is something else and is never replaced."
        )
    if not overwrite:
        raise FileExistsError(
            f"`directory` must not hold a preset yet. Received: directory={directory!r}. "
            "`overwrite=True` replaces it."
        )
