"""Proof: a seed decides a training to the last bit."""

from tatl_keras.training.proofs.subject import ProofError, digest


def prove(subject):
    """Builds and trains with seeds 0, 0 and 1, and compares all weights.

    Returns:
        A dict with `result`, `bound`, `facts`.

    Raises:
        ProofError: the same seed gave other weights, or another seed the same.
    """
    first, second, other = (
        digest(subject.fit(subject.build(seed=seed)).weights) for seed in (0, 0, 1)
    )
    if first != second:
        raise ProofError("seed=0 gave different weights the second time")
    if first == other:
        raise ProofError("seed=1 gave the weights of seed=0: the seed has no effect")
    return {
        "result": "the same seed twice: the same weights; another seed: others",
        "bound": "bit for bit, SHA-256",
        "facts": {"seeds": [0, 0, 1]},
    }
