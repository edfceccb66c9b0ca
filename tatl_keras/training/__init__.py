"""What goes on round `model.fit`: a run's folder, its records, figures and metrics."""

from tatl_keras.features import EncodedDataset, FeatureCache
from tatl_keras.training.encode_with_beam import encode_with_beam
from tatl_keras.training.feature_cache import encode
from tatl_keras.training.figures import draw_curves, draw_predictions
from tatl_keras.training.history import HistoryLog, read_history
from tatl_keras.training.metrics import classification_metrics
from tatl_keras.training.workdir import create_workdir, read_json, write_json

__all__ = [
    "EncodedDataset",
    "FeatureCache",
    "HistoryLog",
    "classification_metrics",
    "create_workdir",
    "draw_curves",
    "draw_predictions",
    "encode",
    "encode_with_beam",
    "read_history",
    "read_json",
    "write_json",
]
