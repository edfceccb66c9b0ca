"""Textual information assisted transfer learning in visual tasks: a Keras 3 model zoo.

    import tatl_keras
    from tatl_keras import data, zoo

Sub-packages are imported on first use, so that `import tatl_keras` costs nothing by itself.
"""

import importlib

__version__ = "0.1.0"

_SUBPACKAGES = (
    "data",
    "encoders",
    "features",
    "fusion",
    "layers",
    "models",
    "serving",
    "training",
    "zoo",
)

__all__ = [*_SUBPACKAGES, "__version__"]


def __getattr__(name):
    if name in _SUBPACKAGES:
        return importlib.import_module(f"tatl_keras.{name}")
    raise AttributeError(f"module 'tatl_keras' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
