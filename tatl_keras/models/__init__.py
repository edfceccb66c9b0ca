"""Models composed of encoders, a fusion and a head."""

from tatl_keras.models.classifier import TextAssistedClassifier

__all__ = ["TextAssistedClassifier"]
