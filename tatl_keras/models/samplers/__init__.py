"""Which token comes next: the likeliest, the likeliest whole sequences, or one that is drawn."""

from tatl_keras.models.samplers.base import Sampler
from tatl_keras.models.samplers.beam import BeamSampler
from tatl_keras.models.samplers.generated import Generated
from tatl_keras.models.samplers.greedy import GreedySampler
from tatl_keras.models.samplers.random import RandomSampler
from tatl_keras.models.samplers.registry import get

__all__ = ["BeamSampler", "Generated", "GreedySampler", "RandomSampler", "Sampler", "get"]
