"""Exported models: loading them without Keras, and checking that a server can serve them."""

from tatl_keras.models.artifact.temperature import fit_temperature
from tatl_keras.models.lint import Finding, lint
from tatl_keras.serving import client
from tatl_keras.serving.effect import Effect, measure_effect
from tatl_keras.serving.loaded import LoadedModel, load
from tatl_keras.serving.loaded_writer import LoadedWriter
from tatl_keras.serving.models_config import ModelsConfig
from tatl_keras.serving.onnx_file import to_onnx
from tatl_keras.serving.predict_with_beam import predict_with_beam
from tatl_keras.serving.tflite_file import to_tflite
from tatl_keras.serving.verification import verify, verify_texts
from tatl_keras.serving.versions import (
    list_versions,
    next_version,
    prune,
    publish,
    version_folder,
)

__all__ = [
    "Effect",
    "Finding",
    "LoadedModel",
    "LoadedWriter",
    "ModelsConfig",
    "client",
    "fit_temperature",
    "lint",
    "list_versions",
    "load",
    "measure_effect",
    "next_version",
    "predict_with_beam",
    "prune",
    "publish",
    "to_onnx",
    "to_tflite",
    "verify",
    "verify_texts",
    "version_folder",
]
