"""Exported models: loading them without Keras, and checking that a server can serve them."""

from tatl_keras.models.lint import Finding, lint
from tatl_keras.serving.loaded import LoadedModel, load
from tatl_keras.serving.verification import verify

__all__ = ["Finding", "LoadedModel", "lint", "load", "verify"]
