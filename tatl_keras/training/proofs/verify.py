"""Proves of an entry of the zoo what its card says."""

import tempfile
import time

from absl import logging

from tatl_keras import zoo
from tatl_keras.training.proofs import PROOFS, WITHOUT_WEIGHTS
from tatl_keras.training.proofs.conditions import conditions
from tatl_keras.training.proofs.replicas import two_devices
from tatl_keras.training.proofs.subject import NotCheckedError, ProofError, Subject
from tatl_keras.training.proofs.verification import Verification
from tatl_keras.training.proofs.writer import Writer
from tatl_keras.zoo.registry import CLASSIFY


def verify(name, proofs=None, *, features=None, progress=None):
    """Runs the proofs of an entry.

    | proof | shows |
    |---|---|
    | counts | parameters and operations, counted twice, and what papers say of them |
    | input_sizes | which pictures and texts are taken |
    | licences | where weights come from; SHA-256 of those carried along |
    | measured | accuracies have conditions and controls |
    | frozen | `fit` leaves every bit of frozen encoders, statistics too, and changes the rest |
    | determinism | one seed gives the same weights twice, another seed others |
    | parity | saved, loaded, exported and served, logits differ by 1e-5 of the largest at most |
    | replicas | two replicas learn what one does, without dropout, to 1e-5 of the largest weight |
    | speed | time of a prediction and memory of a training step, in coarse classes |

    Of models that write, `counts` holds the decoder's parameters against its equations too, the
    scores that were `measured` have baselines for controls, `parity` is of equal texts, whose
    log-probabilities differ by 1e-4 at most, and `speed` is that of writing a text.

    The first four need no weights and little memory, whatever the entry. Encoders whose weights are
    not carried along get random ones. The replicas are two logical CPUs, which are made where
    TensorFlow has not started yet; where it has, that proof is left out.

    Args:
        name: an entry of the zoo, whether it classifies or writes.
        proofs: names of proofs, or `None` for all.
        features: folder for features of frozen encoders, which verifications can share; `None` for
            a temporary one.
        progress: function that is told each proof's name and seconds, or `None`.

    Returns:
        A `Verification`.

    Raises:
        ValueError: there is no such entry, or there is no such proof.

    Example:

    >>> from tatl_keras import training
    >>> done = training.verify("minilm_text_only", proofs=("counts", "licences"))
    >>> done.passed, done.proofs["counts"]["facts"]["parameters"]["total"]
    (True, 22717076)
    """
    wanted = list(PROOFS) if proofs is None else list(proofs)
    unknown = [proof for proof in wanted if proof not in PROOFS]
    if unknown:
        raise ValueError(
            f"`proofs` must be among {', '.join(PROOFS)}. Received: proofs={unknown[0]!r}"
        )
    kind = Subject if zoo.spec(name).task == CLASSIFY else Writer
    if not set(wanted) <= set(WITHOUT_WEIGHTS):
        two_devices()
    with tempfile.TemporaryDirectory() as folder:
        subject, found = kind(name, features or folder), {}
        for proof in wanted:
            start = time.monotonic()
            found[proof] = _prove(PROOFS[proof].prove, subject)
            if progress is not None:
                progress(proof, time.monotonic() - start)
    return Verification(name, found, subject.weights, conditions())


def _prove(prove, subject):
    """The outcome of one proof; whatever goes wrong in it is a failure of the entry."""
    try:
        return {"passed": True} | prove(subject)
    except NotCheckedError as error:
        return {"passed": None, "reason": str(error)}
    except ProofError as error:
        return {"passed": False, "reason": str(error)}
    except Exception as error:
        logging.exception("%s of %s", prove.__module__, subject.name)
        return {"passed": False, "reason": f"{type(error).__name__}: {error}"}
