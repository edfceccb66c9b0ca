"""Runs the conformance cases of the layers under the Keras backend of this process."""

import keras
import numpy as np
from keras import ops

from tatl_keras.layers import MultiHeadAttention, RotaryPositions
from tests.conformance.case import load_case_files


def cases():
    """The cases of layers that run on any backend, by name."""
    found = [case for file in load_case_files() for case in file.CASES]
    return {
        case.name: case
        for case in found
        if case.covers.startswith("layers.")
        and getattr(case.make(), "implementation", "auto") != "chunked"
    }


def outputs(case):
    """What the case's layer, with fixed weights, makes of its inputs, as flat NumPy arrays."""
    arrays = case.inputs()
    results = case.call(case.built(arrays), arrays)
    return [keras.ops.convert_to_numpy(x) for x in keras.tree.flatten(results)]


def decoding():
    """A sum over the positions of a causal pass: step by step with a cache in a loop, and whole."""
    x = np.random.default_rng(0).normal(size=(2, 7, 5)).astype("float32")
    layer = MultiHeadAttention(3, 4, position=RotaryPositions(), seed=1)
    whole = layer(x, x, use_causal_mask=True)
    x = ops.convert_to_tensor(x)

    def step(index, cache, total):
        part = ops.slice(x, (0, index, 0), (2, 1, 5))
        y, cache = layer(part, part, use_causal_mask=True, cache=cache, cache_update_index=index)
        return index + 1, cache, total + ops.sin(y[:, 0])

    start = (ops.convert_to_tensor(0), ops.zeros((2, 2, 7, 3, 4)), ops.zeros((2, 5)))
    total = ops.while_loop(lambda index, *_: index < 7, step, start)[2]
    return [ops.convert_to_numpy(a) for a in (total, ops.sum(ops.sin(whole), axis=1))]


def refusal():
    """What is said when the chunked execution is asked for."""
    try:
        MultiHeadAttention(3, 4, implementation="chunked")(*np.ones((2, 2, 5, 7)))
    except ValueError as error:
        return str(error)
    return ""


def main(path):
    """Writes all of this to an .npz file, the outputs of a case as `<case>/<number>`."""
    arrays = {"backend": keras.backend.backend(), "decoding": decoding(), "refusal": refusal()}
    for name, case in cases().items():
        arrays.update({f"{name}/{number}": x for number, x in enumerate(outputs(case))})
    np.savez(path, **arrays)
