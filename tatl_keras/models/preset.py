"""A trained model as a small directory: head weights, and references to the frozen encoders."""

import json
import os

import keras
import numpy as np

from tatl_keras import __version__, encoders

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "weights.npz"
ASSETS_DIR = "assets"
_ENCODERS = ("image_encoder", "text_encoder")


def save_to_preset(model, preset_dir):
    """Writes a model without the weights that a preset already holds.

        config.json   the model's configuration and, for each frozen encoder that came from a
                      preset, `{"preset": …, "digest": …}`
        weights.npz   the weights of everything else: fusion, head, class prior, trained encoders
        assets/       the tokenizer's vocabulary

    Args:
        model: a `TextAssistedClassifier`.
        preset_dir: directory to write; it must not hold a preset yet.

    Raises:
        FileExistsError: `preset_dir` holds a preset.
        ValueError: the model's vocabulary is not learned yet.

    Example:

    >>> import tempfile
    >>> from tatl_keras import zoo
    >>> model = zoo.build("test_efficientnet_image_only", num_classes=2)
    >>> directory = tempfile.mkdtemp()
    >>> model.save_to_preset(directory)
    >>> zoo.from_preset(directory).num_classes
    2
    """
    preset_dir = os.fspath(preset_dir)
    config_path = os.path.join(preset_dir, CONFIG_FILE)
    if os.path.exists(config_path):
        raise FileExistsError(
            f"`preset_dir` must not hold a preset yet. Received: preset_dir={preset_dir!r}"
        )
    tokenizer = model.preprocessor and model.preprocessor.tokenizer
    if tokenizer is not None and model.preprocessor.needs_vocabulary:
        raise ValueError(
            "`model` must be trained before it is saved as a preset. "
            "Received: a model whose vocabulary is not learned yet. Call `fit` first."
        )
    os.makedirs(os.path.join(preset_dir, ASSETS_DIR), exist_ok=True)
    references = _references(model)
    arrays = {
        f"{part}/{index}": keras.ops.convert_to_numpy(variable)
        for part, layer in _stored_parts(model, references)
        for index, variable in enumerate(layer.variables)
    }
    np.savez(os.path.join(preset_dir, WEIGHTS_FILE), **arrays)
    if tokenizer is not None:
        tokenizer.save_assets(os.path.join(preset_dir, ASSETS_DIR))
    config = {
        "tatl_keras_version": __version__,
        "encoders": references,
        "model": keras.saving.serialize_keras_object(model),
    }
    with open(config_path, "w", encoding="utf-8") as file:
        json.dump(config, file, indent=1)


def from_preset(preset_dir):
    """Reads what `save_to_preset` wrote, loading the frozen encoders from their presets.

    Args:
        preset_dir: the directory.

    Returns:
        The model, compiled with the default settings, its frozen parts frozen.

    Raises:
        FileNotFoundError: there is no preset in `preset_dir`.
        ValueError: an encoder's preset does not have the weights that the model was trained on;
            or it cannot be loaded (see `encoders`).

    Example:

    >>> import tempfile
    >>> from tatl_keras import zoo
    >>> model = zoo.build("test_efficientnet_image_only", 2, class_names=["cat", "dog"])
    >>> directory = tempfile.mkdtemp()
    >>> model.save_to_preset(directory)
    >>> zoo.from_preset(directory).class_names
    ['cat', 'dog']
    """
    config_path = os.path.join(os.fspath(preset_dir), CONFIG_FILE)
    if not os.path.exists(config_path):
        raise FileNotFoundError(
            f"`preset_dir` must hold {CONFIG_FILE}. Received: preset_dir={os.fspath(preset_dir)!r}"
        )
    with open(config_path, encoding="utf-8") as file:
        config = json.load(file)
    model = keras.saving.deserialize_keras_object(config["model"])
    tokenizer = model.preprocessor and model.preprocessor.tokenizer
    if tokenizer is not None:
        tokenizer.load_assets(os.path.join(preset_dir, ASSETS_DIR))
    for part, reference in config["encoders"].items():
        _load_encoder(getattr(model, part), part, reference)
    with np.load(os.path.join(preset_dir, WEIGHTS_FILE), allow_pickle=False) as arrays:
        for part, layer in _stored_parts(model, config["encoders"]):
            for index, variable in enumerate(layer.variables):
                variable.assign(arrays[f"{part}/{index}"])
    return model


def _references(model):
    """Preset and digest of each encoder whose weights need not be stored."""
    present = {part: getattr(model, part) for part in _ENCODERS if getattr(model, part) is not None}
    return {
        part: {"preset": encoder.preset, "digest": encoder.digest()}
        for part, encoder in present.items()
        if encoder.frozen and encoder.preset is not None
    }


def _stored_parts(model, references):
    parts = {part: getattr(model, part) for part in (*_ENCODERS, "fusion", "head", "prior")}
    return [
        (part, layer)
        for part, layer in parts.items()
        if layer is not None and part not in references
    ]


def _load_encoder(encoder, part, reference):
    kind = part.removesuffix("_encoder")
    backbone = encoders.presets.load_backbone(reference["preset"], kind=kind)
    encoder.backbone.set_weights(backbone.get_weights())
    digest = encoder.digest()
    if digest != reference["digest"]:
        raise ValueError(
            f"`{part}` must have the weights the model was trained on: preset "
            f"{reference['preset']!r} with digest {reference['digest'][:12]}. "
            f"Received: digest {digest[:12]}. Use the preset of that time."
        )
