"""The whole way in a few minutes: emoji with their names, two frozen encoders, a served model.

    python -m tatl_keras.bin.quickstart

Trains three models on the OpenMoji set with the encoders of saved_models/encoders (pictures alone,
text alone, pictures with text), compares them on held-out emoji, draws curves and predictions,
exports the last one and asks the export again in a fresh process. Needs the extra [quickstart].
"""

import logging
import math
import os
import sys
import time

from absl import flags

import tatl_keras
from tatl_keras.bin import common, records

for _name in ("output", "smoke", "debug"):
    flags.declare_key_flag(_name)
_EPOCHS = flags.DEFINE_integer("quickstart_epochs", 30, "Epochs of each model.", lower_bound=1)

HELP = {
    "output": "Folder for figures and the exported model, which are replaced. Default: "
    "runs/quickstart.",
    "smoke": "The same on made-up pictures with one epoch, to try the program.",
}
MODELS = {
    "image only": "efficientnet_lite0_image_only",
    "text only": "minilm_text_only",
    "image and text": "efficientnet_lite0_minilm_concat",
}
_BEST = "image and text"
_SHOWN = 12


def run():
    common.run(main, sys.modules[__name__])


def main(arguments):
    """Trains, compares, draws, exports, checks."""
    common.no_arguments(arguments)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # three models are traced, on purpose
    started = time.perf_counter()
    output = common.OUTPUT.value or "runs/quickstart"
    exported = os.path.join(output, "saved_model", "1")
    os.makedirs(output, exist_ok=True)
    train, test = _load()
    models, histories = {}, {}
    for title, name in MODELS.items():
        models[title], histories[title] = _train(title, name, train, test)
    answers = {title: model.predict(test, verbose=0) for title, model in models.items()}
    labels = [int(label) for _, label in test]
    print("\n" + compare(answers, labels))
    tatl_keras.training.draw_curves(histories, os.path.join(output, "curves.png"))
    examples = _examples(test, answers[_BEST])
    tatl_keras.training.draw_predictions(examples, os.path.join(output, "predictions.png"))
    models[_BEST].export(exported, overwrite=True)
    difference = _check(exported, examples)
    seconds = time.perf_counter() - started
    print(
        f"Curves                {output}/curves.png\n"
        f"Predictions           {output}/predictions.png\n"
        f"TensorFlow Serving    {exported}\n"
        f"The export, asked in a fresh process, differs by {difference:.1e} at the most.\n"
        f"All of this took {seconds / 60:.1f} minutes."
    )


def compare(answers, labels):
    """The table of accuracies, and what either side adds with its 95 % interval.

    The interval is that of the mean of the paired differences (1, 0 or -1 an example).

    Args:
        answers: dict from title to logits (N, num_classes), `MODELS`'s titles.
        labels: list of N ints.

    Returns:
        Text of a few lines.
    """
    import numpy as np

    right = {title: logits.argmax(-1) == np.array(labels) for title, logits in answers.items()}
    rows = [(title, f"{hits.mean():.1%}") for title, hits in right.items()]

    def gain_over(control):
        gain = right[_BEST].astype(float) - right[control]
        half = 1.96 * gain.std(ddof=1) / math.sqrt(len(gain))
        return f"{100 * gain.mean():+.1f} ± {100 * half:.1f} points"

    return (
        f"Accuracy on {len(labels)} held-out pictures\n{records.table(rows)}\n"
        f"Text adds {gain_over('image only')} to pictures alone "
        "(95 % interval over these pictures, one training run).\n"
        f"Pictures add {gain_over('text only')} to text alone.\n"
    )


def _load():
    if common.SMOKE.value:
        made = tatl_keras.data.synthetic.examples
        return made(3, 24, seed=0), made(3, 12, seed=1)
    print("Making the OpenMoji set (only the first time) ...", flush=True)
    train, test = tatl_keras.data.load("tfds:openmoji", splits=("train", "test"))
    counts = f"{len(train.ids)} pictures to learn from, {len(test.ids)} held out"
    print(f"{counts}, {len(train.class_names)} classes")
    return train, test


def _train(title, name, train, test):
    import keras

    print(f"\n{title}: {name}", flush=True)
    keras.utils.set_random_seed(0)
    model = tatl_keras.zoo.build(name, num_classes=len(train.class_names), seed=0)
    history = model.fit(
        train,
        validation_data=test,  # for the curves alone: nothing is chosen by it
        epochs=1 if common.SMOKE.value else _EPOCHS.value,
        feature_cache="memory",
        verbose=2 if not sys.stdout.isatty() else "auto",
    )
    return model, history.history


def _examples(test, logits):
    """Some held-out examples, drawn by chance, with the model's answer."""
    import numpy as np

    exponent = np.exp(logits - logits.max(-1, keepdims=True))
    probabilities = exponent / exponent.sum(-1, keepdims=True)
    names = test.class_names
    chosen = set(np.random.default_rng(0).permutation(len(logits))[:_SHOWN].tolist())
    return [
        {
            "image": x["image"].numpy(),
            "text": x["text"].numpy().decode(),
            "label": names[int(label)],
            "predicted": names[int(row.argmax())],
            "probability": float(row.max()),
            "probabilities": row,
        }
        for number, ((x, label), row) in enumerate(zip(test, probabilities, strict=True))
        if number in chosen
    ]


def _check(exported, examples):
    import numpy as np

    probabilities = np.stack([example["probabilities"] for example in examples])
    return tatl_keras.serving.verify(exported, examples, probabilities)


if __name__ == "__main__":
    run()
