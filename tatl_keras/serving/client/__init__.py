"""Asking models on a TensorFlow Serving: predictions, many of them, and comparisons."""

from tatl_keras.serving.client.client import Client
from tatl_keras.serving.client.comparison import compare
from tatl_keras.serving.client.drifting import drift
from tatl_keras.serving.client.errors import ServerError
from tatl_keras.serving.client.streaming import stream

__all__ = ["Client", "ServerError", "compare", "drift", "stream"]
