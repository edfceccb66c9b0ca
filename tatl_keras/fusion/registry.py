"""Fusions by name."""

import difflib

import keras

from tatl_keras.fusion.bilinear import BilinearFusion
from tatl_keras.fusion.concat import ConcatFusion
from tatl_keras.fusion.cross_attention import CrossAttentionFusion
from tatl_keras.fusion.film import FiLMFusion
from tatl_keras.fusion.gated import GatedFusion
from tatl_keras.fusion.joint_attention import JointAttentionFusion
from tatl_keras.fusion.no_harm import NoHarmFusion
from tatl_keras.fusion.single import SingleModality

NAMES = {
    "concat": (ConcatFusion, {}),
    "gated": (GatedFusion, {}),
    "film": (FiLMFusion, {}),
    "bilinear": (BilinearFusion, {}),
    "cross": (CrossAttentionFusion, {}),
    "joint": (JointAttentionFusion, {}),
    "no_harm": (NoHarmFusion, {}),
    "image_only": (SingleModality, {"modality": "image"}),
    "text_only": (SingleModality, {"modality": "text"}),
}


def get(identifier, **arguments):
    """Returns the fusion that `identifier` stands for.

    Args:
        identifier: a name ("concat", "gated", "film", "bilinear", "cross", "joint", "no_harm",
            "image_only", "text_only"), a config from `keras.saving.serialize_keras_object`, or a
            layer with the `uses` of a `Fusion`, which is returned as it is.
        **arguments: of the fusion, if a name is given: `get("gated", hidden_dim=64, seed=1)`.

    Returns:
        A layer.

    Raises:
        ValueError: the name is unknown, the identifier is something else, or arguments come with
            an identifier that is no name.

    Example:

    >>> from tatl_keras import fusion
    >>> fusion.get("gated", hidden_dim=64).hidden_dim
    64
    """
    if isinstance(identifier, str):
        if identifier not in NAMES:
            close = difflib.get_close_matches(identifier, NAMES, n=1)
            hint = f'Did you mean "{close[0]}"?' if close else "A layer or a config is fine too."
            raise ValueError(
                f"`identifier` must be one of {', '.join(NAMES)}. "
                f"Received: identifier={identifier!r}. {hint}"
            )
        fusion_class, fixed = NAMES[identifier]
        return fusion_class(**fixed, **arguments)
    if arguments:
        raise ValueError(
            "`arguments` must be empty unless `identifier` is a name. "
            f"Received: arguments={arguments}. A layer or a config holds its own."
        )
    layer = identifier
    if isinstance(identifier, dict):
        layer = keras.saving.deserialize_keras_object(identifier)
    if not isinstance(layer, keras.layers.Layer) or not hasattr(layer, "uses"):
        raise ValueError(
            "`identifier` must be the name of a fusion, a config or a layer with `uses`. "
            f"Received: identifier={identifier!r}. Names: {', '.join(NAMES)}."
        )
    return layer
