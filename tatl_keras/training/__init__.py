"""What goes on round `model.fit`: a run's folder, its records, figures and metrics."""

from tatl_keras.features import EncodedDataset, FeatureCache
from tatl_keras.models.class_embeddings import class_embeddings
from tatl_keras.models.recipe import make_optimizer
from tatl_keras.training.augmentation import default_augmentation
from tatl_keras.training.backup import BackupAndRestore
from tatl_keras.training.catch_up import CatchUp, catch_up
from tatl_keras.training.certificate import Certificate
from tatl_keras.training.certify import certify
from tatl_keras.training.corruption_estimate import CorruptionEstimate
from tatl_keras.training.encode_with_beam import encode_with_beam
from tatl_keras.training.epoch_soup import EpochSoup
from tatl_keras.training.estimate_corruption import estimate_corruption
from tatl_keras.training.feature_cache import encode
from tatl_keras.training.few_shot import solve_few_shot
from tatl_keras.training.few_shot_solution import FewShotSolution
from tatl_keras.training.figures import draw_choices, draw_curves, draw_predictions
from tatl_keras.training.finite_loss import FiniteLoss
from tatl_keras.training.greedy_soup import greedy_soup
from tatl_keras.training.head_solution import HeadSolution
from tatl_keras.training.history import HistoryLog, read_history
from tatl_keras.training.leaks import find_leaks
from tatl_keras.training.metrics import classification_metrics
from tatl_keras.training.preemption import Preempted
from tatl_keras.training.rethink import rethink
from tatl_keras.training.rethink_figure import draw_rethinking
from tatl_keras.training.solve_head import solve_head
from tatl_keras.training.strategy import strategy
from tatl_keras.training.tip_adapter import tip_adapter_logits
from tatl_keras.training.trained_weights import trained_weights
from tatl_keras.training.workdir import create_workdir, read_json, write_json
from tatl_keras.training.zero_shot import zero_shot_logits

__all__ = [
    "BackupAndRestore",
    "CatchUp",
    "Certificate",
    "CorruptionEstimate",
    "EncodedDataset",
    "EpochSoup",
    "FeatureCache",
    "FewShotSolution",
    "FiniteLoss",
    "HeadSolution",
    "HistoryLog",
    "Preempted",
    "catch_up",
    "certify",
    "class_embeddings",
    "classification_metrics",
    "create_workdir",
    "default_augmentation",
    "draw_choices",
    "draw_curves",
    "draw_predictions",
    "draw_rethinking",
    "encode",
    "encode_with_beam",
    "estimate_corruption",
    "find_leaks",
    "greedy_soup",
    "make_optimizer",
    "read_history",
    "read_json",
    "rethink",
    "solve_few_shot",
    "solve_head",
    "strategy",
    "tip_adapter_logits",
    "trained_weights",
    "write_json",
    "zero_shot_logits",
]
