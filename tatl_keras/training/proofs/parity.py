"""Proof: saved, loaded, exported and served, a model answers as it did."""

import os
import tempfile

import keras
import numpy as np
import tensorflow as tf

from tatl_keras.training.proofs.subject import ProofError

_INPUTS = {"image": "image_bytes", "text": "text"}  # of an export


def prove(subject):
    """Asks a trained model and what a server would load, bytes and strings in.

    The model is saved, loaded, exported, and the SavedModel loaded by TensorFlow. Compared are
    logits, or the texts that are written and their log-probabilities. What a model that writes has
    learned is replaced by larger weights, so that the texts differ.

    Returns:
        A dict with `result`, `bound`, `facts` and `measured`.

    Raises:
        ProofError: numbers differ by more than the subject's `bound`, or texts at all; the text
            says after which step, and in which row.
    """
    rows = subject.rows()
    with subject.at_work() as model, tempfile.TemporaryDirectory() as folder:
        expected = subject.answers(model, rows)
        path, directory = os.path.join(folder, "model.keras"), os.path.join(folder, "1")
        model.save(path)
        loaded = keras.saving.load_model(path)
        loaded.export(directory)
        served = subject.served(_serve(directory, subject.signature, rows))
        difference, where = _difference(served, expected)
        if not difference <= subject.bound:
            saved = _difference(subject.answers(loaded, rows), expected)[0]
            step = "saved and loaded" if not saved <= subject.bound else "exported"
            raise ProofError(
                f"the model {step} gives other {where}; at most {subject.bound:g} is rounding"
            )
    size, words = {}, ""
    if "logits" in expected:
        size = {"classes": expected["logits"].shape[-1]}
    else:
        words = f"equal texts, {len({*expected['texts']} - {''})} different ones; "
    return {
        "result": f"{words}{subject.numbers} of saved, loaded, exported, served differ by "
        f"{difference:.1e}",
        "bound": f"{subject.bound:g} of the largest {subject.number}",
        "facts": {"rows": len(next(iter(rows.values())))} | size,
        "measured": {"difference": difference},
    }


def _serve(directory, signature, rows):
    """What a signature gives, as tensors."""
    function = tf.saved_model.load(directory).signatures[signature]
    return function(**{_INPUTS[name]: tf.constant(column) for name, column in rows.items()})


def _difference(found, expected):
    """The largest difference in parts of the largest number, and what and where that is.

    Infinite where texts differ, or numbers are none.
    """
    differences = []
    for name, ours in expected.items():
        theirs = found[name]
        if theirs.shape != ours.shape:
            raise ProofError(f"the export gives {name} {theirs.shape}, the model {ours.shape}")
        if ours.dtype.kind == "f":
            apart = np.abs(theirs - ours) / max(1.0, float(np.abs(ours).max()))
            apart = np.nan_to_num(apart, nan=np.inf, posinf=np.inf)
        else:
            apart = np.where(theirs == ours, 0.0, np.inf)
        by_row = apart.reshape(len(apart), -1).max(axis=1)
        row = int(by_row.argmax())
        differences.append((float(by_row[row]), _say(name, row, by_row[row], theirs, ours)))
    return max(differences, key=lambda pair: pair[0])


def _say(name, row, apart, theirs, ours):
    """In words, how a row of what the model gives differs."""
    if ours.dtype.kind == "f":
        return f"{name}: they differ by {apart:.2g} of the largest in row {row}"
    return f"{name}: {theirs[row]!s} in row {row}, not {ours[row]!s}"
