"""`tatl-pretrain`: what learns, what is written, and that other programs take it."""

import numpy as np
import pytest

from tatl_keras import encoders, zoo
from tatl_keras.bin import trained as trained_runs
from tests.bin.conftest import read_json, run_program, succeed


@pytest.fixture(scope="module")
def encoder(pretrained):
    """The encoder that the smoke run wrote, loaded by its folder."""
    return encoders.build_image(str(pretrained / "encoder"))[0]


def test_the_folder_holds_the_encoder_of_the_trained_model(pretrained, encoder):
    model = trained_runs.load_model(str(pretrained))
    assert model.bidirectional and not model.image_encoder.frozen
    assert model.image_encoder.unfrozen_last_n == 1
    assert encoder.digest() == model.image_encoder.digest() and encoder.frozen
    images = np.random.default_rng(6).uniform(-1, 1, (2, 32, 32, 3)).astype("float32")
    model.image_encoder.freeze()
    for name, value in model.image_encoder(images).items():
        np.testing.assert_array_equal(encoder(images)[name], value)


def test_only_the_last_block_and_what_follows_has_learned(encoder):
    first = zoo.build("test_efficientnet_transformer_caption", seed=0).image_encoder.backbone
    learned = {
        weight.path.split("/")[-2]
        for weight, before in zip(encoder.backbone.weights, first.weights, strict=True)
        if not np.array_equal(weight, before)
    }
    assert learned and all(name.startswith(("block2b_", "top_")) for name in learned), learned


def test_the_run_is_one_of_tatl_train(pretrained):
    config = read_json(pretrained, "config.json")
    assert config["program"] == config["command"][0] == "tatl-train"
    assert config["command"][-1] == "--unfreeze=image" and "--bidirectional" in config["command"]
    assert config["model"]["parts"]["image encoder"]["learned"] > 0
    printed = (pretrained / ".printed").read_text(encoding="utf-8")
    assert "the numbers mean nothing" in printed and "perplexity" in printed
    command = (
        f"tatl-train --model=test_efficientnet_image_only --image_preset={pretrained}/encoder "
        "--data=pets.csv --workdir=runs/pets"
    )
    assert printed.endswith(f"\n  {command}\n")


def test_a_classifier_is_trained_on_it(pretrained, encoder, manifest, tmp_path):
    succeed(
        "train",
        "--model=test_efficientnet_image_only",
        f"--image_preset={pretrained}/encoder",
        f"--data={manifest}",
        f"--workdir={tmp_path / 'run'}",
        "--epochs=1",
    )
    known = read_json(tmp_path / "run", "config.json")["model"]["encoders"]["image"]
    assert known == {"preset": f"{pretrained}/encoder", "frozen": True}
    model = trained_runs.load_model(str(tmp_path / "run"))
    assert model.image_encoder.digest() == encoder.digest()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "--model must be given"),
        (
            ["--model=test_efficientnet_image_only"],
            "Received: --model=test_efficientnet_image_only",
        ),
        (["--model=test_efficientnet_lstm_caption"], "--data and --workdir must be given"),
        (["--unfreeze=image"], "unfreeze"),
        (["pictures"], "'pictures'"),
    ],
)
def test_errors_name_what_was_received(flags, said):
    outcome = run_program("pretrain", *flags)
    assert outcome.status == 2 and said in outcome.err
