"""Backbones: built from a seed, written to a config and read back without loss."""

import contextlib
import inspect
import json
import random

import keras
import keras_hub

from tatl_keras.encoders.clip import CLIPImageTower, CLIPTextTower
from tatl_keras.encoders.sasa import SASAResNet
from tatl_keras.encoders.siglip import SigLIPImageTower, SigLIPTextTower

# Backbones that KerasHub does not have.
TOWERS = (CLIPImageTower, CLIPTextTower, SigLIPImageTower, SigLIPTextTower)
OWN = {one.__name__: one for one in (*TOWERS, SASAResNet)}


def backbone_class(name):
    """The class of a backbone: one of `OWN`, or of `keras_hub.models`."""
    return OWN.get(name) or getattr(keras_hub.models, name)


def tower_of(backbone, kind):
    """A backbone itself, but of one with two towers that of `kind`, "image" or "text"."""
    for tower in TOWERS:
        if tower.kind == kind and isinstance(backbone, tower.whole):
            return tower.from_backbone(backbone)
    return backbone


@contextlib.contextmanager
def dtype_policy_scope(policy):
    """Makes `policy` the default dtype policy inside the block.

    Some KerasHub backbones (EfficientNet) do not pass their `dtype` on to their layers, which then
    follow the default policy.
    """
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(previous)


@contextlib.contextmanager
def initializer_seed_scope(seed):
    """Makes unseeded initializers draw from `seed` inside the block; None changes nothing.

    Keras takes the seed of an initializer that has none from Python's `random`, whose state is put
    back afterwards. KerasHub backbones have no seed argument of their own.
    """
    if seed is None:
        yield
        return
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)


def build_backbone(name, config, *, dtype=None, seed=None):
    """Builds the backbone class `name` with random weights."""
    policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
    with dtype_policy_scope(policy), initializer_seed_scope(seed):
        return backbone_class(name)(**config, dtype=policy)


def serialize_backbone(backbone):
    """Returns the Keras config of a backbone, complete enough to build the same network again.

    `EfficientNetBackbone.get_config` leaves out `num_features` and `stackwise_nores_option`; both
    are read off its layers.
    """
    config = keras.saving.serialize_keras_object(backbone)
    if isinstance(backbone, keras_hub.models.EfficientNetBackbone):
        layers = {layer.name: layer for layer in backbone.layers}
        filters = layers["top_conv"].filters
        stacks = range(1, len(backbone.stackwise_kernel_sizes) + 1)
        config["config"].update(
            num_features=_features_before_rounding(backbone, filters),
            stackwise_nores_option=[
                bool(getattr(layers.get(f"block{stack}a_"), "nores", False)) for stack in stacks
            ],
        )
    return config


def deserialize_backbone(config):
    """Builds a backbone from what `serialize_backbone` returned; its weights are random."""
    dtype = config["config"].get("dtype")
    policy = keras.dtype_policies.get(dtype) if dtype else keras.config.dtype_policy()
    with dtype_policy_scope(policy):
        return keras.saving.deserialize_keras_object(config)


def essential_config(backbone):
    """The arguments that make a backbone what it is, as plain JSON values.

    Name, dtype and trainability are left out, and so are arguments that have their default value:
    a release of KerasHub that adds an argument does not change the fingerprint of an old network.
    """
    config = _plain(serialize_backbone(backbone)["config"])
    defaults = {
        name: _plain(parameter.default)
        for name, parameter in inspect.signature(type(backbone).__init__).parameters.items()
        if parameter.default is not parameter.empty
    }
    skipped = ("name", "trainable", "dtype")
    return {
        name: value
        for name, value in config.items()
        if name not in skipped and not (name in defaults and value == defaults[name])
    }


def _plain(value):
    return json.loads(json.dumps(value, default=str))


def _features_before_rounding(backbone, filters):
    """The `num_features` that EfficientNet's width coefficient turns into `filters` channels.

    The constructor multiplies by the last width coefficient and rounds to a multiple of
    `depth_divisor`; a multiple divided by the coefficient comes back as itself.
    """
    features = filters / backbone.stackwise_width_coefficients[-1]
    return int(features) if features == int(features) else features
