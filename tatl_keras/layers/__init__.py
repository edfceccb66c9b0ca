"""Attention and pooling layers: tensors and masks, nothing of images or words."""

from tatl_keras.layers.attention import Attention
from tatl_keras.layers.attention_pooling import AttentionPooling
from tatl_keras.layers.attention_stem import AttentionStem
from tatl_keras.layers.local_attention import LocalSelfAttention2D
from tatl_keras.layers.multi_head import MultiHeadAttention
from tatl_keras.layers.pooling import MaskedAveragePooling
from tatl_keras.layers.position_embedding import PositionEmbedding, PositionEmbedding2D
from tatl_keras.layers.position_rotary import RotaryPositions
from tatl_keras.layers.position_sine import SinePositionEncoding, SinePositionEncoding2D
from tatl_keras.layers.self_attention import SelfAttention
from tatl_keras.layers.sparse_attention import SparseSelfAttention
from tatl_keras.layers.sparse_pattern import sparse_attention_mask
from tatl_keras.layers.transformer_decoder import TransformerDecoderBlock
from tatl_keras.layers.transformer_encoder import TransformerEncoderBlock

__all__ = [
    "Attention",
    "AttentionPooling",
    "AttentionStem",
    "LocalSelfAttention2D",
    "MaskedAveragePooling",
    "MultiHeadAttention",
    "PositionEmbedding",
    "PositionEmbedding2D",
    "RotaryPositions",
    "SelfAttention",
    "SinePositionEncoding",
    "SinePositionEncoding2D",
    "SparseSelfAttention",
    "TransformerDecoderBlock",
    "TransformerEncoderBlock",
    "sparse_attention_mask",
]
