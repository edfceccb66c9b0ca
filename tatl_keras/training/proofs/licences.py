"""Proof: where pretrained weights come from, under which licence, and that they are those."""

import os

from tatl_keras._files import sha256_of
from tatl_keras.encoders.presets import locate
from tatl_keras.training.proofs.subject import ProofError
from tatl_keras.zoo.provenance import provenance

WEIGHTS = "model.weights.h5"


def prove(subject):
    """Reads the notes of weights that are carried along, and checks these by their SHA-256.

    Of weights that KerasHub loads by name, what is known offline is said; nothing is checked.

    Returns:
        A dict with `result`, `bound` and `facts`.

    Raises:
        ProofError: weights that are carried along have no notes, no licence, or another SHA-256
            than the notes say.
    """
    facts, words, checked = {}, [], []
    for name in filter(None, (subject.spec.image, subject.spec.text)):
        found = provenance(name)
        notes = found.pop("notes", None)
        if notes is not None:
            _check(name, found, notes)
            checked.append(name)
        facts[name] = found
        words.append(f"{name}: {_say(found)}")
    bound = "SHA-256 as in the notes" if checked else "as known offline"
    return {"result": "; ".join(words), "bound": bound, "facts": facts}


def _check(name, found, notes):
    if not found["licence"] or not found["source"]:
        raise ProofError(f"the notes of {name} should name a licence and a provenance")
    digest = sha256_of(os.path.join(locate(name), WEIGHTS))
    if digest not in notes:
        raise ProofError(f"the notes of {name} should name the SHA-256 of its weights, {digest}")


def _say(found):
    if found["weights"] in ("learned", "random"):
        return f"no pretrained weights ({found['weights']})"
    where = found["weights"] if found["weights"] == "carried along" else f"`{found['preset']}`"
    return f"{where}, {found['licence'] or 'licence not known offline'}"
