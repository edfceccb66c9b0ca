"""Fusions: layers that join image features and text features to one vector."""

from tatl_keras.fusion.base import Fusion, linear_head
from tatl_keras.fusion.bilinear import BilinearFusion
from tatl_keras.fusion.concat import ConcatFusion
from tatl_keras.fusion.cross_attention import CrossAttentionFusion
from tatl_keras.fusion.film import FiLMFusion
from tatl_keras.fusion.gated import GatedFusion
from tatl_keras.fusion.joint_attention import JointAttentionFusion
from tatl_keras.fusion.modality_dropout import ModalityDropout
from tatl_keras.fusion.no_harm import NoHarmFusion
from tatl_keras.fusion.no_harm_head import NoHarmHead
from tatl_keras.fusion.normalization import PooledNormalization
from tatl_keras.fusion.registry import get
from tatl_keras.fusion.single import SingleModality

__all__ = [
    "BilinearFusion",
    "ConcatFusion",
    "CrossAttentionFusion",
    "FiLMFusion",
    "Fusion",
    "GatedFusion",
    "JointAttentionFusion",
    "ModalityDropout",
    "NoHarmFusion",
    "NoHarmHead",
    "PooledNormalization",
    "SingleModality",
    "get",
    "linear_head",
]
