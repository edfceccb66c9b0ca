"""What keeps TensorFlow Serving from serving a SavedModel, read off its files."""

from tatl_keras.models.lint.check import Finding, lint

__all__ = ["Finding", "lint"]
