"""`tatl-train --model_args=text_at_inference=false`: texts in training, none afterwards."""

from tatl_keras import models
from tatl_keras.bin import trained
from tests.bin.conftest import read_json, succeed


def test_a_run_learns_from_texts(tmp_path):
    arguments = "text_at_inference=false,distillation_weight=0.5"
    words = ("--smoke", "--workdir=run", f"--model_args={arguments}", "--head_solver=auto")
    outcome = succeed("train", *words, "--class_texts=names")
    assert "ridge taught by text, class texts × 4" in outcome.out
    head = read_json("run", "metrics.json")["head"]
    assert head["text_supervision"] in (0.0, 0.3) and head["fusion"] == "image_only"
    model = trained.load_model("run")
    assert type(model) is models.TextSupervisedClassifier and model.distillation_weight == 0.5
