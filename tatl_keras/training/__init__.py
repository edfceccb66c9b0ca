"""What goes on round `model.fit`: a run's folder, its records, figures and metrics."""

from tatl_keras.features import EncodedDataset, FeatureCache
from tatl_keras.models.class_embeddings import class_embeddings
from tatl_keras.models.recipe import make_optimizer
from tatl_keras.training.alignment_figure import draw_alignment, source_tokens
from tatl_keras.training.augmentation import default_augmentation
from tatl_keras.training.backup import BackupAndRestore
from tatl_keras.training.boards import write_boards
from tatl_keras.training.caption_figure import draw_caption
from tatl_keras.training.caption_words import attended_words
from tatl_keras.training.catch_up import CatchUp, catch_up
from tatl_keras.training.certificate import Certificate
from tatl_keras.training.certify import certify
from tatl_keras.training.confusion_figure import draw_confusion
from tatl_keras.training.corruption_estimate import CorruptionEstimate
from tatl_keras.training.encode_with_beam import encode_with_beam
from tatl_keras.training.encoder_preset import save_encoder
from tatl_keras.training.epoch_soup import EpochSoup
from tatl_keras.training.estimate_corruption import estimate_corruption
from tatl_keras.training.explanation_figure import draw_explanation
from tatl_keras.training.feature_cache import encode
from tatl_keras.training.few_shot import solve_few_shot
from tatl_keras.training.few_shot_solution import FewShotSolution
from tatl_keras.training.figures import draw_choices, draw_curves, draw_predictions
from tatl_keras.training.finite_loss import FiniteLoss
from tatl_keras.training.gallery import explanation_gallery
from tatl_keras.training.generation_baselines import generation_baselines, unigram_perplexity
from tatl_keras.training.generation_metrics import generation_metrics
from tatl_keras.training.greedy_soup import greedy_soup
from tatl_keras.training.head_solution import HeadSolution
from tatl_keras.training.history import HistoryLog, read_history
from tatl_keras.training.leaks import find_leaks
from tatl_keras.training.metrics import classification_metrics
from tatl_keras.training.picture_view import picture_view
from tatl_keras.training.predictions import read_predictions, write_predictions
from tatl_keras.training.preemption import Preempted
from tatl_keras.training.proofs.verification import Verification
from tatl_keras.training.proofs.verify import verify
from tatl_keras.training.report import write_report
from tatl_keras.training.report_examples import pick_examples
from tatl_keras.training.rethink import rethink
from tatl_keras.training.rethink_figure import draw_rethinking
from tatl_keras.training.run_comparison import RunComparison, compare_runs
from tatl_keras.training.solve_head import solve_head
from tatl_keras.training.strategy import strategy
from tatl_keras.training.text_measurement import measure_texts
from tatl_keras.training.text_report import write_text_report
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
    "RunComparison",
    "Verification",
    "attended_words",
    "catch_up",
    "certify",
    "class_embeddings",
    "classification_metrics",
    "compare_runs",
    "create_workdir",
    "default_augmentation",
    "draw_alignment",
    "draw_caption",
    "draw_choices",
    "draw_confusion",
    "draw_curves",
    "draw_explanation",
    "draw_predictions",
    "draw_rethinking",
    "encode",
    "encode_with_beam",
    "estimate_corruption",
    "explanation_gallery",
    "find_leaks",
    "generation_baselines",
    "generation_metrics",
    "greedy_soup",
    "make_optimizer",
    "measure_texts",
    "pick_examples",
    "picture_view",
    "read_history",
    "read_json",
    "read_predictions",
    "rethink",
    "save_encoder",
    "solve_few_shot",
    "solve_head",
    "source_tokens",
    "strategy",
    "tip_adapter_logits",
    "trained_weights",
    "unigram_perplexity",
    "verify",
    "write_boards",
    "write_json",
    "write_predictions",
    "write_report",
    "write_text_report",
    "zero_shot_logits",
]
