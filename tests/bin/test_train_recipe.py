"""`tatl-train`: the flags of precision, step size, clipping, averaging and determinism."""

import math
import os

import keras
import numpy as np
import pytest
from tensorflow.python.framework import config as tensorflow_config

from tatl_keras import training
from tests.bin.conftest import read_json, run_program, succeed

MODEL = "--model=test_efficientnet_bert_gated"
SHORT = ("--image_size=24", "--sequence_length=9")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--weight_averaging=greedy_soup"], "--weight_averaging must come with --validation"),
        (["--warmup_epochs=3", "--epochs=3"], "than --epochs=3. Received: --warmup_epochs=3.0"),
        (["--clip_norm=1", "--head_solver=exact"], "Received: --clip_norm with another"),
        (["--learning_rate_schedule=cosine", "--head_solver=auto"],
         "Received: --learning_rate_schedule with another"),
        (["--mixed_precision=float16"], "mixed_float16"),
        (["--clip_norm=-1"], "clip_norm"),
    ],
)  # fmt: skip
def test_flags_are_checked_before_any_data_is_read(words, message):
    outcome = run_program("train", MODEL, "--data=nowhere.csv", "--workdir=run", *words)
    assert outcome.status == 2 and message in outcome.err
    assert not os.path.exists("run")


def recipe_of(workdir):
    recipe = read_json(workdir, "config.json")["recipe"]
    return recipe, recipe["optimizer"]["config"]


def test_a_head_on_frozen_encoders_learns_as_before(smoke_run):
    recipe, optimizer = recipe_of(smoke_run)
    assert recipe["optimizer"]["class_name"] == "SGD"
    assert optimizer["learning_rate"] == pytest.approx(0.002)
    assert (optimizer["momentum"], optimizer["nesterov"]) == (0.9, True)
    assert optimizer["global_clipnorm"] is None and optimizer["clipnorm"] is None
    assert (recipe["dtype_policy"], recipe["deterministic"]) == ("float32", False)


def test_all_flags_together(manifest, tmp_path):
    words = ["--mixed_precision=mixed_bfloat16", "--clip_norm=0.5", "--warmup_epochs=0.5"]
    words += ["--learning_rate_schedule=cosine", "--learning_rate=0.01", "--epochs=4"]
    words += ["--validation_split=validation", "--weight_averaging=greedy_soup"]
    words += ["--early_stopping_patience=3", "--unfreeze=image", "--unfreeze_last_n=1", *SHORT]
    outcome = succeed("train", MODEL, f"--data={manifest}", f"--workdir={tmp_path}/run", *words)
    recipe, optimizer = recipe_of(tmp_path / "run")
    assert recipe["dtype_policy"] == "mixed_bfloat16" and optimizer["global_clipnorm"] == 0.5
    rows = read_json(tmp_path, "run", "config.json")["data"]["train"]["num_examples"]
    batches = math.ceil(rows / 32)
    schedule = optimizer["learning_rate"]["config"]
    warmup = batches // 2
    assert schedule["warmup_steps"] == warmup and schedule["warmup_target"] == 0.01
    assert schedule["decay_steps"] == 4 * batches - warmup
    model = keras.models.load_model(tmp_path / "run" / "model.keras")
    assert model.fusion.compute_dtype == "bfloat16" and model.dtype_policy.name == "mixed_bfloat16"
    history = training.read_history(tmp_path / "run" / "history.csv")
    metrics = read_json(tmp_path, "run", "metrics.json")
    assert int(model.optimizer.iterations) == metrics["epochs"] * batches
    assert metrics["soup"]["accuracy"] >= max(history["val_accuracy"])
    assert f"validation accuracy    {metrics['soup']['accuracy']:.1%}" in outcome.out


def test_class_texts_count_as_rows(tmp_path):
    words = ["--smoke", "--model=test_efficientnet_bert_concat", "--class_texts=names"]
    words += ["--learning_rate_schedule=cosine", f"--workdir={tmp_path}/run", "--warmup_epochs=0"]
    succeed("train", *words)
    schedule = recipe_of(tmp_path / "run")[1]["learning_rate"]["config"]
    assert schedule["decay_steps"] == 2  # 16 examples and 2 class texts, 16 at a time
    model = keras.models.load_model(tmp_path / "run" / "model.keras")
    assert int(model.optimizer.iterations) == 2


@pytest.fixture
def nondeterminism():
    """Leaves other tests as they were."""
    yield
    tensorflow_config.disable_op_determinism()


def test_a_deterministic_run_repeats_itself_to_the_last_bit(manifest, tmp_path, nondeterminism):
    weights = []
    for name in ("one", "other"):
        words = [MODEL, f"--data={manifest}", f"--workdir={tmp_path}/{name}", *SHORT]
        words += ["--deterministic", "--unfreeze=image", "--unfreeze_last_n=1", "--epochs=1"]
        words += ["--model_args=dropout=0.3,modality_dropout=0.2"]
        succeed("train", *words)
        assert tensorflow_config.is_op_determinism_enabled()
        weights.append(keras.models.load_model(tmp_path / name / "model.keras").get_weights())
        assert recipe_of(tmp_path / name)[0]["deterministic"] is True
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_features_encoded_ahead_in_half_precision_are_found(manifest, tmp_path):
    words = ["--model=test_efficientnet_image_only", f"--data={manifest}"]
    words += [f"--feature_cache={tmp_path}/features", "--mixed_precision=mixed_bfloat16"]
    outcome = succeed("encode", *words)
    assert "--mixed_precision=mixed_bfloat16" in outcome.out
    before = sorted((tmp_path / "features").rglob("*.safetensors"))
    succeed("train", *words, f"--workdir={tmp_path}/run", "--epochs=1")
    assert before == sorted((tmp_path / "features").rglob("*.safetensors")) != []
