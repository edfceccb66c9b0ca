"""Asks an export, in a process that knows nothing of Keras, what the model itself was asked."""

import base64
import json
import os
import subprocess
import sys
import tempfile
from operator import ne

import numpy as np

from tatl_keras.serving import ask

TOLERANCE = 1e-5
TEXT_TOLERANCE = 1e-4  # of the sum over the tokens of a text


def verify(directory, examples, probabilities, tolerance=TOLERANCE, *, temperature=1.0):
    """Compares an exported model with the numbers of the model it was made of.

    The export is loaded in a new process that imports `tensorflow` and `tensorflow_text` only, as
    a server would, so nothing that lives in this process can help it. Where an example has nothing
    that the model reads, the export's probabilities are 0, and the softmax of its logits / T is
    compared.

    Args:
        directory: a SavedModel that `model.export` wrote.
        examples: list of dicts with `image` (encoded bytes, b"" where there is none) and `text`
            (str), at least one.
        probabilities: floats (number of examples, num_classes), the model's own: softmax of its
            logits / T.
        tolerance: float, largest absolute difference that is accepted.
        temperature: float, T, with which the model was exported.

    Returns:
        A float, the largest absolute difference found.

    Raises:
        ValueError: the numbers differ, or there are not as many of them.
        RuntimeError: the export could not be loaded or failed on the examples.

    Example:

    >>> import tempfile
    >>> from tatl_keras import serving, zoo
    >>> model = zoo.build("test_efficientnet_image_only", num_classes=2)
    >>> directory = tempfile.mkdtemp() + "/1"
    >>> model.export(directory)
    >>> serving.verify(directory, [{"image": b"", "text": "a cat"}], [[0.5, 0.5]])
    0.0
    """
    expected = np.asarray(probabilities, np.float64)
    inputs = {
        "image_bytes": [example["image"] for example in examples],
        "text": [example["text"].encode() for example in examples],
    }
    outputs = ("probabilities", "logits", "valid")
    answer = _ask_fresh_process(os.fspath(directory), inputs, outputs)
    logits = np.asarray(answer["logits"], np.float64) / temperature
    exponent = np.exp(logits - logits.max(axis=-1, keepdims=True))
    own = exponent / exponent.sum(axis=-1, keepdims=True)
    received = np.where(np.asarray(answer["valid"])[:, None], answer["probabilities"], own)
    if received.shape != expected.shape:
        raise ValueError(
            "`directory` must hold an export that answers as the model does. "
            f"Received: probabilities {received.shape}, expected {expected.shape}"
        )
    difference = float(np.max(np.abs(received - expected)))
    if not difference <= tolerance:
        row = int(np.max(np.abs(received - expected), axis=1).argmax())
        raise ValueError(
            f"`directory` must hold an export that answers as the model does, to {tolerance:g}. "
            f"Received: a difference of {difference:.3g} in example {row}. Do not serve it: "
            "export again with the versions that trained the model."
        )
    return difference


def verify_texts(directory, inputs, texts, log_probs, tolerance=TEXT_TOLERANCE):
    """Compares an exported model that writes with what the model wrote that it was made of.

    The export is loaded in a new process, as by `verify`.

    Args:
        directory: a SavedModel that `Captioner.export` or `Translator.export` wrote.
        inputs: dict from `image_bytes` or `text` to a list of bytes, at least one.
        texts: list of lists of str, the model's own of each row.
        log_probs: floats (rows, texts of a row), the model's own, 0 where it had nothing to write
            about.
        tolerance: float, largest absolute difference of log-probabilities that is accepted.

    Returns:
        A float, the largest difference found.

    Raises:
        ValueError: texts are others, or log-probabilities differ.
        RuntimeError: the export could not be loaded or failed on the examples.

    Example:

    >>> import tempfile
    >>> from tatl_keras import serving, zoo
    >>> model = zoo.build("test_transformer_translate", seed=1)
    >>> history = model.fit({"text": ["a b c"], "target": ["c b a"]}, verbose=0)
    >>> directory = tempfile.mkdtemp() + "/1"
    >>> model.export(directory)
    >>> serving.verify_texts(directory, {"text": [b""]}, [[""]], [[0.0]])
    0.0
    """
    answer = _ask_fresh_process(os.fspath(directory), inputs, ("texts", "log_probs"))
    wrong = [row for row, pair in enumerate(zip(answer["texts"], texts, strict=True)) if ne(*pair)]
    if wrong:
        received, expected = answer["texts"][wrong[0]], texts[wrong[0]]
        raise ValueError(
            "`directory` must hold an export that writes as the model does. Received: "
            f"{received} in example {wrong[0]}, expected {expected}. Do not serve it."
        )
    difference = float(np.max(np.abs(np.subtract(answer["log_probs"], log_probs))))
    if not difference <= tolerance:
        raise ValueError(
            "`directory` must hold an export whose log-probabilities are those of the model, to "
            f"{tolerance:g}. Received: a difference of {difference:.3g}. Do not serve it."
        )
    return difference


def _ask_fresh_process(directory, inputs, outputs):
    """Runs `ask.py` as a script; only files go in and out, stdout belongs to TensorFlow."""
    encoded = {
        name: [base64.b64encode(value).decode() for value in values]
        for name, values in inputs.items()
    }
    request = {"inputs": encoded, "outputs": outputs}
    with tempfile.TemporaryDirectory() as folder:
        question, reply = os.path.join(folder, "question.json"), os.path.join(folder, "reply.json")
        with open(question, "w", encoding="utf-8") as file:
            json.dump(request, file)
        # -P keeps this library's folder off the import path.
        command = [sys.executable, "-P", ask.__file__, directory, question, reply]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            last = [line for line in done.stderr.splitlines() if line.strip()][-3:]
            raise RuntimeError(
                f"`directory` must hold an export that a new process can load and ask. Received: "
                f"directory={directory!r}, exit status {done.returncode}: " + " ".join(last)
            )
        with open(reply, encoding="utf-8") as file:
            return json.load(file)
