"""Models composed of encoders, a fusion and a head."""

from tatl_keras.models.captioner import Captioner
from tatl_keras.models.class_text_head import ClassTextHead
from tatl_keras.models.classifier import TextAssistedClassifier
from tatl_keras.models.decoders.base import Decoder
from tatl_keras.models.decoders.lstm import LSTMDecoder
from tatl_keras.models.decoders.transformer import TransformerDecoder
from tatl_keras.models.explanation.attribution_map import AttributionMap
from tatl_keras.models.explanation.explanation import Explanation
from tatl_keras.models.few_shot_head import FewShotHead
from tatl_keras.models.generation import Generation
from tatl_keras.models.samplers import BeamSampler, GreedySampler, RandomSampler
from tatl_keras.models.text_supervised import TextSupervisedClassifier
from tatl_keras.models.token_crossentropy import TokenCrossentropy
from tatl_keras.models.translator import Translator
from tatl_keras.models.warmup import InverseSquareRoot

__all__ = [
    "AttributionMap",
    "BeamSampler",
    "Captioner",
    "ClassTextHead",
    "Decoder",
    "Explanation",
    "FewShotHead",
    "Generation",
    "GreedySampler",
    "InverseSquareRoot",
    "LSTMDecoder",
    "RandomSampler",
    "TextAssistedClassifier",
    "TextSupervisedClassifier",
    "TokenCrossentropy",
    "TransformerDecoder",
    "Translator",
]
