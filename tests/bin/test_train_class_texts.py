"""`tatl-train` on encoders that share a space: texts of classes, a cache of pictures, a line."""

from tatl_keras import models
from tatl_keras.bin import trained
from tests.bin.conftest import read_json, succeed


def test_smoke_keeps_encoders_that_share_a_space(tmp_path):
    words = ("--smoke", "--workdir=run", "--head_solver=auto")
    outcome = succeed("train", *words, "--model=siglip_b16_class_texts")
    assert "siglip_vit_b16 by test_siglip, siglip_text_b16 by test_siglip_text" in outcome.out
    assert "zero_shot+cache+linear image_only" in outcome.out
    head = read_json("run", "metrics.json")["head"]
    assert head["fusion"] == "image_only" and head["solver"] in outcome.out
    assert isinstance(trained.load_model("run").head, models.FewShotHead)
