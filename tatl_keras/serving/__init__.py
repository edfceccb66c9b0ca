"""Exported models: loading them without Keras, and checking that they give the model's numbers."""

from tatl_keras.serving.loaded import LoadedModel, load
from tatl_keras.serving.verification import verify

__all__ = ["LoadedModel", "load", "verify"]
