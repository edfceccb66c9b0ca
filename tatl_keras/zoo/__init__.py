"""Models by name: `zoo.build("efficientnet_lite0_minilm_concat", num_classes=8)`."""

from tatl_keras.models.preset import from_preset
from tatl_keras.zoo import clip as _clip  # noqa: F401  (registers models)
from tatl_keras.zoo import entries as _entries  # noqa: F401  (likewise)
from tatl_keras.zoo import sasa as _sasa  # noqa: F401  (likewise)
from tatl_keras.zoo import writers as _writers  # noqa: F401  (likewise)
from tatl_keras.zoo.compose import compose
from tatl_keras.zoo.compose_writers import compose_captioner, compose_translator
from tatl_keras.zoo.registry import Spec, build, list_models, register, spec, unregister

__all__ = [
    "Spec",
    "build",
    "compose",
    "compose_captioner",
    "compose_translator",
    "from_preset",
    "list_models",
    "register",
    "spec",
    "unregister",
]
