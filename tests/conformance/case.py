"""What the conformance suite knows about one public layer.

A file `cases_<what>.py` beside this one defines

    PUBLIC  dict of dotted name to object, everything that has to be covered (see `public_layers`)
    CASES   list of `Case`
    EXEMPT  dict of name in PUBLIC to the reason why it has no case

and is found by its name: to bring in another package, add such a file.
"""

import dataclasses
import importlib
import inspect
import pathlib
import pkgutil
from collections.abc import Callable

import keras
import numpy as np


def _nothing(arrays):
    return {}


def _everything(arrays, outputs):
    return outputs


def _same(outputs, order):
    return outputs


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """One layer in one setting, and what must hold for it.

    Attributes:
        name: shown in the test's name.
        covers: the name in PUBLIC.
        make: `make(seed=None, dtype=None)` returns a fresh layer.
        arrays: `arrays(rng)` returns NumPy inputs by name, batch first, floats in float64.
        call: `call(layer, arrays)` calls the layer on arrays, tensors or symbolic inputs.
        twin: `twin(weights, arrays)` computes the output in NumPy float64; None for no twin.
        sequences: names of the arrays whose axis 1 is a length that may be unknown.
        hidden: `hidden(arrays)` returns by name a boolean array over the leading axes, True where
            the value must have no effect.
        extreme: the largest number put in hidden places.
        observe: `observe(arrays, outputs)` is the part of the outputs in which it has none.
        permuted: groups of names; permuting a group along axis 1 leaves the output as it is, or
            turns it into `permuted_outputs(outputs, order)`.
        empty: `empty(arrays)` returns arrays whose first row has nothing to look at.
        empty_output: the value of that row, whatever the weights are.
        exempt: reason by name of a property that is known not to hold; it must then really fail.
    """

    name: str
    covers: str
    make: Callable
    arrays: Callable
    call: Callable
    twin: Callable | None = None
    sequences: tuple = ()
    hidden: Callable = _nothing
    extreme: float = 3e38
    observe: Callable = _everything
    permuted: tuple = ()
    permuted_outputs: Callable = _same
    empty: Callable | None = None
    empty_output: float = 0.0
    exempt: dict = dataclasses.field(default_factory=dict)

    def inputs(self, seed=0):
        return self.arrays(np.random.default_rng(seed))

    def built(self, arrays, *, seed=1, dtype=None, values=2):
        """A layer whose weights are all random, biases and gains too."""
        layer = self.make(seed=seed, dtype=dtype)
        self.call(layer, arrays)
        rng = np.random.default_rng(values)
        for weight in layer.weights:
            if "float" in weight.dtype:
                weight.assign(rng.normal(size=weight.shape) * 0.4)
        return layer

    def symbolic(self):
        """Symbolic inputs by name, with unknown batch and lengths."""
        inputs = {}
        for name, array in self.inputs().items():
            shape = (None, *array.shape[2:]) if name in self.sequences else array.shape[1:]
            inputs[name] = keras.Input(shape, name=name, dtype=single(array).dtype.name)
        return inputs


def single(array):
    """The array as it travels: float32, or as it is."""
    return array.astype("float32") if array.dtype == "float64" else array


def weights_by_name(layer):
    """Weights in float64 by their path below the layer."""
    return {w.path.split("/", 1)[1]: w.numpy().astype("float64") for w in layer.weights}


def public_layers(package):
    """Every keras layer defined in a package under a public name, found by reflection."""
    root = importlib.import_module(package)
    found = {}
    for info in pkgutil.walk_packages(root.__path__, package + "."):
        module = importlib.import_module(info.name)
        for name, value in vars(module).items():
            is_layer = inspect.isclass(value) and issubclass(value, keras.layers.Layer)
            if is_layer and value.__module__ == info.name and not name.startswith("_"):
                found[f"{package.removeprefix('tatl_keras.')}.{name}"] = value
    return found


def load_case_files():
    """The modules `cases_*.py`, in the order of their names."""
    files = sorted(pathlib.Path(__file__).parent.glob("cases_*.py"))
    return [importlib.import_module(f"tests.conformance.{file.stem}") for file in files]
