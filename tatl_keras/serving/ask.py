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
        question: JSON file with `inputs`, a dict from the signature's input to a list of base64,
            and `outputs`, a list of names.
        reply: JSON file to write: a dict from these names to lists.

    Raises:
        RuntimeError: this library came in, so that the answer would prove nothing.
        ValueError: the model does not give one of `outputs`.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf
    import tensorflow_text  # noqa: F401

    with open(question, encoding="utf-8") as file:
        asked = json.load(file)
    model = tf.saved_model.load(directory)
    serve = model.signatures["serving_default"]
    for name in asked["outputs"]:
        if name not in serve.structured_outputs:
            raise ValueError(f"The model gives no {name}, but {[*serve.structured_outputs]}.")
    answer = serve(
        **{
            name: tf.constant([base64.b64decode(value) for value in values])
            for name, values in asked["inputs"].items()
        }
    )
    # `keras` itself may be there: tensorflow_text imports it.
    foreign = sorted({"keras_hub", "tatl_keras"} & {name.split(".")[0] for name in sys.modules})
    if foreign:
        raise RuntimeError(f"This process must not import {foreign}.")
    found = {name: answer[name].numpy().tolist() for name in asked["outputs"]}
    with open(reply, "w", encoding="utf-8") as file:
        json.dump(found, file, default=bytes.decode)


if __name__ == "__main__":
    main(*sys.argv[1:])
