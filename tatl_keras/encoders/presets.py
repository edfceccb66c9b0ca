"""Finding and loading presets, with one helpful error when that fails."""

import contextlib
import difflib
import os
import pathlib

import keras
import keras_hub

from tatl_keras.encoders.backbones import dtype_policy_scope, tower_of
from tatl_keras.encoders.catalog import ARCHITECTURES, names

FOLDER_VARIABLE = "TATL_KERAS_PRESETS"


class PresetError(ValueError):
    """A preset was not found or could not be loaded; the message names the ways out.

    Example:

    >>> from tatl_keras import encoders
    >>> try:
    ...     encoders.build_image("resnet55")
    ... except encoders.PresetError as error:
    ...     print(str(error).splitlines()[0])
    `preset` must be something that can be loaded. Received: preset='resnet55'. Reason: no directory
    and no preset of this name. Did you mean 'resnet50' or 'resnet101' or 'sasa_resnet50'?
    """


def load_backbone(preset, dtype=None, kind=None):
    """Loads a KerasHub backbone with its weights, computing in `dtype` whatever it is stored in.

    Args:
        preset: KerasHub preset name, `kaggle://`, `hf://` or other handle, local directory, or a
            short name of this library that has a preset.
        dtype: dtype or policy of the computation. Defaults to Keras's dtype policy.
        kind: "image" or "text": of a backbone with two towers (CLIP, SigLIP), the one to return.

    Raises:
        PresetError: nothing could be loaded.
    """
    policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
    location = locate(preset)
    with explain_failure(preset), dtype_policy_scope(policy):
        backbone = keras_hub.models.Backbone.from_preset(location, dtype=policy)
        return backbone if kind is None else tower_of(backbone, kind)


def load_image_converter(preset):
    """Loads the preset's image converter: resizing and normalisation.

    Raises:
        PresetError: the preset has none, so that raw pixels would reach the network.
    """
    location = locate(preset)
    with explain_failure(preset):
        converter = keras_hub.layers.ImageConverter.from_preset(location)
        if converter is None:
            raise _error(
                preset,
                "it has no image converter, so the pictures could not be normalised as the "
                "network was trained; convert it once with KerasHub's `save_to_preset`",
            )
        return converter


def load_tokenizer(preset, **overrides):
    """Loads the preset's tokenizer; `overrides` replace entries of its config.

    Raises:
        PresetError: nothing could be loaded.
    """
    location = locate(preset)
    with explain_failure(preset):
        return keras_hub.tokenizers.Tokenizer.from_preset(location, **overrides)


def locate(preset):
    """Returns what KerasHub's `from_preset` understands for `preset`.

    Short names stand for their preset; those with a folder of their own (`efficientnet_lite0`,
    `minilm`) are looked for under $TATL_KERAS_PRESETS, beside the package's checkout and in
    the current directory's saved_models/encoders, in this order.

    Raises:
        PresetError: no such directory, name or handle.
    """
    preset = os.fspath(preset)
    if preset in ARCHITECTURES:
        return _locate_named(preset)
    if "://" in preset or preset in keras_hub.models.Backbone.presets:
        return preset
    directory = os.path.expanduser(preset)
    if os.path.isdir(directory):
        if not os.path.exists(os.path.join(directory, "config.json")):
            raise _error(preset, "the directory holds no config.json")
        return directory
    known = [*names("image"), *names("text"), *keras_hub.models.Backbone.presets]
    raise _error(preset, f"no directory and no preset of this name{did_you_mean(preset, known)}")


def did_you_mean(word, known):
    """A sentence that begins with a full stop, or nothing if no known word is near."""
    near = difflib.get_close_matches(os.path.basename(str(word).rstrip("/")), known, n=3)
    return f". Did you mean {' or '.join(repr(one) for one in near)}?" if near else ""


@contextlib.contextmanager
def explain_failure(preset):
    """Turns whatever a loader raises inside the block into a `PresetError`."""
    try:
        yield
    except PresetError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        if len(reason) > 240:  # what is being loaded stands first, the cause often last
            reason = f"{reason[:100]} ... {reason[-135:]}"
        raise _error(preset, f"{type(error).__name__}: {reason}") from error


def _locate_named(name):
    entry = ARCHITECTURES[name]
    if entry.folder:
        places = _folders()
        for place in places:
            if (place / entry.folder / "config.json").is_file():
                return str(place / entry.folder)
    if entry.preset:
        return entry.preset
    if entry.folder:
        searched = ", ".join(str(place) for place in places)
        raise _error(
            name,
            f"no folder {entry.folder!r} in {searched}; set {FOLDER_VARIABLE} to the place of your "
            "copy (KerasHub's own preset of this network pads differently and is not used)",
        )
    raise _error(name, "this name stands for random weights, it has no preset")


def _folders():
    checkout = pathlib.Path(__file__).resolve().parents[2]
    places = [checkout / "saved_models/encoders", pathlib.Path.cwd() / "saved_models/encoders"]
    variable = os.environ.get(FOLDER_VARIABLE)
    return [pathlib.Path(variable).expanduser(), *places] if variable else places


def _error(preset, reason):
    return PresetError(
        f"`preset` must be something that can be loaded. Received: preset={preset!r}. "
        f"Reason: {reason.rstrip('.')}\n"
        "Three ways out: (1) a local directory made by KerasHub's `save_to_preset`, passed as "
        "`preset=`; (2) a filled cache: load the preset once on a machine with a network and "
        "copy ~/.cache/kagglehub (kaggle and KerasHub names) or ~/.cache/huggingface (hf://); "
        "(3) `preset=None` for random weights."
    )
