"""Asks a SavedModel and writes down the answer; run as a script, it imports TensorFlow alone.

python -P ask.py DIRECTORY QUESTION.json REPLY.json
"""

import base64
import json
import os
import sys


def main(directory, question, reply):
    """Loads the model in `directory`, asks it what is in `question`, writes `reply`.

    Args:
        directory: SavedModel.
        question: JSON file with lists `image_bytes` (base64) and `text`.
        reply: JSON file to write: the lists `probabilities`, `logits`, `valid` and `label`.

    Raises:
        RuntimeError: this library came in, so that the answer would prove nothing.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf
    import tensorflow_text  # noqa: F401

    with open(question, encoding="utf-8") as file:
        asked = json.load(file)
    model = tf.saved_model.load(directory)
    answer = model.signatures["serving_default"](
        image_bytes=tf.constant([base64.b64decode(text) for text in asked["image_bytes"]]),
        text=tf.constant(asked["text"]),
    )
    # `keras` itself may be there: tensorflow_text imports it.
    foreign = sorted({"keras_hub", "tatl_keras"} & {name.split(".")[0] for name in sys.modules})
    if foreign:
        raise RuntimeError(f"This process must not import {foreign}.")
    found = {name: answer[name].numpy().tolist() for name in ("probabilities", "logits", "valid")}
    found["label"] = [label.decode() for label in answer["label"].numpy()]
    with open(reply, "w", encoding="utf-8") as file:
        json.dump(found, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
