"""What is proven of the entries of the zoo, one proof a file.

A proof is a function `prove(subject)` that returns a dict with `result` and `bound`, in words, and
`facts`, which another run on another machine finds as well, or raises a `ProofError`. What differs
between machines is `measured`.
"""

from tatl_keras.training.proofs import (
    counts,
    determinism,
    frozen,
    input_sizes,
    licences,
    measured,
    parity,
    replicas,
    speed,
)

# What is known of shapes and files, however large the entry is; then what needs weights.
WITHOUT_WEIGHTS = {
    "counts": counts,
    "input_sizes": input_sizes,
    "licences": licences,
    "measured": measured,
}
WITH_WEIGHTS = {
    "frozen": frozen,
    "determinism": determinism,
    "parity": parity,
    "replicas": replicas,
    "speed": speed,
}
PROOFS = WITHOUT_WEIGHTS | WITH_WEIGHTS
