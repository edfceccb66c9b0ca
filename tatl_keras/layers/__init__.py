"""Attention and pooling layers: tensors and masks, nothing of images or words."""

from tatl_keras.layers.attention import Attention, SelfAttention
from tatl_keras.layers.pooling import MaskedAveragePooling

__all__ = ["Attention", "MaskedAveragePooling", "SelfAttention"]
