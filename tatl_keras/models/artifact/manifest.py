"""What an exported model is and what it was made with, beside the SavedModel."""

import importlib.metadata
import json
import os
import platform
import re

import tensorflow as tf

from tatl_keras import __version__
from tatl_keras._files import sha256_of, write_whole
from tatl_keras.data.preprocessing import CHARACTERS_PER_TOKEN
from tatl_keras.features import keys
from tatl_keras.models.artifact.class_names import CLASS_NAMES
from tatl_keras.models.lint.file_rules import MANIFEST
from tatl_keras.models.lint.saved_model import read

FORMAT_VERSION = 1
_PACKAGES = ("keras", "keras-hub", "tensorflow", "tensorflow-text")

_NUMBERS = re.compile(r"\[\n(?:[-\s\d.e]|null|,)*\]")  # no JSON string has a line break in it


def write_manifest(
    directory, model, *, max_pixels, top_k=5, temperature=1.0, options=None, training_config=None,
    metrics=None,
):  # fmt: skip
    """Writes `MANIFEST.json`; the same files of the same model give the same bytes.

        format_version, versions       of this file, of Python and the packages
        model                          class, encoders (class, preset, SHA-256 of the weights),
                                       fusion, head, number of classes, file of their names
        preprocessing                  how pictures are resized and scaled, and texts cut into
                                       pieces: the constants, and the SHA-256 of the vocabulary
        limits                         max_pixels, max_characters, sequence_length, top_k
        temperature, options           of the probabilities; of the export, as given
        signatures                     dtype and shape of all inputs and outputs, null for any size
        training, metrics              as given, or null
        sha256, total_bytes            of all other files in the folder, by relative path

    The lint rule `checksum` compares `sha256` with the files. So this file is written last.

    Args:
        directory: the folder with `saved_model.pb`.
        model: the `TextAssistedClassifier` that was exported.
        max_pixels: int, pixels of the largest picture that is decoded.
        top_k: int, how many classes the signature `classify` tells.
        temperature: float > 0, of the probabilities.
        options: dict of what else the export was told, or `None`.
        training_config: dict of JSON values, or `None`: how the model was trained.
        metrics: dict of JSON values, or `None`: how well it does.

    Raises:
        ValueError: `options`, `training_config` or `metrics` holds what JSON cannot, as NaN.

    Example: see `TextAssistedClassifier.export`, which calls this.
    """
    described = described_encoders(model)
    limits = {"top_k": min(top_k, model.num_classes)} | reading_limits(model, max_pixels)
    facts = {"model": _model(model, described), "limits": limits, "temperature": float(temperature)}
    given = {"options": options, "training_config": training_config, "metrics": metrics}
    write_facts(directory, facts | {"preprocessing": preprocessing(described)}, **given)


def write_facts(directory, facts, *, options=None, training_config=None, metrics=None):
    """Writes a `MANIFEST.json` of facts about a model, and of what can be seen in its folder.

    Args:
        directory: the folder with `saved_model.pb`.
        facts: dict of JSON values, what this kind of model has to say.
        options, training_config, metrics: see `write_manifest`.

    Raises:
        ValueError: see `write_manifest`.
    """
    given = {"options": options or {}, "training_config": training_config, "metrics": metrics}
    for name, value in given.items():
        _check_json(name, value)
    sums, total = _sums(directory)
    manifest = {
        "format_version": FORMAT_VERSION,
        "versions": {"python": platform.python_version(), "tatl_keras": __version__}
        | {name: importlib.metadata.version(name) for name in _PACKAGES},
        "options": given["options"],
        "signatures": _signatures(directory),
        "training": training_config,
        "metrics": metrics,
        "sha256": sums,
        "total_bytes": total,
    }
    _write(directory, manifest | facts)


def add_metrics(directory, metrics):
    """Adds to the metrics in a `MANIFEST.json` what is only known once the export can be asked.

    Args:
        directory: the folder with `MANIFEST.json`.
        metrics: dict of JSON values.

    Raises:
        ValueError: `metrics` holds what JSON cannot, as NaN.
    """
    _check_json("metrics", metrics)
    with open(os.path.join(directory, MANIFEST), encoding="utf-8") as file:
        manifest = json.load(file)
    _write(directory, manifest | {"metrics": (manifest["metrics"] or {}) | metrics})


def _write(directory, manifest):
    text = json.dumps(manifest, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    text = _NUMBERS.sub(lambda found: " ".join(found[0].split()), text)  # in one line
    write_whole(os.path.join(directory, MANIFEST), text.encode())


def _check_json(name, value):
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`{name}` must be a dict of JSON values. Received: {name}={value!r} ({error})"
        ) from None


def described_encoders(model):
    """Dict from each modality that a model reads to what `keys.describe` says of its encoder."""
    return {
        modality: keys.describe(modality, encoder, model.preprocessor)
        for modality, encoder in model.encoders.items()
    }


def preprocessing(described):
    """Dict from modality to how examples become tensors, of `described_encoders`."""
    return {modality: part["preprocessing"] for modality, part in described.items()}


def encoders(described):
    """Dict from modality to class, preset and SHA-256 of the weights, of `described_encoders`."""
    return {modality: _encoder(**part["encoder"]) for modality, part in described.items()}


def _model(model, described):
    return {
        "class": type(model).__name__,
        "encoders": encoders(described),
        "fusion": layer(model.fusion),
        "head": layer(model.head),
        "num_classes": model.num_classes,
        "class_names": CLASS_NAMES,
    }


def _encoder(preset, version, **rest):
    is_path = preset is not None and os.path.isabs(preset)  # which says nothing elsewhere
    return rest | {"preset": os.path.basename(os.path.normpath(preset)) if is_path else preset}


def layer(one):
    """Class and configuration of a Keras object."""
    serialized = keys.serialized(one)
    return {"class": serialized["class_name"], "config": serialized["config"]}


def reading_limits(model, max_pixels):
    """How large what a model reads may be."""
    limits = {}
    if "image" in model.encoders:
        limits["max_pixels"] = max_pixels
    if "text" in model.encoders:
        length = model.preprocessor.sequence_length
        limits |= {"sequence_length": length, "max_characters": length * CHARACTERS_PER_TOKEN}
    return limits


def _signatures(directory):
    """Read off the file, so that it is what a server sees."""
    return {
        name: {
            "inputs": _tensors(signature.inputs),
            "outputs": _tensors(signature.outputs),
            "method": signature.method_name,
        }
        for name, signature in read(directory).signatures()
    }


def _tensors(infos):
    return {
        name: {"dtype": tf.dtypes.as_dtype(info.dtype).name, "shape": _shape(info.tensor_shape)}
        for name, info in infos.items()
    }


def _shape(shape):
    return None if shape.unknown_rank else [None if d.size < 0 else d.size for d in shape.dim]


def _sums(directory):
    """Dict from relative path to SHA-256 of all files but the manifest, and their bytes."""
    sums, total = {}, 0
    for folder, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(folder, name)
            relative = os.path.relpath(path, directory).replace(os.sep, "/")
            if relative != MANIFEST:
                sums[relative] = sha256_of(path)
                total += os.path.getsize(path)
    return sums, total
