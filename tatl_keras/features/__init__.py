"""Features of frozen encoders, computed once: keys that change with everything that matters, files
that are whole or not there, and data sets of what is in them.
"""

from tatl_keras.features.cache import FeatureCache
from tatl_keras.features.encoded import EncodedDataset
from tatl_keras.features.encoding import encode_dataset

__all__ = ["EncodedDataset", "FeatureCache", "encode_dataset"]
