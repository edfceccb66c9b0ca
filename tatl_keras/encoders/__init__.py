"""Encoders: raw model inputs to tokens, a pooled vector and a mask; freezing lives here."""

from tatl_keras.encoders.base import Encoder
from tatl_keras.encoders.build import build_image, build_text
from tatl_keras.encoders.catalog import names
from tatl_keras.encoders.embed import BagOfEmbeddings
from tatl_keras.encoders.flops import count_flops
from tatl_keras.encoders.folding import fold_batch_norm
from tatl_keras.encoders.image import ImageEncoder
from tatl_keras.encoders.inference import inference_function
from tatl_keras.encoders.lstm import LSTMTextEncoder
from tatl_keras.encoders.presets import PresetError
from tatl_keras.encoders.sasa import SASAResNet
from tatl_keras.encoders.shared_space import share_space
from tatl_keras.encoders.text import TransformerTextEncoder
from tatl_keras.encoders.transformer import TextTransformer

__all__ = [
    "BagOfEmbeddings",
    "Encoder",
    "ImageEncoder",
    "LSTMTextEncoder",
    "PresetError",
    "SASAResNet",
    "TextTransformer",
    "TransformerTextEncoder",
    "build_image",
    "build_text",
    "count_flops",
    "fold_batch_norm",
    "inference_function",
    "names",
    "share_space",
]
