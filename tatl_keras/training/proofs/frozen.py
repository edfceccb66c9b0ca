"""Proof: what is frozen keeps every bit in `fit`, and what is to learn changes."""

from tatl_keras.training.proofs.subject import ProofError, behind, digests

LEARNED = ("learned",)


def prove(subject):
    """Compares SHA-256 of all weights before and after some steps of `fit` on raw examples.

    Returns:
        A dict with `result`, `bound`, `facts` and `measured`.

    Raises:
        ProofError: an encoder that should be frozen would learn or has changed, statistics of batch
            normalisation included; or a part that should learn has not changed.
    """
    model = subject.model
    after, changed, kept = digests(model), [], []
    for modality, encoder in model.encoders.items():
        free = len(encoder.trainable_weights)
        same = after[modality] == subject.before[modality]
        if subject.weights.get(modality) in LEARNED:
            changed.append(modality)
            continue
        if free or not encoder.frozen:
            raise ProofError(
                f"the {modality} encoder should be frozen: {free} of its tensors learn"
            )
        if not same:
            raise ProofError(
                f"the frozen {modality} encoder changed in `fit`: " + _changed_kind(encoder)
            )
        kept.append(modality)
    changed += [part for part, layer in behind(model).items() if layer.weights]
    still = [part for part in changed if after[part] == subject.before[part]]
    if still:
        raise ProofError(f"{' and '.join(still)} should learn, and did not change in `fit`")
    tensors = [weight for modality in kept for weight in model.encoders[modality].weights]
    statistics = [weight for weight in tensors if "moving_" in weight.path]
    return {
        "result": f"{_say(kept, tensors, statistics)}; changed: {', '.join(changed)}",
        "bound": "bit for bit, SHA-256",
        "facts": {
            "kept": kept,
            "changed": changed,
            "tensors": len(tensors),
            "statistics": len(statistics),
        },
    }


def _say(kept, tensors, statistics):
    if not kept:
        return "nothing is frozen"
    words = f"{len(tensors)} tensors of {' and '.join(kept)} unchanged"
    return words + (f", {len(statistics)} of them statistics" if statistics else "")


def _changed_kind(encoder):
    normalised = any("moving_" in weight.path for weight in encoder.weights)
    return "weights, or statistics of batch normalisation" if normalised else "weights"
