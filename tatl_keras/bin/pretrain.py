"""tatl-pretrain: teaches an image encoder to see, by captions, for classifiers to stand on.

    tatl-pretrain --model=efficientnet_lite0_transformer_caption --data=captions.csv \\
        --workdir=runs/captions
    tatl-pretrain --flagfile=docs/recipes/pretrain/openmoji.flags --workdir=runs/pretrained
    tatl-pretrain --smoke

A captioner is trained with its image encoder: all of that, or its last blocks with
--unfreeze_last_n; from pretrained weights, which are adapted, or with --image_preset=none from
random ones; with --bidirectional by captions in both directions, as VirTex does. The workdir gets
what tatl-train writes of a captioner, whose command, with --unfreeze=image, is in config.json, and
in the folder encoder the image encoder alone, a preset of KerasHub. A classifier stands on it,
frozen, with tatl-train --model=efficientnet_lite0_image_only --image_preset=runs/captions/encoder
or with zoo.build(…, image_preset=…).

The captions that an encoder learned from are no test of it: keep the pictures of the later task's
test split out of --data. Stopped at any moment, the same command goes on.
"""

import os
import sys

from absl import app, flags

import tatl_keras
from tatl_keras.bin import common, data_flags, recipe_flags, sampler_flags, train, trained

flags.declare_key_flag("model")
flags.adopt_module_key_flags(data_flags)
for _name in (
    *("train_split", "validation_split", "test_split", "workdir", "overwrite", "batch_size"),
    *("epochs", "strategy", "checkpoint_steps", "seed", "image_preset", "unfreeze_last_n"),
    *("bidirectional", "image_size", "sequence_length", "model_args"),
):
    flags.declare_key_flag(_name)
flags.adopt_module_key_flags(recipe_flags)
flags.adopt_module_key_flags(sampler_flags)
for _name in ("register", "smoke", "debug"):
    flags.declare_key_flag(_name)

HELP = train.HELP | {
    "model": "Which captioner of the zoo to train; `tatl-zoo list` shows them.",
    "unfreeze_last_n": "Let only the last n blocks of the image encoder learn. Default: all.",
}
ENCODER = "encoder"
SMOKE_MODEL = "test_efficientnet_transformer_caption"


def run():
    common.run(main, sys.modules[__name__])


def main(arguments):
    """Trains as tatl-train does, writes the encoder, says what to do with it."""
    common.no_arguments(arguments)
    if common.SMOKE.value and common.MODEL.value is None:
        flags.FLAGS.model = SMOKE_MODEL
    common.required(common.MODEL)
    spec = tatl_keras.zoo.spec(common.MODEL.value)
    if spec.task != "caption":
        known = ", ".join(tatl_keras.zoo.list_models(task="caption"))
        raise app.UsageError(
            f"--model must be a captioner: {known}. Received: --model={common.MODEL.value}"
        )
    flags.FLAGS.unfreeze = ["image"]
    sys.argv.append("--unfreeze=image")  # config.json has the command for tatl-train
    train.main(arguments, finish=_write_encoder)
    if common.WORKDIR.value:
        print(_next_steps(spec, os.path.join(common.WORKDIR.value, ENCODER)))


def _write_encoder(workdir):
    """The trained model's encoder, beside it in the workdir."""
    model = trained.load_model(workdir)
    tatl_keras.training.save_encoder(model, os.path.join(workdir, ENCODER), overwrite=True)


def _next_steps(spec, folder):
    same = [
        name
        for name in tatl_keras.zoo.list_models("*_image_only", task="classify")
        if tatl_keras.zoo.spec(name).image == spec.image
    ]
    model = same[0] if same else "MODEL"
    return (
        f"The image encoder: {folder}. A classifier on its frozen features:\n"
        f"  tatl-train --model={model} --image_preset={folder} --data=pets.csv --workdir=runs/pets"
    )


if __name__ == "__main__":
    run()
