"""Models composed of encoders, a fusion and a head."""

from tatl_keras.models.class_text_head import ClassTextHead
from tatl_keras.models.classifier import TextAssistedClassifier
from tatl_keras.models.few_shot_head import FewShotHead
from tatl_keras.models.text_supervised import TextSupervisedClassifier

__all__ = ["ClassTextHead", "FewShotHead", "TextAssistedClassifier", "TextSupervisedClassifier"]
